"""Few-shot episodes and class splits: drawn with a seed, or read from lists, and never about what is not there."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.data_manifests.building.draw import EpisodeDraw, draw_class_splits, draw_episodes
from featx.data_manifests.building.lists import VideoFinder
from featx.errors import FeatxError
from featx.manifest.episodes import (
    ClassSplit,
    Episode,
    class_split_problems,
    episode_manifest,
    episode_problems,
    read_class_splits,
    read_episodes,
)
from featx.manifest.videos import Header, Manifest, Video, write_manifest


def make_manifest(train: int, test: int, classes: int, file: Path = Path("m.jsonl")) -> Manifest:
    labels = [f"class_{number}" for number in range(classes)]
    videos = [
        Video(
            id=f"{label}/{split}-{number}.mp4", path=f"{label}/{split}-{number}.mp4", split=split, label=label
        )
        for label in labels
        for split, count in (("train", train), ("test", test), ("", 1))
        for number in range(count)
    ]
    return Manifest(
        Header(name="m", classes={label: label.replace("_", " ") for label in labels}), videos, file
    )


sizes = {"train": st.integers(2, 6), "test": st.integers(1, 4), "classes": st.integers(2, 7)}


@given(**sizes, ways=st.integers(1, 7), shots=st.integers(1, 6), seed=st.integers(0, 5))
def test_n_way_draws(train: int, test: int, classes: int, ways: int, shots: int, seed: int) -> None:
    manifest = make_manifest(train, test, classes)
    draw = EpisodeDraw(ways, shots, pool=["train", "test"], test_split=None, seed=seed)
    if ways > classes or shots >= train + test:
        with pytest.raises(FeatxError, match="lower --ways"):
            draw_episodes(manifest, draw, count=1)
        return
    episodes = draw_episodes(manifest, draw, count=4)
    for episode in episodes:
        assert not episode_problems(episode, manifest)
        assert len(set(episode.classes)) == ways and len(episode.train) == ways * shots
        shown = Counter(manifest.by_id[video_id].label for video_id in episode.train)
        assert set(shown.values()) == {shots}
        everything = {v.id for v in manifest.videos if v.split and v.label in episode.classes}
        assert set(episode.train) | set(episode.test) == everything
        assert not set(episode.train) & set(episode.test)
    assert draw_episodes(manifest, draw, count=2) == episodes[:2]  # more episodes leave the first as they are


@given(**sizes, shots=st.integers(1, 6), seed=st.integers(0, 5))
def test_draws_of_all_classes(train: int, test: int, classes: int, shots: int, seed: int) -> None:
    manifest = make_manifest(train, test, classes)
    draw = EpisodeDraw(None, shots, pool=["train"], test_split="test", seed=seed)
    if shots > train:
        with pytest.raises(FeatxError, match="lower --shots"):
            draw_episodes(manifest, draw, count=1)
        return
    for episode in draw_episodes(manifest, draw, count=2):
        assert not episode_problems(episode, manifest)
        assert episode.classes == manifest.labels and len(episode.train) == classes * shots
        assert set(episode.test) == {video.id for video in manifest.split("test")}
        assert all(manifest.by_id[video_id].split == "train" for video_id in episode.train)


def test_another_seed_draws_others() -> None:
    manifest = make_manifest(20, 5, 9)
    draws = [EpisodeDraw(5, 5, pool=["train"], test_split="test", seed=seed) for seed in (0, 1)]
    first, second = (draw_episodes(manifest, draw, count=3) for draw in draws)
    assert first != second
    assert len({tuple(episode.classes) for episode in first}) > 1


@given(st.integers(2, 300), st.floats(0.01, 0.99), st.integers(0, 5))
def test_class_splits_are_disjoint_and_seeded(count: int, seen: float, seed: int) -> None:
    labels = [str(number) for number in range(count)]
    splits = draw_class_splits(labels, seen, 3, seed)
    for split in splits:
        assert sorted(split.seen + split.unseen, key=int) == labels
        assert len(split.seen) == min(max(round(seen * count), 1), count - 1)
    assert draw_class_splits(labels, seen, 1, seed) == splits[:1]


def test_an_episode_is_a_manifest() -> None:
    manifest = make_manifest(2, 1, 3)
    episode = Episode(
        name="e", classes=["class_2", "class_0"], train=["class_0/test-0.mp4"], test=["class_2/train-1.mp4"]
    )
    view = episode_manifest(manifest, episode)
    assert view.labels == ["class_0", "class_2"]  # class order is the manifest's
    assert [video.id for video in view.split("train")] == episode.train
    assert [video.id for video in view.split("test")] == episode.test
    assert manifest.by_id["class_0/test-0.mp4"].split == "test"  # the manifest itself is unchanged
    part = manifest.only(["class_1"])
    assert part.labels == ["class_1"] and {video.label for video in part.videos} == {"class_1"}


def test_everything_wrong_with_an_episode_is_said() -> None:
    manifest = make_manifest(2, 1, 3)
    train = ["class_0/train-0.mp4", "class_0/train-9.mp4", "class_2/train-0.mp4"]
    problems = episode_problems(
        Episode(name="e", classes=["class_0", "class_1", "klass_2"], train=train, test=[train[0]]), manifest
    )
    for said in (
        "class 'klass_2' is not in m.jsonl; did you mean 'class_2'",
        "train video 'class_0/train-9.mp4' is not in m.jsonl; did you mean 'class_0/train-",
        "'class_2/train-0.mp4' shows 'class_2', which is not one of the classes",
        "'class_0/train-0.mp4' stands there more than once",
        "class 'class_1' has no training video",
    ):
        assert any(said in problem for problem in problems), (said, problems)
    split = ClassSplit(name="s", seen=["class_0", "nope"], unseen=["class_0"])
    assert len(class_split_problems(split, manifest)) == 2


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A manifest m.jsonl and lists, with the class as a folder with a space or an underscore."""
    manifest = make_manifest(3, 2, 3, tmp_path / "m.jsonl")
    write_manifest(manifest)
    for part, lines in {
        "train": ["class 0/train-0", "class_1/train-1"],
        "test": ["class 0/test-0", "class 1/train-0"],
    }.items():
        (tmp_path / "lists" / part).mkdir(parents=True)
        for number in (0, 2, 10):
            (tmp_path / "lists" / part / f"split_{number}.list").write_text("\r\n".join(lines))
    return tmp_path


