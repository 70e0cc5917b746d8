"""What a reader of README and docs has at hand: videos, annotations, and what the pages before have made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from pages import ROOT

from featx.manifest.videos import Manifest, Video, read_manifest, write_manifest

SHORT = "--set steps=3 --set batch_size=4"
DATA = "--store features/mine --manifest mine.jsonl"
FEATURES = ("hmdb51", "k700", "kinetics400", "all", "msrvtt", "thumos14")  # names of stores that pages take


def make_readers_folder(folder: Path, videos: Path, picture: Path) -> None:
    """Fills a folder.

    Args:
        folder: An empty one.
        videos: A folder of classes, with train and test videos of each.
        picture: A JPEG.
    """
    shutil.copytree(videos, folder / "videos")
    shutil.copy(picture, folder / "door.jpg")
    (folder / "train").symlink_to(ROOT / "train")
    featx(folder, "manifest folder --videos videos --to mine.jsonl")
    first = sorted((folder / "videos").rglob("*.mp4"))[0]
    for name in ("holiday.mp4", "lecture.mp4", "clips/a.mp4", "videos/wave/a.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(first, folder / name)
    featx(folder, "extract videos --model tiny --to features/mine")
    shutil.rmtree(folder / "videos" / "wave")  # the store has a video more than the class folders
    featx(folder, "extract lecture.mp4 --model tiny --to features/lecture")
    for name in FEATURES:
        (folder / "features" / name).symlink_to("mine")
    write_texts(folder, read_manifest(folder / "mine.jsonl"))
    for command in (
        "manifest class-split --manifest mine.jsonl --to open-set.jsonl --seen 0.5 --splits 1",
        "manifest episodes --manifest mine.jsonl --to 5way.jsonl --ways 2 --shots 1 --episodes 2",
        "manifest captions mine.csv --videos videos --to msrvtt.jsonl",
        "manifest activitynet-json mine.json --videos videos --to thumos14.jsonl",
        f"train {DATA} {SHORT} --to runs/both",
        f"train {DATA} {SHORT} --to runs/mine",
        f"train {DATA} --prompts 0 --layers 0 --to runs/zero-shot",
        f"train {DATA} {SHORT} --class-split open-set.jsonl --class-split-name split_0 --to runs/seen",
        f"train {DATA} {SHORT} --episodes 5way.jsonl --to runs/5way",
        f"sweep hmdb51 {SHORT} --grid prompts=2 layers=0 --seeds 1 --to runs/ablation",
    ):
        featx(folder, command)


def write_texts(folder: Path, manifest: Manifest) -> None:
    """Writes manifests of other names, annotations, tables, detections and lists about the same videos."""
    videos = manifest.videos

    def with_split(video: Video, test: str) -> Video:
        return video.model_copy(update={"split": test if video.split == "test" else video.split})

    for name, test in (("hmdb51", "test"), ("k700", "val"), ("kinetics400", "val")):
        named = [with_split(video, test) for video in videos]
        write_manifest(Manifest(manifest.header, named, folder / f"{name}.jsonl"))
    wave = {"id": "wave/a.mp4", "path": "wave/a.mp4", "label": "wave", "split": "test"}
    classes = manifest.header.classes | {"wave": "waving a hand"}
    header = manifest.header.model_copy(update={"classes": classes})
    write_manifest(
        Manifest(header, [*videos, videos[0].model_copy(update=wave)], folder / "all-classes.jsonl")
    )

    subsets = {"train": "training", "test": "testing"}
    annotated = {
        video.id: {
            "subset": subsets[video.split] if number else "validation",
            "duration": 2.0,
            "annotations": [{"label": video.label, "segment": [0.2, 1.2]}],
        }
        for number, video in enumerate(videos)
    }
    write_json(folder / "mine.json", {"version": "1", "taxonomy": [], "database": annotated})
    found = {
        video.id: [{"label": video.label, "score": 0.9, "segment": [0.1, 1.3]}]
        for video in videos
        if video.split == "test"
    }
    write_json(folder / "found.json", {"version": "1", "results": found, "external_data": {}})
    rows = [f"{video.path},{video.label},{video.split}" for video in videos]
    (folder / "table.csv").write_text("\n".join(["file,action,part", *rows]) + "\n")
    rows = [f"{video.path},{video.label} {number},{video.split}" for number, video in enumerate(videos)]
    (folder / "mine.csv").write_text("\n".join(["path,captions,split", *rows]) + "\n")
    (folder / "questions.txt").write_text("a star\na person opens a door\n")
    (folder / "my-classes.txt").write_text("a star grows\na star shrinks\n")


def write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content))


def featx(folder: Path, command: str) -> None:
    """Runs a command that succeeds."""
    words = [sys.executable, "-m", "featx", *command.split()]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)
