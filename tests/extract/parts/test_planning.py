"""A plan divides videos into parts; a machine chooses one that nobody works on."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.extract.parts.choice import choose_part
from featx.extract.parts.planning import divide, measure_bytes_a_frame
from featx.extract.parts.settings import (
    OF_A_MACHINE,
    WorkSettings,
    part_of_slice,
    settings_of_machine,
    settings_of_plan,
)
from featx.extract.plan.settings import ExtractSettings
from featx.store.parts.claims import Claim
from featx.store.parts.plan import PlannedVideo


@given(st.lists(st.integers(0, 10**6), max_size=60), st.integers(1, 10**4), st.randoms())
def test_every_video_is_in_one_part_of_about_the_size(
    sizes: list[int], part_frames: int, dice: random.Random
) -> None:
    videos = [
        PlannedVideo(f"{number}.mp4", f"/{number}.mp4", size_bytes=size) for number, size in enumerate(sizes)
    ]
    parts = divide(videos, 100.0, part_frames)
    assert sorted(video.id for part in parts for video in part) == sorted(video.id for video in videos)
    for part in parts:
        *but_last, _ = [(video.size_bytes or 0) / 100 for video in part]
        assert sum(but_last) < part_frames or not but_last
    shuffled = list(videos)
    dice.shuffle(shuffled)
    assert divide(shuffled, 100.0, part_frames) == parts  # whatever the order in which a disk lists them


def test_bytes_a_frame_are_measured(shape_videos: Path) -> None:
    files = sorted(shape_videos.rglob("*.mp4"))
    videos = [PlannedVideo(file.name, str(file), size_bytes=file.stat().st_size) for file in files]
    import av

    frames = {str(file): sum(1 for _ in av.open(str(file)).decode(video=0)) for file in files}
    ratios = sorted((video.size_bytes or 0) / frames[video.path] for video in videos)
    assert ratios[0] <= measure_bytes_a_frame(videos) <= ratios[-1]
    assert measure_bytes_a_frame([PlannedVideo("no", "/no/such.mp4", size_bytes=5)]) == 5_000


def test_a_free_part_comes_first_then_the_longest_in_somebodys_hands() -> None:
    dice, claims = random.Random(0), {1: Claim("a", 100.0), 2: Claim("b", 50.0)}
    chosen = {choose_part(range(5), {0}, claims, 1000.0, 10.0, dice) for _ in range(50)}
    assert chosen == {3, 4}
    assert choose_part(range(5), {0, 3, 4}, claims, 1000.0, 10.0, dice) == 2
    assert choose_part(range(5), {0, 3, 4}, claims, 1000.0, 920.0, dice) == 2
    assert choose_part(range(5), {0, 3, 4}, claims, 1000.0, 2000.0, dice) is None
    assert choose_part(range(5), range(5), {}, 0.0, 0.0, dice) is None


@given(st.integers(1, 50), st.integers(1, 300), st.booleans())
def test_slices_cover_all_parts_once(count: int, parts: int, from_one: bool) -> None:
    """Slurm's arrays may count from 0 or from 1."""
    taken = [
        number
        for index in range(count)
        for first, of in [part_of_slice(f"{index + from_one}/{count}")]
        for number in range(parts)[first::of]
    ]
    assert sorted(taken) == list(range(parts))


@pytest.mark.parametrize("given_slice", ["", "1", "3/2", "a/2", "1/0", "-1/2"])
def test_what_is_no_slice_is_refused(given_slice: str) -> None:
    with pytest.raises(ValueError, match="must be I/N"):
        WorkSettings(part_slice=given_slice)


def test_a_plan_fixes_all_that_is_not_a_machines_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.pt").touch()
    monkeypatch.chdir(tmp_path)
    given_settings = ExtractSettings(
        model="openai:clip.pt", fps="2", device="cpu", batch_size=8, on_damage="keep"
    )
    fixed = settings_of_plan(given_settings)
    assert fixed["model"] == f"openai:{tmp_path}/clip.pt" and not OF_A_MACHINE & fixed.keys()
    there = settings_of_machine(fixed, WorkSettings(device="cuda:1", batch_size=32))
    assert (there.fps, there.on_damage, there.device, there.batch_size) == ("2", "keep", "cuda:1", 32)
