"""The readers on the real lists of the method's authors, where these are present."""

from pathlib import Path

import pytest
from conftest import SHARED

from featx.data_manifests.building.lists import find_lists, read_class_lists, read_episode_lists
from featx.data_manifests.building.names import read_class_texts
from featx.data_manifests.official.hmdb51 import read_hmdb51
from featx.manifest.videos import Header, Manifest, Video, read_manifest


@pytest.fixture(scope="module")
def real() -> Path:
    folder = SHARED / "annotations"
    if not folder.is_dir():
        pytest.skip("no folder of real annotations; set FEATX_SHARED")
    return folder


@pytest.fixture(scope="module")
def hmdb51(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The manifest of a copy that has every video of split 1 but two; the files are empty."""
    from featx.data_manifests.building.build import match_folder, write

    folder = tmp_path_factory.mktemp("hmdb51")
    read = read_hmdb51(real / "hmdb51", 1)
    for entry in read.entries[1:-1]:
        (folder / "videos" / entry.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "videos" / entry.path).touch()
    matched = match_folder(read, folder / "videos", folder / "m.jsonl")
    write(matched)
    assert matched.missing == [read.entries[0].path, read.entries[-1].path]
    assert not matched.ambiguous and not matched.unclaimed and not matched.repeated
    return read_manifest(folder / "m.jsonl")


def test_hmdb51_split_1(hmdb51: Manifest, real: Path) -> None:
    assert len(hmdb51.split("train")) == 3_570 and len(hmdb51.split("test")) == 1_530
    lines = (real / "hmdb51" / "test_split01.txt").read_text().splitlines()
    assert [video.id for video in hmdb51.split("test")] == lines
    assert hmdb51.header.classes == read_class_texts(real / "hmdb51" / "HMDB51_clsname.json", hmdb51.labels)
    texts = (real / "hmdb51" / "HMDB51_action.list").read_text().splitlines()
    assert sorted(hmdb51.header.classes.values()) == sorted(text.strip() for text in texts)


def test_five_way_episodes(hmdb51: Manifest, real: Path) -> None:
    episodes = read_episode_lists(real / "few_shot_hmdb51" / "5way", hmdb51, "test")
    assert [episode.name for episode in episodes] == ["split_0", "split_1", "split_2"]
    for episode in episodes:
        assert len(episode.classes) == 5
        assert len(episode.train) == 25 and len(episode.test) == 475
        everything = {video.id for video in hmdb51.videos if video.label in episode.classes}
        assert set(episode.train) | set(episode.test) == everything and len(everything) == 500


def test_draws_of_all_classes(hmdb51: Manifest, real: Path) -> None:
    episodes = read_episode_lists(real / "few_shot_hmdb51" / "cway", hmdb51, "test")
    assert len(episodes) == 2
    for episode in episodes:
        assert len(episode.classes) == 51 and len(episode.train) == 255 == 51 * 5
        assert (
            set(episode.test) == {video.id for video in hmdb51.split("test")} and len(episode.test) == 1_530
        )
        assert all(hmdb51.by_id[video_id].split == "train" for video_id in episode.train)


def names_in(folder: Path) -> list[str]:
    return sorted({line for file in folder.rglob("*.list") for line in file.read_text().splitlines() if line})


def manifest_of(names: list[str]) -> Manifest:
    videos = [Video(id=name, path=name, label=name) for name in names]
    return Manifest(Header(name="x", classes={name: name for name in names}), videos, Path("x.jsonl"))


def test_kinetics700_open_set(real: Path) -> None:
    folder = real / "k700_open_set"
    manifest = manifest_of(names_in(folder))
    pair = {"split_0": {"train": folder / "train.list", "test": folder / "test.list"}}
    (split,) = read_class_lists(pair, manifest)
    assert len(split.seen) == 400 and len(split.unseen) == 300 and len(manifest.labels) == 700
    assert not set(split.seen) & set(split.unseen)


@pytest.mark.parametrize(
    ("name", "seen", "unseen"),
    [
        ("ActivityNet1.3-50", 100, 100),
        ("ActivityNet1.3-75", 150, 50),
        ("THUMOS14-50", 10, 10),
        ("THUMOS14-75", 15, 5),
    ],
)
def test_localisation_class_splits(real: Path, name: str, seen: int, unseen: int) -> None:
    folder = real / "localisation_open_set" / name
    splits = read_class_lists(find_lists(folder), manifest_of(names_in(folder)))
    assert len(splits) == 2
    for split in splits:
        assert (len(split.seen), len(split.unseen)) == (seen, unseen)
        assert not set(split.seen) & set(split.unseen)


@pytest.mark.parametrize(
    ("name", "sizes"), [("THUMOS14-75", "15 seen and 5"), ("THUMOS14-50", "10 seen and 10")]
)
def test_class_splits_of_a_thumos14_manifest(
    real: Path, tmp_path: Path, featx, name: str, sizes: str
) -> None:
    """The authors' lists fit the labels of the manifest that is made of the official files' names."""
    lists = real / "localisation_open_set" / name
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "video_test_0000001.mp4").touch()
    (tmp_path / "annotations").mkdir()
    for label in names_in(lists):
        for subset, video in (("val", "video_validation_0000001"), ("test", "video_test_0000001")):
            (tmp_path / "annotations" / f"{label}_{subset}.txt").write_text(f"{video} 1.0 2.0\n")
    words = ["--annotations", tmp_path / "annotations", "--videos", tmp_path / "videos"]
    assert featx("manifest", "thumos14", *words, "--to", tmp_path / "m.jsonl").code == 0
    made = ["--manifest", tmp_path / "m.jsonl", "--to", tmp_path / "splits.jsonl"]
    outcome = featx("manifest", "class-split", *made, "--lists", lists)
    assert outcome.code == 0 and f"2 class splits, {sizes} unseen classes" in outcome.out
    assert "in neither part" not in outcome.out
    outcome = featx(
        "manifest", "class-split", *made, "--seen", int(name[-2:]) / 100, "--splits", 10, "--seed", 1
    )
    assert outcome.code == 0 and f"10 class splits, {sizes} unseen classes" in outcome.out
