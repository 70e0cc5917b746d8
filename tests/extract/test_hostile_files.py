"""Files that nobody should trust: none is followed elsewhere, none hangs the run, every odd name keeps its video."""

import http.server
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from featx.extract.decoding.batch import BATCH
from featx.store.reader import FeatureStore

ODD_NAMES = [
    "with space.mp4",
    "quote'\".mp4",
    "new\nline.mp4",
    "-dash.mp4",
    "concat:a|b.mp4",
    "%d.mp4",
    "%05d.mp4",
    "semi;colon,comma=[v].mp4",
    "back\\slash.mp4",
    "\N{SNOWMAN}.mp4",
    os.fsdecode(b"latin-\xe9.mp4"),
]


def failures(store: Path) -> dict[str, dict]:
    lines = (store / "failures.jsonl").read_text().splitlines()
    return {failure["id"]: failure for failure in map(json.loads, lines)}


@pytest.fixture
def video(shape_videos: Path) -> Path:
    return shape_videos / "growing" / "0.mp4"


def test_odd_names_are_names(video: Path, tmp_path: Path, featx) -> None:
    for folder in ("a", "b"):
        (tmp_path / "videos" / folder).mkdir(parents=True)
        for name in ODD_NAMES:
            shutil.copy(video, tmp_path / "videos" / folder / name)
    words = ["extract", tmp_path / "videos", "--to", tmp_path / "s", "--model", "tiny", "--frames", 2]
    outcome = featx(*words)
    assert outcome.code == 0, outcome.err
    ids = {f"{folder}/{name}" for folder in ("a", "b") for name in ODD_NAMES}
    assert set(FeatureStore(tmp_path / "s")) == ids
    assert "22 of 22 videos are in" in featx(*words).err


def test_odd_names_of_broken_videos_are_reported(tmp_path: Path, featx) -> None:
    (tmp_path / "videos").mkdir()
    for name in ODD_NAMES:
        (tmp_path / "videos" / name).write_bytes(b"nothing")
    outcome = featx("extract", tmp_path / "videos", "--to", tmp_path / "s", "--model", "tiny")
    assert outcome.code == 3
    assert set(failures(tmp_path / "s")) == set(ODD_NAMES)
    assert r"new\nline.mp4" in outcome.err and r"latin-\udce9.mp4" in outcome.err


def test_playlists_open_no_other_file_and_no_connection(video: Path, tmp_path: Path, featx) -> None:
    requests = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(video.read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/x.mp4"
    folder = tmp_path / "videos"
    folder.mkdir()
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    contents = {
        "concat.mp4": f"ffconcat version 1.0\nfile 'file:{video}'\n",
        "concat-http.mp4": f"ffconcat version 1.0\nfile {address}\n",
        "list.mp4": playlist.format(f"file://{video}"),
        "list-http.mp4": playlist.format(address),
        "list.ts": playlist.format(address),
        "dash.mp4": f'<?xml version="1.0"?><MPD><BaseURL>{address}</BaseURL></MPD>',
        "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in contents.items():
        (folder / name).write_text(text)
    named = folder / "list.m3u8"  # not looked for in folders, but a file that is named has any ending
    named.write_text(playlist.format(address))
    try:
        # a text is no .ts of a folder either
        words = [folder, named, folder / "list.ts"]
        outcome = featx("extract", *words, "--to", tmp_path / "s", "--model", "tiny")
    finally:
        server.shutdown()
    assert outcome.code == 3
    assert set(failures(tmp_path / "s")) == {*contents, "list.m3u8"}
    assert not list(FeatureStore(tmp_path / "s"))
    assert not requests


def test_nonsense_and_excess_are_failures_with_a_reason(video: Path, tmp_path: Path, featx) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("Dear reader\n")
    (folder / "huge.mp4").write_bytes(b"YUV4MPEG2 W100000 H100000 F25:1 Ip A1:1 C420\nFRAME\n")
    (folder / "good.mp4").write_bytes(video.read_bytes())
    (folder / "half.mp4").write_bytes(video.read_bytes()[:3000])
    os.mkfifo(folder / "fifo.mp4")
    (folder / "endless.mp4").symlink_to("/dev/zero")
    (folder / "outside.mp4").symlink_to(video)
    (folder / "inside.mp4").symlink_to(folder / "good.mp4")
    (folder / "loop").symlink_to(folder)
    outcome = featx("extract", folder, "--to", tmp_path / "s", "--model", "tiny")
    assert outcome.code == 3
    assert set(FeatureStore(tmp_path / "s")) == {"good.mp4", "inside.mp4"}
    found = failures(tmp_path / "s")
    assert set(found) == {
        *("zero.mp4", "text.mp4", "huge.mp4", "half.mp4", "fifo.mp4", "endless.mp4", "outside.mp4", "loop")
    }
    assert found["fifo.mp4"]["error"] == found["endless.mp4"]["error"] == "not a regular file"
    assert "--follow-links" in found["outside.mp4"]["error"]
    assert "give that folder itself" in found["loop"]["error"]
    taken = featx("extract", folder, "--to", tmp_path / "s", "--model", "tiny", "--follow-links")
    assert taken.code == 3 and "outside.mp4" in FeatureStore(tmp_path / "s")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--max-frames", 20], "more than 20 frames; --max-frames allows more"),
        (["--max-duration", 1], "longer than 1 s; --max-duration allows more"),
        (["--max-pixels", 100], "exceeds specified max pixel count 100"),
    ],
)
def test_bounds(video: Path, tmp_path: Path, featx, words: list, reason: str) -> None:
    assert featx("extract", video, "--to", tmp_path / "s", "--model", "tiny", *words).code == 3
    (failure,) = failures(tmp_path / "s").values()
    assert reason in " ".join([failure["error"], *failure["stderr"]])


def test_a_fifo_that_is_named_is_refused_too(tmp_path: Path, featx) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    assert featx("extract", tmp_path / "fifo.mp4", "--to", tmp_path / "s", "--model", "tiny").code == 3


def test_too_many_failures_end_the_run(video: Path, tmp_path: Path, featx) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(video, folder / "a.mp4")
    for index in range(40):
        (folder / f"bad{index:02}.mp4").write_bytes(b"x")
    words = [
        "extract",
        folder,
        "--to",
        tmp_path / "s",
        "--model",
        "tiny",
        "--max-failures",
        3,
        "--decoders",
        1,
    ]
    outcome = featx(*words)
    assert outcome.code == 2 and "--max-failures 3: reached" in outcome.err
    # what the decoder had begun meanwhile is finished: small files come by the handful
    assert 3 <= len(failures(tmp_path / "s")) <= 3 * BATCH
    assert list(FeatureStore(tmp_path / "s")) == ["a.mp4"]
