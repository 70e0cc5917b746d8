"""docs/store.md is enough to read a store: its own words are followed here, without featx."""

import hashlib
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from stores import FORMATS, make_store, numbered, video_info

from featx.store.upkeep.compact import compact
from featx.store.writing.writer import StoreWriter

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text(encoding="utf-8")


def crc32c(content: bytes) -> int:
    """CRC-32C, bit by bit, from its polynomial."""
    value = 0xFFFFFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@pytest.mark.parametrize("format", FORMATS)
def test_the_reader_on_the_page_reads(tmp_path: Path, format: str) -> None:
    videos = numbered([300, 20, 600, 256])
    path = make_store(tmp_path / "s", videos, format)
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def rows_of" in block
    )
    names: dict = {}
    exec(code, names)
    for video_id, rows in videos.items():
        np.testing.assert_array_equal(names["rows_of"](path, "shard-00000", video_id), rows.features)


@pytest.mark.parametrize("format", FORMATS)
def test_the_page_says_which_videos_are_live(tmp_path: Path, format: str) -> None:
    videos = numbered([30, 20, 60, 25, 10])
    path = make_store(tmp_path / "s", videos, format, shard_bytes=800)
    with StoreWriter.of(path) as writer:
        writer.amend(
            drops=["folder/0.mp4"], updates={"folder/1.mp4": {"id": "x"}, "folder/2.mp4": {"id": "y"}}
        )
        writer.amend(updates={"x": {"id": "y"}, "y": {"id": "x"}, "folder/3.mp4": {"mtime_ns": 3}})
        writer.add("folder/4.mp4", videos["folder/0.mp4"], video_info("4"), replaces=True)
    expected = {
        "x": videos["folder/2.mp4"],
        "y": videos["folder/1.mp4"],
        "folder/3.mp4": videos["folder/3.mp4"],
        "folder/4.mp4": videos["folder/0.mp4"],
    }
    names: dict = {}
    for word in ("def rows_of", "def live_videos"):
        (code,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if word in block)
        exec(code, names)
    for compacted in (False, True):
        if compacted:
            compact(path)
        live = names["live_videos"](path)
        assert set(live) == set(expected)
        for video_id, (shard, recorded_id) in live.items():
            rows = names["rows_of"](path, shard, recorded_id)
            np.testing.assert_array_equal(rows, expected[video_id].features)


def test_the_page_s_other_reader_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = {
        "wave/a.mp4" if number == 1 else name: rows
        for number, (name, rows) in enumerate(numbered([300, 20]).items())
    }
    make_store(tmp_path / "features" / "mine", videos)
    monkeypatch.chdir(tmp_path)
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "zarr.open_group" in block
    )
    names: dict = {}
    exec(code, names)
    np.testing.assert_array_equal(names["features"], videos["wave/a.mp4"].features)
    np.testing.assert_array_equal(names["seconds"], videos["wave/a.mp4"].pts)


@pytest.mark.parametrize("format", FORMATS)
def test_checksums_are_what_the_page_says(tmp_path: Path, format: str) -> None:
    path = make_store(tmp_path / "s", numbered([300, 20]), format)
    for file in (path / "store.json", path / "shards" / "shard-00000.json"):
        content = file.read_bytes()
        digest = hashlib.sha256(content[:-81]).hexdigest()
        assert content[-81:] == b',\n"sha256": "' + digest.encode() + b'"\n}\n'
    record = json.loads((path / "shards" / "shard-00000.json").read_text())
    for file, (size, digest) in record["files"].items():
        content = (path / "shards" / file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)
    sizes = {"features": 16, "pts": 8, "frame_index": 4, "offsets": 8}
    counts = {"features": 320, "pts": 320, "frame_index": 320, "offsets": 3}
    for name, table in record["chunks"].items():
        axes = "c/0/0" if name == "features" else "c/0"
        file = "shard-00000.h5" if format == "hdf5" else f"shard-00000.zarr/{name}/{axes}"
        content = (path / "shards" / file).read_bytes()
        for index, (start, checksum) in enumerate(zip(table["starts"], table["crc32c"], strict=True)):
            rows = min(256, counts[name] - 256 * index)
            assert crc32c(content[start : start + rows * sizes[name]]) == checksum
            if name == "offsets":
                assert struct.unpack("<3q", content[start : start + 24]) == (0, 300, 320)
