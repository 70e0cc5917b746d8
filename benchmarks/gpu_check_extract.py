"""The checks of `gpu_check` that are about extraction: the real command on a device against the CPU, and its speed."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from clip.model import CLIP
from gpu_check_place import Finding, Place, compare, featx

from featx.encoders.images import ImageEncoder
from featx.encoders.load import load_model
from featx.encoders.openai import TINY
from featx.encoders.openai_checkpoint import OPENAI_MARKS
from featx.store.reader import FeatureStore

# Smallest cosine and largest relative difference of a row to fp32 on the CPU. TF32 in nothing but the convolution would
# make 1.7e-4 of fp32's (ViT-B/16, rounded on a CPU).
BOUNDS = {"fp32": (0.999999, 5e-5), "bf16": (0.998, 6e-2), "fp16": (0.9999, 1.5e-2)}
EVERY = 8  # n-th frame that is compared with ViT-B/16: the CPU is the slow side
SPEED_FRAMES, MOST_FILES = 20_000, 500
BATCH = 64


@cache
def checkpoint(place: Place) -> Path:
    """Saves ViT-B/16 with random weights as a checkpoint, once; a smaller one to try the check."""
    torch.manual_seed(0)
    shape = (64, 2, 64, 16) if place.quick else (224, 12, 768, 16)
    file = place.folder / "random-vit.pt"
    state = CLIP(512, *shape, 77, 49408, 512, 1, 1).state_dict()
    torch.save(state | dict.fromkeys(OPENAI_MARKS, torch.zeros(())), file)
    return file


def extract(place: Place, to: str, *words: object) -> tuple[dict[str, np.ndarray], dict]:
    """Runs `featx extract` over the clips; returns the rows of each video and the run's figures.

    A clip that cannot be decoded is missing on both sides.
    """
    store, stats = place.folder / to, place.folder / f"{to}.json"
    featx("extract", *place.videos, "--to", store, "--stats", stats, *words, allowed=(0, 3))
    opened = FeatureStore(store)
    return {video_id: opened[video_id].features for video_id in opened}, json.loads(stats.read_text())


@cache
def on_cpu(place: Place, model: Path | str, *options: object) -> dict[str, np.ndarray]:
    """Returns the features in fp32 on the CPU."""
    words = ["--model", model, "--dtype", "float32", "--device", "cpu", "--precision", "fp32", *options]
    return extract(place, f"cpu-{Path(model).stem}", *words)[0]


def features(place: Place) -> Iterator[Finding]:
    """Features on the device against those in fp32 on the CPU."""
    vit = checkpoint(place)
    for name, model, options in [
        ("tiny", TINY, []),
        ("small ViT" if place.quick else "ViT-B/16", vit, ["--every", EVERY]),
    ]:
        same = ["--model", model, "--dtype", "float32", *options]
        reference = on_cpu(place, model, *options)
        rows = sum(len(video) for video in reference.values())
        for precision, (cosine_bound, bound) in BOUNDS.items():
            words = [*same, "--device", place.device, "--precision", precision]
            ours, _ = extract(place, f"{name[:3]}-{precision}", *words)
            cosine, difference = compare(ours, reference)
            yield Finding(
                f"features, {name} {precision}",
                f"cosine {cosine:.7f}, difference {difference:.1e} ({rows} rows)",
                f">= {cosine_bound}, <= {bound:.1e}",
                cosine >= cosine_bound and difference <= bound,
                {"cosine": cosine, "difference": difference, "rows": rows},
            )


def two_workers(place: Place) -> Iterator[Finding]:
    """Two worker processes on one device: other batches, the same features to the bit."""
    precision = "fp16" if place.on_gpu else "fp32"
    same = ["--model", checkpoint(place), "--dtype", "float32", "--every", EVERY]
    same += ["--precision", precision]
    one, _ = extract(place, "one", *same, "--device", place.device)
    number = place.device if ":" in place.device or not place.on_gpu else f"{place.device}:0"
    two, _ = extract(place, "two", *same, "--device", f"{number},{number}")
    _, difference = compare(two, one)
    said = f"difference {difference:.1e}"
    yield Finding(
        f"two workers on one device, {precision}", said, "= 0", difference == 0, {"difference": difference}
    )


def pictures(place: Place) -> Iterator[Finding]:
    """Pictures made on the device and the encoder as a graph: the same features to the bit, each way and both."""
    precision = "fp16" if place.on_gpu else "fp32"
    same = ["--model", checkpoint(place), "--dtype", "float32", "--device", place.device]
    same += ["--precision", precision, "--every", 1 if place.on_gpu else EVERY]
    plain, _ = extract(place, "by-pillow", *same, "--scale-on", "cpu", "--no-cuda-graph")
    for name, words in {
        "encoder as a CUDA graph": ["--scale-on", "cpu"],
        "pictures on the device": ["--scale-on", "device", "--no-cuda-graph"],
        "both": ["--scale-on", "device"],
    }.items():
        ours, figures = extract(place, f"pictures-{name.replace(' ', '-')}", *same, *words)
        _, difference = compare(ours, plain)
        said = f"difference {difference:.1e}; {figures['frames_from_planes']} of {figures['frames_decoded']} frames"
        numbers = {"difference": difference, "frames_from_planes": figures["frames_from_planes"]}
        yield Finding(f"{name}, {precision}", f"{said} from planes", "= 0", difference == 0, numbers)


def decoding(place: Place) -> Iterator[Finding]:
    """Frames that the GPU decodes against the same frames from the CPU.

    Raises:
        RuntimeError: If the extraction fails for another reason than its ``--decode-hwaccel``.
    """
    same = ["--model", TINY, "--dtype", "float32", "--device", place.device, "--precision", "fp32"]
    plain, _ = extract(place, "plain", *same)
    try:
        ours, figures = extract(place, "hwaccel", *same, "--decode-hwaccel", "cuda")
    except RuntimeError as error:
        if "--decode-hwaccel" not in str(error):
            raise
        reason = str(error).partition("--decode-hwaccel cuda: ")[2]
        yield Finding("--decode-hwaccel cuda", f"not tried: {reason}")
        return
    refused = sorted(set(plain) - set(ours))
    cosine, difference = compare(ours, {name: plain[name] for name in ours})
    said = f"cosine {cosine:.5f}, difference {difference:.1e}, {figures['frames_decoded_per_s']:.0f} frames/s"
    yield Finding(
        "--decode-hwaccel cuda against the CPU",
        said + (f", not decoded: {', '.join(refused)}" if refused else ""),
        ">= 0.99, none left out",
        cosine >= 0.99 and not refused,
        {"cosine": cosine, "difference": difference},
    )


def speed(place: Place) -> Iterator[Finding]:
    """Frames a second from videos to the store, against the bare encoder on ready frames."""
    vit = checkpoint(place)
    precision = "fp16" if place.on_gpu else "fp32"
    bare, peak = bare_encoder(place, vit, precision)
    memory = f", {peak / 2**20:.0f} MiB at the peak" if place.on_gpu else ""
    said = f"{bare:.0f} frames/s{memory}"
    yield Finding(
        f"bare encoder, {precision}, batch {BATCH}",
        said,
        figures={"frames_per_s": bare, "peak_bytes": float(peak)},
    )
    many = copies(place, 0 if place.quick else SPEED_FRAMES)
    ways = {
        "exact": ["--preprocess", "exact"],
        "exact by Pillow without a graph": ["--scale-on", "cpu", "--no-cuda-graph"],
        "fast": ["--preprocess", "fast"],
    }
    for way, more in ways.items():
        words = ["--model", vit, "--device", place.device, "--precision", precision, "--batch-size", BATCH]
        _, figures = extract(many, f"speed-{way.replace(' ', '-')}", *words, *more)
        rate = figures["frames_encoded_per_s"]
        said = f"{rate:.0f} frames/s, {rate / bare:.2f} of the bare encoder; limit: {figures['limit']}"
        said += f" ({figures['frames_encoded']} frames, {figures['cores']} cores)"
        numbers = {"frames_per_s": rate, "of_bare_encoder": rate / bare}
        yield Finding(f"videos to store, {way}", said, figures=numbers)


def copies(place: Place, frames: int) -> Place:
    """Returns a place with so many links to the clips that they have about ``frames`` frames together."""
    rows = {name: len(features) for name, features in on_cpu(place, TINY).items()}
    good = [file for file in place.videos if file.name in rows]
    folder = place.folder / "copies"
    folder.mkdir()
    made: list[Path] = []
    for number in range(min(max(1, -(-frames // sum(rows.values()))), max(1, MOST_FILES // len(good)))):
        for file in good:
            made.append(folder / f"{number}-{file.name}")
            made[-1].symlink_to(file.resolve())
    return replace(place, videos=tuple(made))


def bare_encoder(place: Place, model: Path, precision: str) -> tuple[float, int]:
    """Returns frames a second of the encoder alone, two batches in flight as in the run, and its peak memory."""
    loaded = load_model(str(model))
    encoder = ImageEncoder(loaded, place.device, precision, batch_size=BATCH)  # type: ignore[arg-type]
    shape = (BATCH, loaded.input_size, loaded.input_size, 3)
    ready = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if place.on_gpu:
        torch.cuda.reset_peak_memory_stats(place.device)
    for _ in range(3):
        encoder.encode(ready)
    batches = 300 if place.on_gpu else 3
    place.synchronise()
    began = time.perf_counter()
    flying: deque = deque()
    for _ in range(batches):
        flying.append(encoder.start(ready))
        if len(flying) == 2:
            flying.popleft()()
    while flying:
        flying.popleft()()
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(place.device) if place.on_gpu else 0
    return batches * BATCH / seconds, peak
