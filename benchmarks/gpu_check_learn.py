"""The checks of `gpu_check` behind extraction: a step's gradients, evaluation, search, prediction, the step's speed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from bench_train import WIDTH, class_names, make_clip, peak_memory, step_table
from gpu_check_place import Finding, Place, featx
from torch.nn import functional

from featx.encoders.openai_text import openai_text
from featx.encoders.text import TextTower
from featx.manifest.videos import Header, Manifest, Video, write_manifest
from featx.model.adapter import Adapter
from featx.model.adapter_config import TEMPERATURE, AdapterConfig
from featx.train.adapter.loader import Batch
from featx.train.adapter.losses import Objective
from featx.train.adapter.sampler import ClipDraw
from featx.train.adapter.step import AdapterStep, TextSide
from featx.train.engine.ranks import Ranks
from featx.train.engine.stopwatch import Stopwatch

GRADIENT_BOUNDS = {
    "fp32": 1e-4,
    "bf16": 8e-2,
}  # length of the difference over the gradient's own, of any parameter
SCORE_BOUND = 2e-3  # of probabilities and cosines
MOTIONS = {"growing": "a growing shape", "falling": "a falling shape", "rising": "a rising shape"}


def gradients(place: Place) -> Iterator[Finding]:
    """One step's gradients against one big batch in float64 on the CPU, written the obvious way."""
    names, _ = class_names(51)
    names = names[: 3 if place.quick else None]
    rng = np.random.default_rng(0)
    clips = torch.from_numpy(rng.standard_normal((4 if place.quick else 32, 16, WIDTH)))  # (B, T, D) float64
    targets = rng.integers(0, len(names), len(clips))
    model = make_clip("cpu")
    torch.manual_seed(0)
    adapter = Adapter(AdapterConfig(prompts=16, layers=2), WIDTH, WIDTH)

    exact = copy.deepcopy(adapter).double()
    tower = TextTower(openai_text(copy.deepcopy(model).double()))
    text = exact.encode_texts(tower, exact.plan(tower.format, names))
    logits = exact.encode_clips(clips) @ text.T / TEMPERATURE
    functional.cross_entropy(logits, torch.from_numpy(targets)).backward()

    draw = ClipDraw(
        np.arange(len(clips)), np.zeros((len(clips), 16), np.int64), np.arange(len(names)), targets
    )
    for precision, bound in GRADIENT_BOUNDS.items():
        ours, ranks = copy.deepcopy(adapter).to(place.device), Ranks(device=place.device)
        tower = TextTower(openai_text(model).to(place.device), precision)  # type: ignore[arg-type]
        side = TextSide(ours, tower, ours.plan(tower.format, names).to(place.device), WIDTH, ranks)
        batch = Batch(draw, [slice(0, len(clips))], [clips.float().to(place.device)])
        AdapterStep(ours, side, ranks, Objective(), Stopwatch(place.device)).gradients(batch)
        worst = {
            name: relative(there.grad, right.grad)
            for (name, there), (_, right) in zip(
                ours.named_parameters(), exact.named_parameters(), strict=True
            )
        }
        name = max(worst, key=lambda name: worst[name])
        yield Finding(
            f"a step's gradients, {precision}, against float64",
            f"difference {worst[name]:.1e} ({name}; {len(names)} classes, 12 layers)",
            f"<= {bound:.0e}",
            worst[name] <= bound,
            {"difference": worst[name]},
        )


def relative(found: torch.Tensor | None, right: torch.Tensor | None) -> float:
    """Returns the length of the difference over that of what is right; infinite where one is missing."""
    if found is None or right is None or not torch.isfinite(found).all():
        return float("inf")
    return float((found.cpu().double() - right).norm() / right.norm())


@cache
def world(folder: Path) -> tuple[Path, Path, list[Path]]:
    """Generates labelled clips; returns their manifest, their store (made on the CPU) and the files."""
    from featx.data_manifests.moving_shapes.encode import encode
    from featx.data_manifests.moving_shapes.world import draw_clip

    home = Path(mkdtemp(prefix="world-", dir=folder))  # a check before may have failed half-way
    videos = []
    for number, motion in enumerate(MOTIONS):
        for index in range(4):
            file = home / f"{motion}-{index}.mp4"
            encode(draw_clip(np.random.default_rng([number, index]), "star", motion), file, quality=25)
            split = "test" if index == 3 else "train"
            videos.append(Video(id=file.name, path=str(file), split=split, label=motion))
    manifest = home / "manifest.jsonl"
    write_manifest(Manifest(Header(name="shapes", classes=MOTIONS), videos, manifest))
    store = home / "features"
    featx("extract", manifest, "--to", store, "--model", "tiny", "--device", "cpu")
    return manifest, store, [Path(video.path) for video in videos]


