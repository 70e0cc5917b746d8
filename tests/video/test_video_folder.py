"""Which files of a folder are videos: one answer everywhere, and whatever is left out is said."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from featx.data_manifests.building.video_index import video_folder
from featx.evaluate.predict.temporary_features import list_files
from featx.extract.plan.videos import find_videos
from featx.store.reader import FeatureStore
from featx.video.ffmpeg import DEMUXERS, ffmpeg_path
from featx.video.files import ENDINGS, ENDINGS_OF, without_ending
from featx.video.folder import VideoFolder, search_folder

# what ffmpeg counts among these formats, but mostly is sound, a subtitle, a picture or text
OTHER_THINGS = {
    *(".m4a", ".m4b", ".isma", ".mka", ".ogg", ".mks", ".avif", ".heic", ".heif", ".psp", ".ism"),
}
MPEG4, MPEG2 = ["-c:v", "mpeg4"], ["-c:v", "mpeg2video"]
# format as ffmpeg reads it: how it writes one; none of vc1, vc1test, dhav and av1 (as Annex B) can be written
WRITTEN = {
    "mov,mp4,m4a,3gp,3g2,mj2": ["-f", "mov", *MPEG4],
    "matroska,webm": ["-f", "matroska", *MPEG4],
    "avi": ["-f", "avi", *MPEG4],
    "mpeg": ["-f", "mpeg"],
    "mpegts": ["-f", "mpegts", *MPEG2],
    "mpegvideo": ["-f", "mpeg2video", *MPEG2],
    "flv": ["-f", "flv"],
    "asf": ["-f", "asf", *MPEG4],
    "ogg": ["-f", "ogv"],
    "m4v": ["-f", "m4v", *MPEG4],
    "h261": ["-f", "h261"],
    "h263": ["-f", "h263"],
    "h264": ["-f", "h264", "-c:v", "libx264"],
    "hevc": ["-f", "hevc", "-c:v", "libx265", "-x265-params", "log-level=none"],
    "vvc": ["-f", "vvc", "-c:v", "libvvenc"],
    "obu": ["-f", "obu", "-c:v", "libaom-av1", "-cpu-used", "8"],
    "ivf": ["-f", "ivf", "-c:v", "libvpx"],
    "mxf": ["-f", "mxf", *MPEG2],
    "gxf": ["-f", "gxf", "-s", "720x576", *MPEG2],
    "gif": ["-f", "gif"],
    "rm": ["-f", "rm", "-c:v", "rv10"],
    "nut": ["-f", "nut", *MPEG4],
    "wtv": ["-f", "wtv", *MPEG2],
    "dv": ["-f", "dv", "-s", "720x576", "-pix_fmt", "yuv420p"],
    "yuv4mpegpipe": ["-f", "yuv4mpegpipe"],
}


def ffmpeg(*words: object) -> str:
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", *map(str, words)]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def touch(folder: Path, *paths: str | bytes) -> None:
    for path in paths:
        file = folder / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_the_endings_are_those_of_ffmpegs_own_list() -> None:
    listed = {line.split()[1] for line in ffmpeg("-demuxers").splitlines() if line.startswith(" D ")}
    assert set(ENDINGS_OF) <= listed and ",".join(ENDINGS_OF) == DEMUXERS
    for demuxer in ENDINGS_OF:
        said = re.search(r"Common extensions: (.*)\.\n", ffmpeg("-h", f"demuxer={demuxer.split(',')[0]}"))
        of_ffmpeg = {f".{ending}" for ending in said[1].split(",")} if said else set()
        assert of_ffmpeg - set(ENDINGS_OF[demuxer].split()) <= OTHER_THINGS, demuxer
    assert not ENDINGS & OTHER_THINGS


def test_no_format_is_opened_that_names_other_files() -> None:
    formats = set(DEMUXERS.split(","))
    assert not [name for name in formats if name.endswith("_pipe") or "image2" in name or "webm_dash" in name]
    assert not formats & {
        "concat",
        "hls",
        "dash",
        "imf",
        "mlv",
        "sdp",
        "rtsp",
        "avisynth",
        "lavfi",
        "dvdvideo",
    }


def test_a_file_of_every_ending_is_extracted(tmp_path: Path, featx) -> None:
    folder, expected = tmp_path / "videos", set()
    folder.mkdir()
    for number, (demuxer, words) in enumerate(WRITTEN.items()):
        made = tmp_path / str(number)
        source = "testsrc2=size=176x144:rate=25:duration=0.2"
        ffmpeg("-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", *words, made)
        for ending in ENDINGS_OF[demuxer].split():
            name = f"{number}{ending.upper() if number % 2 else ending}"
            shutil.copy(made, folder / name)
            expected.add(name)
    outcome = featx("extract", folder, "--to", tmp_path / "s", "--model", "tiny", "--every", 1000)
    assert outcome.code == 0, outcome.err
    assert set(FeatureStore(tmp_path / "s")) == expected
    assert "not taken" not in outcome.err and "left out" not in outcome.err
    unwritten = {ending for name in ENDINGS_OF.keys() - WRITTEN for ending in ENDINGS_OF[name].split()}
    assert {Path(name).suffix.lower() for name in expected} | unwritten == ENDINGS


def test_words_with_two_meanings(tmp_path: Path) -> None:
    (tmp_path / "main.ts").write_text("export const x: number = 1;\n")
    (tmp_path / "script.nut").write_text("function f() {}\n")
    (tmp_path / "table.dif").write_text("TABLE\n0,1\n")
    (tmp_path / "song.mod").write_bytes(b"a song\0\0\0" + bytes(2000))
    (tmp_path / "any.dat").write_bytes(bytes(100))
    (tmp_path / "camera.mod").write_bytes(b"\0\0\1\xba" + bytes(100))
    (tmp_path / "disc.DAT").write_bytes(b"RIFF\0\0\0\0CDXAfmt ")
    (tmp_path / "torn.ts").write_bytes(b"no sync byte at its begin\0" + bytes(500))
    (tmp_path / "empty.ts").touch()  # a download that failed is a failure, not silence
    os.mkfifo(tmp_path / "pipe.ts")  # would never end, if it were looked into
    found = search_folder(tmp_path)
    assert found.videos == ["camera.mod", "disc.DAT", "empty.ts", "pipe.ts", "torn.ts"]
    assert found.others == ["any.dat", "main.ts", "script.nut", "song.mod", "table.dif"]
    assert "main.ts" in search_folder(tmp_path, also={".ts"}).videos


HIDDEN = [
    *("._b.mp4", ".hidden.mkv", ".Trash/c.mp4", ".Trashes/501/c.mp4", ".Spotlight-V100/c.mp4", ".AppleDouble/c.mp4"),
    *("a/@eaDir/d.mp4/thumb.mp4", "#recycle/c.mp4", "$RECYCLE.BIN/c.mp4", "System Volume Information/c.mp4"),
    "lost+found/c.mp4",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    touch(
        root, "b.mp4", "a/d.mp4", "a/e.MXF", "z.qt", b"a/latin-\xe9.mp4", *HIDDEN, ".DS_Store", "a/.DS_Store"
    )
    touch(root, "notes.txt", "a/b.txt", "a/b.SRT", "README", "b.mp4.part", "a.b/c")
    (root / "link").symlink_to(root / "a")
    return root


VIDEOS = ["a/d.mp4", "a/e.MXF", "a/latin-\udce9.mp4", "b.mp4", "z.qt"]


def test_what_is_hidden_is_left_out_and_counted(folder: Path) -> None:
    found = search_folder(folder)
    assert found == VideoFolder(
        videos=VIDEOS,
        others=["README", "a.b/c", "a/b.SRT", "a/b.txt", "b.mp4.part", "notes.txt"],
        hidden=sorted([
            *("._b.mp4", ".hidden.mkv", ".Trash/", ".Trashes/", ".Spotlight-V100/", ".AppleDouble/", "a/@eaDir/"),
            *("#recycle/", "$RECYCLE.BIN/", "System Volume Information/", "lost+found/"),
        ]),
        linked_folders=["link"],
    )  # fmt: skip
    assert search_folder(folder, hidden=True).videos == sorted([*VIDEOS, *HIDDEN])
    assert search_folder(folder / ".Trash").videos == ["c.mp4"]  # it was asked for
    assert search_folder(folder, also={".part"}).videos == sorted([*VIDEOS, "b.mp4.part"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_hidden_folder_need_not_be_readable(folder: Path) -> None:
    (folder / ".Trashes").chmod(0)
    try:
        assert search_folder(folder).videos == VIDEOS
    finally:
        (folder / ".Trashes").chmod(0o755)


def test_every_command_finds_the_same_files(folder: Path) -> None:
    taken = search_folder(folder).videos
    extracted = find_videos([folder])
    assert [video.id for video in extracted.videos] == taken
    assert [video.path for video in extracted.videos] == [folder / path for path in taken]
    predicted = list_files([folder])
    nameable = [path for path in taken if "latin" not in path]
    assert predicted.files == [folder / path for path in nameable]
    assert {path.removeprefix(f"{folder}/") for path in predicted.failures} == {"a/latin-\udce9.mp4", "link"}
    below, notes = video_folder(folder)
    assert below.videos == nameable
    for lines in (extracted.left_out, predicted.left_out, notes):
        text = "\n".join(lines)
        assert "6 files are not taken as video: 2 without ending, 2 .txt, 1 .part, 1 .srt" in text
        assert (
            "11 hidden files and folders are left out: '#recycle/', '$RECYCLE.BIN/'" in text
            and "8 more" in text
        )
    assert any("symbolic links" in note for note in notes) and any("UTF-8" in note for note in notes)


def test_nothing_left_out_is_nothing_said(tmp_path: Path) -> None:
    touch(tmp_path, "a/b.mp4", ".DS_Store")
    assert (
        find_videos([tmp_path]).left_out == [] == list_files([tmp_path]).left_out == video_folder(tmp_path)[1]
    )


def test_endings_that_are_many_are_summed_up() -> None:
    paths = [f"{number}.e{number}" for number in range(12)] + ["a.e3", "b.e5", "c.e5", "odd.a\nb"]
    (line,) = VideoFolder(others=paths).left_out()
    assert (
        line.startswith("16 files are not taken as video: 3 .e5, 2 .e3, 1 .a\\nb, 1 .e0") and "\n" not in line
    )
    assert line.endswith("5 with 5 other endings")


def test_options_of_extraction_take_what_was_left_out(shape_videos: Path, tmp_path: Path, featx) -> None:
    video, folder = shape_videos / "growing" / "0.mp4", tmp_path / "videos"
    touch(folder, ".Trash/a.mp4", "b.xyz", "c.mp4", "notes.txt")
    for name in (".Trash/a.mp4", "b.xyz", "c.mp4"):
        shutil.copy(video, folder / name)
    words = ["--to", tmp_path / "s", "--model", "tiny", "--frames", 1]
    outcome = featx("extract", folder, *words)
    assert outcome.code == 0 and set(FeatureStore(tmp_path / "s")) == {"c.mp4"}
    assert "2 files are not taken as video: 1 .txt, 1 .xyz (--also .xyz takes" in outcome.err
    assert "1 hidden file or folder is left out: '.Trash/' (--hidden takes them)" in outcome.err
    outcome = featx("extract", folder, *words, "--hidden", "--also", "XYZ")
    assert outcome.code == 0 and set(FeatureStore(tmp_path / "s")) == {"c.mp4", ".Trash/a.mp4", "b.xyz"}
    assert "hidden" not in outcome.err and "1 file is not taken as video: 1 .txt" in outcome.err
    (tmp_path / "m.jsonl").write_text(
        '{"featx_manifest": 1, "name": "m", "root": "videos"}\n{"id": "h", "path": ".Trash/a.mp4"}\n'
    )
    assert [video.id for video in find_videos([tmp_path / "m.jsonl", folder / "b.xyz"]).videos] == [
        "h",
        "b.xyz",
    ]
    assert "--also ,: must be endings" in featx("extract", folder, *words, "--also", ",").err


def test_the_reason_for_no_video_is_said(tmp_path: Path, featx) -> None:
    touch(tmp_path / "videos", "a.xyz", "._b.mp4")
    outcome = featx("extract", tmp_path / "videos", "--to", tmp_path / "s")
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert (
        "no video in this folder; 1 file is not taken as video: 1 .xyz" in outcome.err
        and "'._b.mp4'" in outcome.err
    )


def test_names_that_end_like_a_video_without_their_ending(tmp_path: Path, featx) -> None:
    assert without_ending("a.264") == "a"  # cannot be told from a file of that ending
    touch(tmp_path / "videos", "c/Film.XviD.avi", "c/Film.mp4", "c/b.264", "c/d.265.mp4", "c/e.xyz")
    (tmp_path / "t.csv").write_text("path,label\nc/Film.XviD,c\nc/b.264,c\nc/b,c\nc/d.265,c\nc/e.xyz,c\n")
    words = ["--videos", tmp_path / "videos", "--to", tmp_path / "m.jsonl", "--split-column", ""]
    outcome = featx("manifest", "csv", tmp_path / "t.csv", *words)
    assert outcome.code == 0, outcome.err
    lines = (tmp_path / "m.jsonl").read_text().splitlines()[1:]
    assert [re.search('"path": "([^"]*)"', line)[1] for line in lines] == [
        *("c/Film.XviD.avi", "c/b.264", "c/d.265.mp4", "c/e.xyz")
    ]
