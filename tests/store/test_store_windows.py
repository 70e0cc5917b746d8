"""Windows of rows are slices of their videos, for any layout, budget and order, in threads, forks and pickles."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import FORMATS, make_store, numbered

from featx.errors import FeatxError
from featx.store import reader
from featx.store.reader import FeatureStore, PackedVideos


def expected(videos: dict, ids: list[str], starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    parts = [videos[i].features[s : s + n] for i, s, n in zip(ids, starts, lengths, strict=True)]
    return np.concatenate([np.zeros((0, 8), np.float16), *parts])


def draw(videos: dict, seed: int, count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ids = [list(videos)[index] for index in rng.integers(0, len(videos), count)]
    starts = np.array([rng.integers(0, len(videos[i]) + 1) for i in ids], dtype=np.int64)
    room = [len(videos[i]) - start for i, start in zip(ids, starts, strict=True)]
    return ids, starts, np.array([rng.integers(0, each + 1) for each in room], dtype=np.int64)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=6),
    format=st.sampled_from(FORMATS),
    shard_bytes=st.integers(1, 20_000),
    budget=st.integers(0, 30_000),
    open_shards=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    count=st.integers(0, 40),
)
def test_windows_are_slices(
    tmp_path_factory, lengths, format, shard_bytes, budget, open_shards, seed, count
) -> None:
    videos = numbered(lengths)
    path = make_store(tmp_path_factory.mktemp("store") / "s", videos, format, shard_bytes)
    store = FeatureStore(path, memory_budget_bytes=budget)
    ids, starts, counts = draw(videos, seed, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "OPEN_SHARDS", open_shards)
        for _ in range(2):  # chunks that are checked now, and chunks that were
            packed = store.read_windows(ids, starts, counts)
            np.testing.assert_array_equal(packed.features, expected(videos, ids, starts, counts))
            np.testing.assert_array_equal(packed.offsets, np.cumsum([0, *counts]))
    assert sum(rows.is_open for rows in store._features.values()) <= open_shards


def test_one_number_stands_for_all_and_load_reads_whole_videos(tmp_path: Path) -> None:
    videos = numbered([300, 20, 600])
    store = FeatureStore(make_store(tmp_path / "s", videos))
    ids = [*reversed(videos), *videos]
    packed = store.read_windows(ids, 3, 16)
    assert isinstance(packed, PackedVideos)
    np.testing.assert_array_equal(packed.features, expected(videos, ids, np.full(6, 3), np.full(6, 16)))
    np.testing.assert_array_equal(
        store.load(ids).features, np.concatenate([videos[video_id].features for video_id in ids])
    )


@pytest.mark.parametrize(("start", "length"), [(-1, 3), (18, 3), (0, 21), (3, -1), (2**40, 1)])
def test_a_window_outside_its_video_is_an_error(tmp_path: Path, start: int, length: int) -> None:
    store = FeatureStore(make_store(tmp_path / "s", numbered([300, 20])))
    with pytest.raises(
        FeatxError, match=rf"window of {length} rows from row {start} of video 'folder/1.mp4'.* 20 rows"
    ):
        store.read_windows(["folder/0.mp4", "folder/1.mp4"], [0, start], [1, length])
    with pytest.raises(FeatxError, match="no video 'folder/2.mp4'; did you mean"):
        store.read_windows(["folder/2.mp4"], 0, 1)


def test_what_fits_the_budget_is_read_from_the_disk_once(tmp_path: Path) -> None:
    videos = numbered([300, 200, 600])
    path = make_store(tmp_path / "s", videos)
    store = FeatureStore(path, memory_budget_bytes=2**20)
    store.load(list(videos))
    for file in path.glob("shards/*.zarr/features/c/0/0"):
        file.write_bytes(b"\0" * file.stat().st_size)  # in place: a map would show it
    np.testing.assert_array_equal(store.load(["folder/2.mp4"]).features, videos["folder/2.mp4"].features)


def test_a_file_that_was_replaced_is_checked_again(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s", numbered([300]))
    store = FeatureStore(path)
    store.load(["folder/0.mp4"])
    for rows in store._features.values():
        rows.close()
    file = path / "shards/shard-00000.zarr/features/c/0/0"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.unlink()
    file.write_bytes(content)
    with pytest.raises(FeatxError, match="damaged in row 0 or after"):
        store.load(["folder/0.mp4"])


@pytest.mark.parametrize("format", FORMATS)
def test_threads_and_pickles_read_the_same(tmp_path: Path, format: str) -> None:
    videos = numbered([300, 20, 600, 50] * 5)
    store = FeatureStore(make_store(tmp_path / "s", videos, format, 9000))
    questions = [draw(videos, seed, 20) for seed in range(40)]
    answers = [expected(videos, *question) for question in questions]
    assert answers and sum(map(len, answers)) > 1000

    def check(answered) -> None:
        for packed, answer in zip(answered, answers, strict=True):
            np.testing.assert_array_equal(packed.features, answer)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as threads:
        patch.setattr(reader, "OPEN_SHARDS", 2)  # shards are opened and closed under each other's feet
        check(threads.map(lambda question: store.read_windows(*question), questions))
    check([pickle.loads(pickle.dumps(store)).read_windows(*question) for question in questions])


FORKS = """
import os, sys
from pathlib import Path
from featx.store.reader import FeatureStore
from stores import numbered
from test_store_windows import draw, expected

videos = numbered([300, 20, 600, 50] * 5)
store = FeatureStore(Path(sys.argv[1]))
store.read_windows(*draw(videos, 0, 5))  # opens some of the files, not all
children = []
for seed in range(4):
    children.append(os.fork())
    if not children[-1]:
        for round in range(20):
            question = draw(videos, 100 * seed + round, 20)
            assert (store.read_windows(*question).features == expected(videos, *question)).all()
        os._exit(7)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


@pytest.mark.parametrize("format", FORMATS)
def test_forked_workers_read_the_same(tmp_path: Path, format: str) -> None:
    # In a process of its own: one with the threads of other tests should not fork.
    path = make_store(tmp_path / "s", numbered([300, 20, 600, 50] * 5), format, 9000)
    command = [sys.executable, "-c", FORKS, str(path)]
    modules = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=modules, timeout=60)
    assert done.stdout == "[7, 7, 7, 7]\n", done.stderr
