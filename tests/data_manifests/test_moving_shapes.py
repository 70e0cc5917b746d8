"""Moving shapes: twins differ in nothing but order, and the files are real, seeded and complete."""

from pathlib import Path

import av
import numpy as np
import pytest

from featx.data_manifests.moving_shapes.generate import class_texts, make_video, plan_videos
from featx.data_manifests.moving_shapes.render import render
from featx.data_manifests.moving_shapes.untrimmed import (
    draw_untrimmed,
    is_action,
    make_long_video,
    plan_long_videos,
)
from featx.data_manifests.moving_shapes.world import MOTIONS, TWINS, draw_clip
from featx.manifest.videos import read_manifest


@pytest.mark.parametrize(("motion", "twin"), TWINS.items())
def test_a_twin_shows_the_same_pictures_backwards(motion: str, twin: str) -> None:
    one, other = (draw_clip(np.random.default_rng(3), "heart", name) for name in (motion, twin))
    times = np.linspace(0, one.duration_s, 9)
    forwards = [one.actors[0].at(t) for t in times]
    backwards = [other.actors[0].at(one.duration_s - t) for t in times]
    for a, b in zip(forwards, backwards, strict=True):
        np.testing.assert_allclose(
            [a.x, a.y, a.size, a.angle, a.opacity], [b.x, b.y, b.size, b.angle, b.opacity], atol=1e-9
        )


def test_every_class_has_its_twin_among_the_classes() -> None:
    texts = set(class_texts().values())
    both = TWINS | {twin: motion for motion, twin in TWINS.items()}
    assert len(texts) == 16
    for text in texts:
        shape, motion = text.split(" ", 1)
        assert f"{shape} {both[motion]}" in texts


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_can_be_drawn(motion: str) -> None:
    scene = draw_clip(np.random.default_rng(0), "ring", motion)
    frames = [np.asarray(picture) for picture in render(scene)]
    assert len(frames) == scene.frame_count
    assert all(frame.shape == (scene.height, scene.width, 3) for frame in frames)
    changes = any((frame != frames[0]).any() for frame in frames)
    assert changes == (motion != "resting")


def test_long_videos_show_actions_and_distractors_with_bare_background_between() -> None:
    scenes = [draw_untrimmed(np.random.default_rng(seed)) for seed in range(40)]
    actors = [actor for scene in scenes for actor in scene.actors]
    actions = [actor for actor in actors if is_action(actor)]
    assert {f"{actor.shape} {actor.motion}" for actor in actions} == set(class_texts().values())
    assert 0.2 < 1 - len(actions) / len(actors) < 0.4
    for scene in scenes:
        assert 30 <= scene.duration_s <= 121 and len(scene.actors) >= 2
        ends = [0.0, *(actor.end_s for actor in scene.actors)]
        starts = [*(actor.start_s for actor in scene.actors), scene.duration_s]
        assert all(start - end >= 1 for start, end in zip(starts[:-1], ends[:-1], strict=True))
        assert ends[-1] <= starts[-1]


def test_the_command_makes_long_videos_whose_segments_show_something(tmp_path: Path, featx) -> None:
    to = tmp_path / "long"
    words = ["manifest", "moving-shapes", "--task", "localisation", "--train", 1, "--test", 1, "--to", to]
    assert featx(*words).code == 0
    manifest = read_manifest(to / "manifest.jsonl")
    video = manifest.split("test")[0]
    with av.open(str(manifest.root / video.path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert frames[-1][0] < video.duration_s < frames[-1][0] + 0.2
    still = frames[0][1].astype(float)  # every video begins with bare background
    changed = np.array([np.abs(picture - still).max() > 45 for _, picture in frames])
    times = np.array([time for time, _ in frames])
    assert not changed[times < 1].any()
    for segment in video.segments:
        inside = (times > segment.start_s + 0.2) & (times < segment.end_s - 0.2)
        around = (np.abs(times - segment.start_s + 0.5) < 0.3) | (np.abs(times - segment.end_s - 0.5) < 0.3)
        assert changed[inside].mean() > 0.9 and not changed[around].any()
    assert featx(*words[:3], "else", "--to", tmp_path / "no").err.startswith("featx: --task else: must be")


def test_a_long_video_depends_on_its_seed_only(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    few, many = plan_long_videos(3, {"test": 1}), plan_long_videos(3, {"train": 2, "test": 2})
    assert set(few) < set(many)
    contents = [(tmp_path / make_long_video(few[0], tmp_path)).read_bytes() for _ in range(2)]
    assert contents[0] == contents[1]


def test_videos_depend_on_the_seed_and_not_on_how_many_there_are(tmp_path: Path) -> None:
    few, many = plan_videos(0, {"test": 1}), plan_videos(0, {"train": 2, "test": 3})
    assert set(few) < set(many)
    (tmp_path / "circle-growing").mkdir()
    chosen = next(video for video in few if video.label == "circle-growing")
    contents = []
    for seed in (0, 0, 1):
        video = next(v for v in plan_videos(seed, {"test": 1}) if v.path == chosen.path)
        contents.append((tmp_path / make_video(video, tmp_path)).read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_the_command_makes_playable_files_and_a_manifest(tmp_path: Path, featx) -> None:
    to = tmp_path / "ms"
    assert featx("manifest", "moving-shapes", "--to", to, "--train", 1, "--test", 1).code == 0
    manifest = read_manifest(to / "manifest.jsonl")
    assert len(manifest.split("train")) == len(manifest.split("test")) == 16
    assert {video.label for video in manifest.split("test")} == set(manifest.labels)
    for video in manifest.split("test"):
        with av.open(str(manifest.root / video.path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert 24 <= stream.average_rate <= 30
            assert 40 <= sum(1 for _ in container.decode(stream)) <= 80
    again = featx("manifest", "moving-shapes", "--to", to)
    assert again.code == 2 and "holds a data set already" in again.err
