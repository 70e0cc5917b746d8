"""Files that featx writes and believes later: damage of any byte is an error that names the file, never other numbers."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from synthetic import tiny_fingerprint

from featx.errors import FeatxError
from featx.evaluate.run.baseline_file import BASELINE_FILE, BaselineHeader, read_baseline, write_baseline
from featx.localisation.detector import Detector, DetectorHeader, load_detector, save_detector
from featx.localisation.detector_config import DetectorConfig
from featx.localisation.proposals_file import (
    Proposals,
    ProposalsFile,
    ProposalsHeader,
    read_proposals,
    write_proposals,
)
from featx.manifest.episodes import (
    ClassSplit,
    ClassSplits,
    ClassSplitsHeader,
    Episode,
    Episodes,
    EpisodesHeader,
    read_class_splits,
    read_episodes,
    write_class_splits,
    write_episodes,
)
from featx.manifest.videos import Header, Manifest, Video
from featx.model.adapter import Adapter, AdapterHeader, load_adapter, save_adapter
from featx.model.adapter_config import AdapterConfig
from featx.scoring.results import Item, Results, Videos, read_results, summarise, write_results
from featx.train.adapter.episodes import FinishedEpisode, read_finished, write_finished
from featx.train.engine.checkpoint import Checkpoint, Checkpoints
from featx.train.engine.summary import SUMMARY_FILE, Summary, read_summary, write_summary

TIMES = int(os.environ.get("FEATX_DAMAGE", "40"))  # of each kind of damage to each file
CLASSES = {"a-b": "a b", "c": "c"}
FINGERPRINT = tiny_fingerprint()
MANIFEST = Manifest(
    Header(name="two", classes=CLASSES),
    [Video(id=f"{label}/{i}", path="x", split="train", label=label) for label in CLASSES for i in (0, 1)],
    Path("manifest.jsonl"),
)


@dataclass(frozen=True)
class Kind:
    """A file that `write` makes in a folder, and what `read` takes from it, as something that == compares."""

    write: Callable[[Path], Path]
    read: Callable[[Path], Any]


def listed(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: (tuple(one.shape), torch.as_tensor(one).tolist()) for name, one in tensors.items()}


def write_one_adapter(folder: Path) -> Path:
    torch.manual_seed(0)
    adapter = Adapter(AdapterConfig(prompts=2, layers=0, heads=2, clip_frames=4), 8, FINGERPRINT.width)
    header = AdapterHeader(
        config=adapter.config,
        fingerprint=FINGERPRINT,
        model_source="tiny",
        classes=CLASSES,
        settings={"seed": 0},
    )
    save_adapter(folder / "adapter.safetensors", adapter, header)
    return folder / "adapter.safetensors"


def read_one_adapter(file: Path) -> Any:
    adapter, header = load_adapter(file)
    return header, listed(adapter.state_dict())


def write_one_detector(folder: Path) -> Path:
    detector = Detector(
        DetectorConfig(grid_step_s=0.1, width=4, heads=1, levels=2, window=3, stem=0), FINGERPRINT.width
    )
    header = DetectorHeader(config=detector.config, fingerprint=FINGERPRINT, classes=CLASSES, settings={})
    save_detector(folder / "detector.safetensors", detector, header)
    return folder / "detector.safetensors"


def read_one_detector(file: Path) -> Any:
    detector, header = load_detector(file)
    return header, listed(detector.state_dict())


def write_one_baseline(folder: Path) -> Path:
    header = BaselineHeader(
        method="nearest-mean", templates=[], fingerprint=FINGERPRINT, model_source="tiny", classes=CLASSES,
        data_set="two", settings={},
    )  # fmt: skip
    means = np.random.default_rng(0).standard_normal((2, FINGERPRINT.width))
    write_baseline(folder, header, {"means": means})
    return folder / BASELINE_FILE


def read_one_baseline(file: Path) -> Any:
    header, tensors = read_baseline(file)
    return header, listed(tensors)


def write_one_result(folder: Path) -> Path:
    items = [
        Item(name=f"split_{i}", scored=9, metrics={"top1": 0.5 + i / 8, "t2v_mean_rank": 3.5}) for i in (0, 1)
    ]
    metrics, spread = summarise(items)
    results = Results(
        task="recognition", run="r", date="2026-01-01", config={"prompts": 2}, learned_parameters=16, data_set="two",
        manifest="m", store="s", split="test", clips=10, classes=2, fingerprint=FINGERPRINT.model_dump(),
        videos=Videos(scored=18, missing=[]), metrics=metrics, spread=spread, items=items,
    )  # fmt: skip
    return write_results(results, folder)


def write_one_summary(folder: Path) -> Path:
    write_summary(Summary(16, 5, 1.5, {}, "memory", 1, 4, 0, 0, None, [], []), folder)
    return folder / SUMMARY_FILE


def write_one_episode(folder: Path) -> Path:
    item = Item(name="split_0", scored=9, metrics={"top1": 0.875})
    write_finished(folder / "0000.json", FinishedEpisode(item=item, missing=["c/1"], untrained=0))
    return folder / "0000.json"


def write_one_proposals(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        rng = np.random.default_rng(0)
        start_s = rng.uniform(0, 9, 5)
        one = Proposals(start_s, start_s + 1, rng.uniform(0, 1, 5))
        none = Proposals(*np.empty((3, 0)))
        header = ProposalsHeader(data_set="two", split="test", fingerprint=FINGERPRINT)
        write_proposals(folder / name, ProposalsFile(header, {"a": one, "b": none}))
        return folder / name

    return write


def read_one_proposals(file: Path) -> Any:
    content = read_proposals(file)
    videos = content.videos.items()
    return content.header, {k: (v.start_s.tolist(), v.end_s.tolist(), v.score.tolist()) for k, v in videos}


def write_one_list(folder: Path) -> Path:
    episode = Episode(name="e0", classes=["c", "a-b"], train=["c/0", "a-b/0"], test=["c/1", "a-b/1"])
    write_episodes(Episodes(EpisodesHeader(name="two"), [episode]), folder / "list.jsonl")
    return folder / "list.jsonl"


def write_one_class_split(folder: Path) -> Path:
    split = ClassSplit(name="s0", seen=["c"], unseen=["a-b"])
    write_class_splits(ClassSplits(ClassSplitsHeader(name="two"), [split]), folder / "splits.jsonl")
    return folder / "splits.jsonl"


def write_one_checkpoint(folder: Path) -> Path:
    return Checkpoints(folder).save(3, Checkpoint({"step": 3}, {"a.x": torch.arange(6.0).reshape(2, 3)}))


def read_one_checkpoint(file: Path) -> Any:
    said: list[str] = []
    content = file.read_bytes()
    found = Checkpoints(file.parent.parent).newest(said.append)
    if found is None:  # it was removed; put it back for the next damage
        file.write_bytes(content)
        raise FeatxError(said[0])
    return found.record, listed(found.tensors)


KINDS = {
    "adapter": Kind(write_one_adapter, read_one_adapter),
    "detector": Kind(write_one_detector, read_one_detector),
    "baseline": Kind(write_one_baseline, read_one_baseline),
    "results": Kind(write_one_result, lambda file: read_results(file.parent)),
    "summary": Kind(write_one_summary, lambda file: read_summary(file.parent)),
    "episode": Kind(write_one_episode, read_finished),
    "proposals-json": Kind(write_one_proposals("p.json"), read_one_proposals),
    "proposals-parquet": Kind(write_one_proposals("p.parquet"), read_one_proposals),
    "episodes": Kind(write_one_list, lambda file: read_episodes(file, MANIFEST)),
    "class-splits": Kind(write_one_class_split, lambda file: read_class_splits(file, MANIFEST)),
    "checkpoint": Kind(write_one_checkpoint, read_one_checkpoint),
}


def damaged(content: bytes, rng: np.random.Generator) -> list[bytes]:
    """A flipped bit, the file cut short, and a block of zeros."""
    flipped, place = bytearray(content), int(rng.integers(len(content)))
    flipped[place] ^= 1 << int(rng.integers(8))
    zeroed, first = bytearray(content), int(rng.integers(len(content)))
    length = min(int(rng.integers(1, 65)), len(content) - first)
    zeroed[first : first + length] = bytes(length)
    return [bytes(flipped), content[: int(rng.integers(len(content)))], bytes(zeroed)]


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_an_error_that_names_the_file_or_changes_nothing(name: str, tmp_path: Path) -> None:
    if name == "proposals-parquet":
        pytest.importorskip("pyarrow")
    kind, rng = KINDS[name], np.random.default_rng(0)
    file = kind.write(tmp_path)
    content, right = file.read_bytes(), kind.read(file)
    refused = 0
    for _ in range(TIMES):
        for broken in damaged(content, rng):
            file.write_bytes(broken)
            try:
                assert kind.read(file) == right
            except FeatxError as error:
                assert str(file) in str(error)
                refused += 1
    # what may be read all the same: bytes that happen to be as they were, and in Parquet those that say nothing
    assert refused >= (0.6 if name == "proposals-parquet" else 0.95) * 3 * TIMES


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("checkpoint", "proposals-parquet")])
def test_a_changed_number_is_seen(name: str, tmp_path: Path) -> None:
    """Not only damage: what somebody has edited is not what was computed."""
    kind = KINDS[name]
    file = kind.write(tmp_path)
    for old, new in ((b"0.5", b"0.9"), (b"two", b"six"), (b'"steps": 5', b'"steps": 9'), (b"9", b"8")):
        content = file.read_bytes()
        if old in content:
            file.write_bytes(content.replace(old, new, 1))
            with pytest.raises(FeatxError, match="changed since it was written") as error:
                kind.read(file)
            assert str(file) in str(error.value)
            return
    raise AssertionError("nothing to change")


@pytest.mark.parametrize(
    "name", ["adapter", "detector", "baseline", "results", "summary", "episode", "proposals-json"]
)
def test_files_of_before_are_read_with_a_note(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[name]
    file = kind.write(tmp_path)
    right = kind.read(file)
    assert capfd.readouterr().err == ""
    if file.suffix == ".safetensors":
        header = read_metadata(file)
        save_file(load_file(file), file, {"featx": header["featx"]})
    else:
        content = json.loads(file.read_bytes())
        del content["sha256"]
        file.write_text(json.dumps(content))
    assert kind.read(file) == right
    assert f"{file}: has no digest" in capfd.readouterr().err


def read_metadata(file: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return opened.metadata()


@pytest.mark.parametrize("name", ["adapter", "detector", "baseline"])
@pytest.mark.parametrize("fault", ["nan", "missing", "further", "shape", "header", "key"])
def test_faulty_files_of_before_are_refused_in_one_line(name: str, fault: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    file = kind.write(tmp_path)
    tensors, text = load_file(file), read_metadata(file)["featx"]
    first = next(one for one, tensor in tensors.items() if tensor.dim() > 1)
    if fault == "nan":
        tensors[first].view(-1)[0] = torch.nan
    elif fault == "missing":
        del tensors[first]
    elif fault == "further":
        tensors["strange"] = torch.zeros(2)
    elif fault == "shape":
        tensors[first] = tensors[first].flatten()
    elif fault == "header":
        text = text[:-9]
    else:
        content = json.loads(text)
        del content["fingerprint"]
        text = json.dumps(content)
    save_file(tensors, file, {"featx": text})
    with pytest.raises(FeatxError) as error:
        kind.read(file)
    assert str(error.value).startswith(str(file))


def test_results_of_before_are_within_bounds(tmp_path: Path) -> None:
    file = write_one_result(tmp_path)
    content = json.loads(file.read_bytes())
    del content["sha256"]
    for name, value in (("top1", 98.125), ("top1", -0.1), ("top1", 1e400), ("t2v_mean_rank", 0.5)):
        file.write_text(json.dumps(content | {"metrics": content["metrics"] | {name: value}}))
        with pytest.raises(FeatxError, match=f"metrics.*{name} is") as error:
            read_results(tmp_path)
        assert str(file) in str(error.value)
    file.write_text(json.dumps(content | {"classes": -1}))
    with pytest.raises(FeatxError, match="classes"):
        read_results(tmp_path)


def test_safetensors_with_a_digest_is_safetensors(tmp_path: Path) -> None:
    file = write_one_adapter(tmp_path)
    assert torch.equal(load_file(file)["prompt_table"], load_adapter(file)[0].prompt_table)
    assert set(read_metadata(file)) == {"featx", "sha256"}
    first = file.read_bytes()
    write_one_adapter(tmp_path)
    assert file.read_bytes() == first