@cache
def run_of(place: Place) -> Path:
    """Learns an adapter on the device with the real command."""
    manifest, store, _ = world(place.folder)
    run = place.folder / "run"
    words = ["--store", store, "--manifest", manifest, "--to", run, "--prompts", 2, "--layers", 1]
    featx("train", *words, "--steps", 5, "--batch-size", 6, "--device", place.device)
    return run


def evaluation(place: Place) -> Iterator[Finding]:
    """An adapter that was learned on the device, scored there and on the CPU."""
    run = run_of(place)
    tables = {
        device: json.loads(featx("eval", run, "--device", device, "--format", "json").stdout)
        for device in ("cpu", place.device)
    }
    differing = differences(tables["cpu"], tables[place.device])
    yield Finding(
        "featx eval, device against CPU",
        f"{len(differing)} figures differ {differing[:3] or ''}".strip(),
        "0",
        not differing,
        {"differing": len(differing)},
    )
    store = world(place.folder)[1]
    yield scores_of(place, "featx predict of a store", "--store", store)


def prediction(place: Place) -> Iterator[Finding]:
    """Prediction from video files, which extracts them on the device first."""
    run_of(place)
    yield scores_of(place, "featx predict of files", *world(place.folder)[2][-3:])


def scores_of(place: Place, what: str, *words: object) -> Finding:
    """Compares the scores of every class and video."""
    found = {}
    for device in ("cpu", place.device):
        said = featx(
            "predict", *words, "--adapter", run_of(place), "--device", device, "--top", 3, "--format", "json"
        )
        found[device] = {
            (one["video"], each["class"]): each["score"]
            for one in json.loads(said.stdout)["predictions"]
            for each in one["classes"]
        }
    return worst_score(f"{what}, device against CPU", found["cpu"], found[place.device])


def worst_score(what: str, one: dict, other: dict) -> Finding:
    """Returns the largest difference of scores of the same things.

    Raises:
        RuntimeError: If not the same things are scored, or none.
    """
    if set(one) != set(other) or not one:
        raise RuntimeError(f"not the same things are scored: {sorted(set(one) ^ set(other))[:3]}")
    worst = max(abs(one[key] - other[key]) for key in one)
    said = f"scores differ by {worst:.1e} at most ({len(one)})"
    return Finding(what, said, f"<= {SCORE_BOUND:.0e}", worst <= SCORE_BOUND, {"difference": worst})


def search(place: Place) -> Iterator[Finding]:
    """A sentence that is looked for, with CLIP alone and with the adapter."""
    _, store, files = world(place.folder)
    for name, words in [("", []), (" with an adapter", ["--adapter", run_of(place)])]:
        found = {}
        for device in ("cpu", place.device):
            asked = [
                "search",
                store,
                "a red star",
                "--level",
                "videos",
                "--top",
                len(files),
                "--device",
                device,
            ]
            said = json.loads(featx(*asked, *words, "--format", "json").stdout)
            found[device] = {one["video"]: one["score"] for one in finds_of(said)}
        yield worst_score(f"featx search{name}, device against CPU", found["cpu"], found[place.device])


def finds_of(said: object) -> list[dict]:
    """Returns what was found, wherever it stands in the answer."""
    if isinstance(said, list):
        return [find for each in said for find in finds_of(each)]
    if isinstance(said, dict):
        return [said] if "score" in said else [find for each in said.values() for find in finds_of(each)]
    return []


def differences(one: object, other: object, at: str = "") -> list[str]:
    """Returns where two JSON contents differ; times may."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return [
            found
            for key in one
            if key not in ("date", "created", "seconds")
            for found in differences(one[key], other[key], f"{at}.{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for number, (a, b) in pairs for found in differences(a, b, f"{at}[{number}]")]
    return [] if one == other else [at]


def step_speed(place: Place) -> Iterator[Finding]:
    """The training step at 51 and 400 classes, and the memory that its texts take."""
    for classes in [3] if place.quick else [51, 400]:
        measured = step_table(classes, 1 if place.quick else 3, place.device)
        for name in ("packed", "bf16"):
            seconds = measured["seconds"][name]
            peak = peak_memory(name, classes, place.device)
            plain = measured["ratio_to_plain"].get(name)
            said = f"{1000 * seconds:.1f} ms"
            said += f", {plain:.1f} times the plain way's speed" if plain else ""
            said += f", texts take {peak:.0f} MiB" if peak is not None else ""
            figures = {"seconds": seconds, **({} if peak is None else {"peak_mib": peak})}
            yield Finding(
                f"training step, {classes} classes, {name.replace('packed', 'fp32')}", said, figures=figures
            )
