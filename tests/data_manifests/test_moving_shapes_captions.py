"""Moving shapes with captions: what is tested was never said in training, and its twin is tested too."""

from pathlib import Path

import pytest

from featx.data_manifests.moving_shapes.captioned import plan_captioned
from featx.data_manifests.moving_shapes.world import TWINS
from featx.errors import FeatxError
from featx.manifest.videos import read_manifest

BOTH = TWINS | {twin: motion for motion, twin in TWINS.items()}


def test_test_sentences_are_distinct_new_and_have_their_twin() -> None:
    plan = plan_captioned(0, {"train": 60, "test": 16})
    test = [video for video in plan if video.split == "test"]
    sentences = [sentence for video in test for sentence in video.captions]
    assert len(set(sentences)) == len(sentences) == 3 * 12 * 16
    assert not set(sentences) & {one for video in plan if video.split == "train" for one in video.captions}
    looks = {(video.shape, video.colour, video.motion) for video in test}
    for shape, colour, motion in looks:
        assert motion not in BOTH or (shape, colour, BOTH[motion]) in looks
    assert len({video.path for video in plan}) == len({video.seed for video in plan}) == len(plan)


def test_a_larger_set_holds_the_smaller_one_and_seeds_differ() -> None:
    few, many = plan_captioned(0, {"test": 2}), plan_captioned(0, {"train": 3, "test": 5})
    assert set(few) < set(many)
    assert set(few).isdisjoint(plan_captioned(1, {"test": 2}))
    with pytest.raises(FeatxError, match="--test 17: must be at most 16 a motion"):
        plan_captioned(0, {"test": 17})


def test_the_command_makes_videos_and_a_manifest_with_captions(tmp_path: Path, featx) -> None:
    words = ["manifest", "moving-shapes", "--task", "retrieval", "--to", tmp_path / "shapes"]
    outcome = featx(*words, "--train", 1, "--test", 1, "--workers", 2)
    assert outcome.code == 0, outcome.err
    assert "12 training and 12 test videos" in outcome.err
    manifest = read_manifest(tmp_path / "shapes" / "manifest.jsonl")
    assert all(len(video.captions) == 3 for video in manifest.videos)
    assert all((manifest.root / video.path).stat().st_size > 500 for video in manifest.videos)
    assert featx("manifest", "moving-shapes", "--task", "retrieva", "--to", tmp_path / "x").code == 2