def test_lists_are_read_whatever_the_spelling_of_the_class(lists: Path, featx) -> None:
    words = ["manifest", "episodes", "--manifest", lists / "m.jsonl", "--to", lists / "e.jsonl"]
    assert featx(*words, "--lists", lists / "lists").code == 0
    manifest = make_manifest(3, 2, 3, lists / "m.jsonl")
    read = read_episodes(lists / "e.jsonl", manifest)
    assert [episode.name for episode in read.episodes] == ["split_0", "split_2", "split_10"]
    assert read.episodes[0].train == ["class_0/train-0.mp4", "class_1/train-1.mp4"]
    assert read.episodes[0].test == ["class_0/test-0.mp4", "class_1/train-0.mp4"]
    (lists / "lists" / "test").rename(lists / "aside")
    assert featx(*words, "--lists", lists / "lists").code == 0
    whole = read_episodes(lists / "e.jsonl", manifest).episodes[0]
    assert set(whole.test) == {v.id for v in manifest.split("test") if v.label in ("class_0", "class_1")}


def test_lists_may_differ_in_case_and_have_comments_and_a_byte_order_mark(lists: Path, featx) -> None:
    """As `featx manifest ucf101` reads them, whose copies differ in case; but a name that two videos have means none."""
    words = ["manifest", "episodes", "--manifest", lists / "m.jsonl", "--to", lists / "e.jsonl"]
    text = "# seed 0\nClass 0/Train-0.MP4\nclass_1/TRAIN-1\n"
    for number in (0, 2, 10):
        (lists / "lists" / "train" / f"split_{number}.list").write_text(text, encoding="utf-8-sig")
    assert featx(*words, "--lists", lists / "lists").code == 0
    manifest = make_manifest(3, 2, 3, lists / "m.jsonl")
    read = read_episodes(lists / "e.jsonl", manifest)
    assert read.episodes[0].train == ["class_0/train-0.mp4", "class_1/train-1.mp4"]
    twin = manifest.by_id["class_0/train-0.mp4"].model_copy(
        update={"id": "class_0/TRAIN-0.mp4", "path": "x.mp4"}
    )
    manifest.videos.append(twin)
    finder = VideoFinder(manifest)
    assert finder.find("class 0/TRAIN-0", "")[1] == "class_0/TRAIN-0.mp4"
    with pytest.raises(FeatxError, match="video 'Train-0' of class 'class_0' is not in"):
        finder.find("class 0/Train-0", "")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("class 0/train-00", "split_2.list:3: video 'train-00' of class 'class_0' is not in"),
        ("klass 0/train-1", "split_2.list:3: class 'klass 0' is not in .*did you mean 'class_0'"),
        ("train-1", "split_2.list:3: must be class/video"),
        ("class 1/train-0", "'class_1/train-0.mp4' stands there more than once"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(lists: Path, featx, line: str, says: str) -> None:
    with (lists / "lists" / "train" / "split_2.list").open("a") as file:
        file.write(f"\n{line}\n")
    words = ["manifest", "episodes", "--manifest", lists / "m.jsonl", "--to", lists / "e.jsonl"]
    outcome = featx(*words, "--lists", lists / "lists")
    assert outcome.code == 2 and re.search(says, outcome.err), outcome.err
    assert not (lists / "e.jsonl").exists()


def test_a_file_of_episodes_is_checked_against_the_manifest(lists: Path) -> None:
    manifest = make_manifest(3, 2, 3, lists / "m.jsonl")
    file = lists / "e.jsonl"
    head = '{"featx_episodes": 1, "name": "m"}\n'
    good = '{"name": "a", "classes": ["class_0"], "train": ["class_0/train-0.mp4"], "test": ["class_0/test-0.mp4"]}\n'
    for text, says in {
        head: "a header but no episodes",
        head + good + good: "e.jsonl:3: name 'a' was used on line 2",
        head + good.replace("test-0", "test-7"): "e.jsonl:2: a: test video .* did you mean 'class_0/test-",
        head + good.replace('"train"', '"trian"'): "e.jsonl:2: trian: .*did you mean 'train'",
        head.replace("1", "3") + good: "schema version 3",
        good: "not a list of episodes",
    }.items():
        file.write_text(text)
        with pytest.raises(FeatxError, match=says):
            read_episodes(file, manifest)


def test_commands_that_draw(lists: Path, featx) -> None:
    manifest = make_manifest(3, 2, 3, lists / "m.jsonl")
    base = ["--manifest", lists / "m.jsonl", "--to", lists / "e.jsonl"]
    outcome = featx("manifest", "episodes", *base, "--ways", 2, "--shots", 2, "--episodes", 7, "--seed", 3)
    assert outcome.code == 0 and "7 episodes of 2 classes, 4 training and 6 test videos" in outcome.out
    assert len(read_episodes(lists / "e.jsonl", manifest).episodes) == 7
    assert (
        "10 episodes of 3 classes" in featx("manifest", "episodes", *base, "--ways", "all", "--shots", 2).out
    )
    assert "must be a number" in featx("manifest", "episodes", *base, "--ways", "five").err
    assert "no video in split 'val'" in featx("manifest", "episodes", *base, "--train-splits", "val").err
    base[3] = lists / "c.jsonl"
    assert (
        "2 class splits, 2 seen and 1 unseen"
        in featx("manifest", "class-split", *base, "--seen", 0.6, "--splits", 2).out
    )
    assert len(read_class_splits(lists / "c.jsonl", manifest).splits) == 2
    (lists / "seen.list").write_text("Class 0\nclass_1\n")
    (lists / "unseen.list").write_text("class  1\n")
    words = [*base, "--train-list", lists / "seen.list", "--test-list", lists / "unseen.list"]
    assert "class 'class_1' is both seen and unseen" in featx("manifest", "class-split", *words).err
    (lists / "unseen.list").write_text("clas 2\n")
    assert "unseen.list:1: class 'clas 2' is not in" in featx("manifest", "class-split", *words).err
    (lists / "seen.list").write_text("class_0\n")
    (lists / "unseen.list").write_text("class_2\n")
    outcome = featx("manifest", "class-split", *words)
    assert outcome.code == 0 and "1 of the 3 classes" in outcome.out
    assert "one of --train-list" in featx("manifest", "class-split", *base).err
