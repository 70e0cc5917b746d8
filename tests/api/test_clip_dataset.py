"""`featx.ClipDataset`: the clips of training and evaluation, with any number of workers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler

import featx
from featx.features.clips import CLIPS, ClipSampling, even_clips
from featx.manifest.videos import read_manifest
from featx.scoring.clip_scores import score_clips
from featx.train.adapter.settings import TrainSettings


@pytest.fixture(scope="module")
def files(class_data: Path) -> tuple[Path, Path]:
    return class_data / "features", class_data / "manifest.jsonl"


def clip_rows(store: featx.FeatureStore, video_id: str, clip: torch.Tensor) -> list[int]:
    """Which rows of a video a clip consists of; they differ."""
    features = torch.from_numpy(store[video_id].features).float()
    rows = [int((features == row).all(dim=1).nonzero()[0, 0]) for row in clip]
    assert torch.equal(features[rows], clip)
    return rows


def test_an_item_is_a_clip_and_the_index_of_its_class(files: tuple[Path, Path]) -> None:
    store, manifest = featx.open_store(files[0]), read_manifest(files[1])
    data = featx.ClipDataset(store, files[1], split="train", frames=16)
    of_split = manifest.split("train")
    assert len(data) == len(of_split) == 48 and data.train and data.missing == []
    assert data.classes == manifest.labels and data.texts == list(manifest.header.classes.values())
    for index in range(len(data)):
        clip, label = data[index]
        assert clip.shape == (16, 128) and clip.dtype == torch.float32 and type(label) is int
        assert data.classes[label] == manifest.by_id[data.ids[index]].label
        rows = clip_rows(store, data.ids[index], clip)
        assert rows == sorted(rows)


def test_evaluation_takes_the_clips_of_featx_eval(files: tuple[Path, Path]) -> None:
    store = featx.open_store(files[0])
    data = featx.ClipDataset(*map(str, files), split="test", clips=CLIPS)
    settings = TrainSettings(store=files[0], manifest=files[1])
    sampling = ClipSampling(16, settings.strides, settings.stride_weights)
    assert len(data) == 60 * CLIPS and not data.train
    for number, video_id in enumerate(data.ids[:10]):
        expected = even_clips(store.rows(video_id), sampling).tolist()
        got = [clip_rows(store, video_id, data[number * CLIPS + clip][0]) for clip in range(CLIPS)]
        assert got == expected
    assert torch.equal(data[3][0], data[3][0])


def test_its_clips_give_the_scores_of_zero_shot_evaluation(
    files: tuple[Path, Path], tmp_path: Path, run_featx
) -> None:
    """Somebody's own loop over the data set has the accuracy that the command prints."""
    named = ["--store", files[0], "--manifest", files[1], "--to", tmp_path / "zero"]
    run_featx("baseline", "zero-shot", *named, "--template", "{}")
    data = featx.ClipDataset(*files, split="test", clips=CLIPS)
    video = torch.stack([data[item][0].mean(dim=0) for item in range(len(data))])
    video = torch.nn.functional.normalize(video, dim=-1).view(len(data.ids), CLIPS, -1)
    scores = score_clips(video, featx.encode_text(files[0], data.texts))
    (results,) = featx_results(tmp_path / "zero")
    assert np.mean(scores.argmax(axis=1) == data.labels) == pytest.approx(results["metrics"]["top1"])


def featx_results(run: Path) -> list[dict]:
    import json

    return [json.loads(file.read_text()) for file in run.glob("results-*.json")]


def epochs(data: featx.ClipDataset, **loading) -> list[torch.Tensor]:
    loader = DataLoader(data, batch_size=7, **loading)
    return [torch.cat([clips for clips, _ in loader]) for _ in range(3)]


@pytest.mark.parametrize(
    "loading",
    [
        {"num_workers": 2, "multiprocessing_context": "fork"},
        {"num_workers": 2, "multiprocessing_context": "spawn"},
        {"num_workers": 2, "multiprocessing_context": "fork", "persistent_workers": True},
    ],
    ids=["fork", "spawn", "persistent"],
)
def test_draws_depend_on_the_seed_and_not_on_the_workers(files: tuple[Path, Path], loading: dict) -> None:
    alone = epochs(featx.ClipDataset(*files))
    with_workers = epochs(featx.ClipDataset(*files), **loading)
    for one, other in zip(alone, with_workers, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(alone[0], alone[1]) and not torch.equal(alone[1], alone[2])
    assert not torch.equal(alone[0], epochs(featx.ClipDataset(*files, seed=1))[0])


def test_every_video_is_read_once_an_epoch_by_a_shuffling_loader(files: tuple[Path, Path]) -> None:
    data = featx.ClipDataset(*files, split="test", clips=2)
    labels = torch.cat([some for _, some in DataLoader(data, batch_size=9, shuffle=True, num_workers=2)])
    assert labels.bincount().tolist() == [20] * 6


def test_random_draws_are_spread_as_in_training(files: tuple[Path, Path]) -> None:
    """Of a video of 62 rows, most clips begin somewhere else; a sampler may ask for one video again and again."""
    store = featx.open_store(files[0])
    longest = max(store, key=store.rows)
    split = next(video.split for video in read_manifest(files[1]).videos if video.id == longest)
    data = featx.ClipDataset(store, files[1], split=split, train=True)
    place = data.ids.index(longest)
    starts = {clip_rows(store, longest, data[place][0])[0] for _ in range(60)}
    assert len(starts) > 10
    sampler = RandomSampler(data, replacement=True, num_samples=30)
    assert sum(len(labels) for _, labels in DataLoader(data, batch_size=5, sampler=sampler)) == 30


@pytest.mark.parametrize(
    "kind", [int, np.int64, np.uint8, torch.tensor, lambda index: torch.tensor(index)[None][0]]
)
def test_any_whole_number_is_an_index(files: tuple[Path, Path], kind) -> None:
    data = featx.ClipDataset(*files, split="test")
    assert torch.equal(data[kind(5)][0], data[5][0]) and torch.equal(data[-1][0], data[len(data) - 1][0])
    for wrong in (len(data), -len(data) - 1):
        with pytest.raises(IndexError):
            data[wrong]
    with pytest.raises(TypeError):
        data[1.0]


def test_arguments_that_do_not_go_together(files: tuple[Path, Path]) -> None:
    def error_of(*given, **arguments) -> str:
        with pytest.raises(featx.FeatxError) as caught:
            featx.ClipDataset(*(given or files), **arguments)
        return str(caught.value)

    assert "clips=5: is for evaluation" in error_of(clips=5)
    assert "must be 1 or more" in error_of(frames=0)
    assert "same length" in error_of(strides=[1])
    assert "no video of split 'valid'" in error_of(split="valid") or "valid" in error_of(split="valid")
    assert error_of(files[0], files[1].with_name("no.jsonl")).startswith(str(files[1].with_name("no.jsonl")))


def test_defaults_are_those_of_training(files: tuple[Path, Path]) -> None:
    settings = TrainSettings(store=files[0], manifest=files[1])
    sampling = featx.ClipDataset(*files)._sampling
    assert (sampling.frames, sampling.strides, sampling.weights) == (
        settings.clip_frames,
        settings.strides,
        settings.stride_weights,
    )
