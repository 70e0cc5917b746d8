"""A FAISS index goes on with its store: it finds what a new index and brute force find, and reads only what is new."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import FORMATS, fingerprint, video, video_info
from synthetic import tiny_fingerprint

from featx.errors import FeatxError
from featx.evaluate.search.exact.search import Hit, open_scans, search_exactly
from featx.evaluate.search.exact.settings import SearchSettings
from featx.evaluate.search.index.search import SearchIndex, open_index
from featx.store.reader import FeatureStore, Stretch
from featx.store.schema import VideoFeatures, record_path, shard_path
from featx.store.writing.writer import StoreWriter

faiss = pytest.importorskip("faiss")

WIDTH = 16
LEVELS = ["frames", "moments", "videos"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These stores are so small that threads would wait for each other ten times as long as they work."""
    threads = torch.get_num_threads(), faiss.omp_get_max_threads()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    yield
    torch.set_num_threads(threads[0])
    faiss.omp_set_num_threads(threads[1])


class LivingStore(FeatureStore):
    """A store without some of its videos, and with other ids for some; it counts the rows that are read."""

    def __init__(self, path: Path, gone: set[str] = frozenset(), new_id: dict[str, str] | None = None):
        super().__init__(path)
        index = self.index
        lives = np.array([video_id not in gone for video_id in index.ids], bool)
        index.ids = [(new_id or {}).get(one, one) for one in index.ids if one not in gone]
        index.rows, index.first_row = index.rows[lives], index.first_row[lives]
        index.shard_of, index.position = index.shard_of[lives], index.position[lives]
        index.number_of = {video_id: number for number, video_id in enumerate(index.ids)}
        self.rows_read = 0

    def stretches(self, ids=None) -> list[Stretch]:
        if ids is not None:
            return super().stretches(ids)
        index = self.index
        past = index.first_row + index.rows
        follows = (index.shard_of[1:] == index.shard_of[:-1]) & (index.first_row[1:] == past[:-1])
        borders = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(index.ids)]
        return [
            Stretch(
                int(index.shard_of[a]),
                int(index.first_row[a]),
                index.ids[a:b],
                np.append(index.first_row[a:b], past[b - 1]) - index.first_row[a],
            )
            for a, b in pairwise(borders)
        ]

    def blocks(self, stretch: Stretch) -> Iterator[np.ndarray]:
        for part in super().blocks(stretch):
            self.rows_read += len(part)
            yield part


def exact_rows(rows: int, seed: int) -> VideoFeatures:
    """Rows with four numbers of 1 or -1: their lengths, and products of two, are exact in any precision."""
    rng = np.random.default_rng(seed)
    features = np.zeros((rows, WIDTH), np.float16)
    for row in features:
        row[rng.choice(WIDTH, 4, replace=False)] = rng.choice([-1, 1], 4)
    return VideoFeatures(features, np.arange(rows) / 25, np.arange(rows, dtype=np.int32))


def add(path: Path, videos: dict[str, VideoFeatures], format: str = "zarr") -> Path:
    with StoreWriter(path, fingerprint(WIDTH), format, shard_bytes=2_000) as writer:
        for name, one in videos.items():
            writer.add(name, one, video_info(name))
    return path


def rows_of(store: FeatureStore) -> Iterator[tuple[str, np.ndarray]]:
    """Every live video's rows in float64, of unit length."""
    for one in store:
        rows = store[one].features.astype(np.float64)
        yield one, rows / np.linalg.norm(rows, axis=1, keepdims=True)


def best_frames(store: FeatureStore, query: np.ndarray, count: int) -> list[tuple[str, int, float]]:
    scored = [
        (one, row, score) for one, rows in rows_of(store) for row, score in enumerate((rows @ query).tolist())
    ]
    return sorted(scored, key=lambda one: -one[2])[:count]  # stable: of equal ones the first in the store


def cosines_of_videos(store: FeatureStore, query: np.ndarray) -> dict[str, float]:
    means = {one: rows.mean(axis=0) for one, rows in rows_of(store)}
    return {one: float(mean @ query / np.linalg.norm(mean)) for one, mean in means.items()}


def everything(level: str) -> SearchSettings:
    return SearchSettings(level=level, probe=10**6, windows=[0.2, 0.4], apart=0)


def queries() -> torch.Tensor:
    return torch.from_numpy(exact_rows(3, 99).features).float() / 2


def check(opened: SearchIndex, store: FeatureStore, level: str, fresh: Path) -> None:
    """Compares with a new index, exactly; with brute force, exactly where numbers are; with an exact search."""
    asked = everything(level)
    found = opened.search(queries(), 10, asked)
    assert found == open_index(fresh, store, queries(), asked)[0].search(queries(), 10, asked)
    for query, hits in zip(queries().double().numpy(), found, strict=True):
        if level == "frames":
            expected = best_frames(store, query, 10)
            assert [(one.video, one.first_row, one.score) for one in hits] == expected
        if level == "videos":
            cosines = cosines_of_videos(store, query)
            assert [one.score for one in hits] == pytest.approx(
                [cosines[one.video] for one in hits], abs=5e-4
            )
            best = sorted(cosines.values(), reverse=True)[:10]
            assert [one.score for one in hits] == pytest.approx(best, abs=5e-4)
    exact = search_exactly(open_scans(store, asked), queries(), 10, asked)
    for one, other in zip(exact, found, strict=True):
        assert one[0].score == pytest.approx(other[0].score, abs=5e-4)
        assert {hit.video for hit in other} <= set(store.index.ids)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_it_finds_what_a_new_index_and_brute_force_find(level: str, format: str, data) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, made, gone, renamed = folder / "s", 0, set(), {}
        for step in range(data.draw(st.integers(2, 6))):
            fresh = data.draw(st.lists(st.integers(1, 60), min_size=not made, max_size=5))
            add(path, {f"{made + n}.mp4": exact_rows(rows, made + n) for n, rows in enumerate(fresh)}, format)
            made += len(fresh)
            living = sorted({f"{n}.mp4" for n in range(made)} - gone)
            left = set(data.draw(st.lists(st.sampled_from(living), max_size=4)))
            gone |= left if len(left) < len(living) else set()
            one = data.draw(st.sampled_from(sorted({f"{n}.mp4" for n in range(made)} - gone)))
            renamed[one] = f"moved/{step}/{one}"
            store = LivingStore(path, gone, renamed)
            rows = int(store.index.rows.sum())
            before = folder / "i" / "index.json"
            had = before.read_bytes() if before.exists() else b""
            opened, done = open_index(folder / "i", store, queries(), everything(level))
            if "added" in done or not done:
                assert store.rows_read <= rows
            if not done:
                assert store.rows_read == 0 and before.read_bytes() == had
            assert opened.dead <= opened.header.units / 3
            check(opened, store, level, folder / f"fresh-{step}")


def test_of_equally_good_ones_the_first_in_the_store_is_found(tmp_path: Path) -> None:
    """Also where more of one cell are as good as the tenth than FAISS is asked for at first."""
    query, asked = queries()[:1], everything("frames")
    two = np.stack([query[0].numpy()] * 2) * 2
    for row, place, to in zip(two, np.flatnonzero(two[0])[:2], np.flatnonzero(two[0] == 0)[:2], strict=True):
        row[place], row[to] = 0, 1  # both have three of the query's four numbers
    rows = np.tile(two, (400, 1)).astype(np.float16)
    times, frames = np.arange(len(rows)) / 25, np.arange(len(rows), dtype=np.int32)
    path = add(tmp_path / "s", {"0.mp4": VideoFeatures(rows, times, frames)})
    opened, _ = open_index(tmp_path / "i", FeatureStore(path), query, asked)
    (hits,) = opened.search(query, 10, asked)
    assert [(one.first_row, one.score) for one in hits] == [(row, 0.75) for row in range(10)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("format", FORMATS)
def test_only_new_rows_are_read(tmp_path: Path, level: str, format: str) -> None:
    path = add(tmp_path / "s", {f"{n}.mp4": exact_rows(50, n) for n in range(20)}, format)
    open_index(tmp_path / "i", FeatureStore(path), queries(), everything(level))
    add(path, {f"{n}.mp4": exact_rows(37, n) for n in range(20, 23)}, format)
    gone = {"3.mp4", "4.mp4", "21.mp4"}
    store = LivingStore(path, gone)
    opened, done = open_index(tmp_path / "i", store, queries(), everything(level))
    assert store.rows_read == 2 * 37
    assert done.startswith(f"2 videos (74 rows) added and 2 that have left {path} taken out in ")
    assert opened.dead == 0 and opened.header.trained_units > opened.header.seen_units
    assert opened.header.recall_against == "all its cells"
    assert opened.header.recall[opened.header.cells] == opened.header.recall_asked[opened.header.cells] == 1
    check(opened, store, level, tmp_path / "fresh")
    again = LivingStore(path, gone, {"5.mp4": "five.mp4"})
    opened, done = open_index(tmp_path / "i", again, queries(), everything(level))
    assert done == "" and again.rows_read == 0
    check(opened, again, level, tmp_path / "fresh")


def test_the_dead_are_taken_out_when_they_are_many_and_cells_learned_anew_when_few_are_left(
    tmp_path: Path,
) -> None:
    path = add(tmp_path / "s", {f"{n}.mp4": exact_rows(20, n) for n in range(30)})
    asked = everything("frames")

    def opened_without(gone: int) -> tuple[SearchIndex, str, int]:
        store = LivingStore(path, {f"{n}.mp4" for n in range(gone)})
        opened, done = open_index(tmp_path / "i", store, queries(), asked)
        check(opened, store, "frames", tmp_path / f"fresh-{gone}")
        return opened, done, store.rows_read

    assert opened_without(0)[1].startswith("made in ")
    store = LivingStore(path, {f"{n}.mp4" for n in range(10)})
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    assert (opened.header.units, opened.dead, done, store.rows_read) == (600, 200, "", 0)
    store = LivingStore(path, {f"{n}.mp4" for n in range(11)})
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    assert (opened.header.units, opened.dead, store.rows_read) == (380, 0, 0)
    assert done.startswith(f"11 that have left {path} taken out in ") and opened.header.trained_units == 600
    check(opened, store, "frames", tmp_path / "fresh")
    store = LivingStore(path, {f"{n}.mp4" for n in range(18)})
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    assert "made anew" in done and "600 frames that its cells were learned from 240 are left" in done
    assert opened.header.trained_units == opened.header.seen_units == 240
    add(path, {f"{n}.mp4": exact_rows(20, n) for n in range(30, 42)})
    store = LivingStore(path, {f"{n}.mp4" for n in range(18)})
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    assert done.startswith("12 videos (240 rows) added")  # as many as there were: just not anew
    add(path, {"42.mp4": exact_rows(1, 42)})
    store = LivingStore(path, {f"{n}.mp4" for n in range(18)})
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    assert "240 are left, and there are 481 now" in done
    check(opened, store, "frames", tmp_path / "last")


def test_a_shard_that_was_dropped_and_written_anew_under_its_number_is_another(tmp_path: Path) -> None:
    path = add(tmp_path / "s", {f"{n}.mp4": exact_rows(20, n) for n in range(12)})
    asked = everything("frames")
    open_index(tmp_path / "i", FeatureStore(path), queries(), asked)
    store = FeatureStore(path)
    last = store.index.shards[-1]
    lost = [
        one
        for one in store
        if store.index.shard_of[store.index.number_of[one]] == len(store.index.shards) - 1
    ]
    record_path(path, last.name).unlink()
    shutil.rmtree(shard_path(path, last.name, "zarr"))
    store = LivingStore(path)
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    assert done == "" and store.rows_read == 0 and opened.dead == 20 * len(lost)
    check(opened, store, "frames", tmp_path / "fresh-0")
    add(path, {one: exact_rows(20, 100 + n) for n, one in enumerate(lost)})  # as long, but other rows
    store = LivingStore(path)
    assert store.index.shards[-1].name == last.name
    opened, done = open_index(tmp_path / "i", store, queries(), asked)
    assert store.rows_read == 20 * len(lost) and f"{len(lost)} that have left" in done
    check(opened, store, "frames", tmp_path / "fresh-1")


armed: dict = {}


def _audit(event: str, words: tuple) -> None:
    if not armed or event not in ("open", "os.rename", "os.remove", "os.mkdir"):
        return
    if isinstance(words[0], str | bytes | os.PathLike) and os.fspath(words[0]).startswith(armed["folder"]):
        armed["events"] += 1
        if armed["events"] >= armed["stop"]:
            raise KeyboardInterrupt


@contextmanager
def stopped_at(operation: int, folder: Path) -> Iterator[None]:
    """From that file operation below a folder on, nothing reaches it any more, as if the process had been killed."""
    if "hooked" not in globals():
        sys.addaudithook(_audit)
        globals()["hooked"] = True
    armed.update(folder=str(folder), events=0, stop=operation)
    try:
        yield
    finally:
        armed.clear()


def test_stopped_at_any_file_operation_the_old_index_or_the_new_one_is_there(tmp_path: Path) -> None:
    path = add(tmp_path / "s", {f"{n}.mp4": exact_rows(30, n) for n in range(6)})
    folder, asked = tmp_path / "i", everything("frames")
    few = FeatureStore(path)
    open_index(folder, few, queries(), asked)
    shutil.copytree(folder, tmp_path / "old")
    add(path, {"6.mp4": exact_rows(30, 6)})
    more = FeatureStore(path)
    outcomes = []
    for operation in range(1, 100):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "old", folder)
        try:
            with stopped_at(operation, folder):
                open_index(folder, more, queries(), asked)
        except KeyboardInterrupt:
            pass
        else:
            break
        names = {file.name: file.read_bytes() for file in folder.iterdir()}
        opened, done = open_index(folder, more, queries(), asked)
        outcomes.append("added" in done)
        check(opened, more, "frames", tmp_path / "fresh")
        assert done or (folder / "index.json").read_bytes() == names["index.json"]
        if done:  # nothing of the stopped run is left
            assert len(list(folder.iterdir())) == 4
    assert outcomes == sorted(outcomes, reverse=True) and 8 < len(outcomes) < 99
    assert outcomes[0] and not outcomes[-1]  # stopped before the rename: done again; after it: done

    for operation in range(1, 100):  # the first one, where there is no old one
        shutil.rmtree(folder)
        try:
            with stopped_at(operation, folder):
                open_index(folder, more, queries(), asked)
        except KeyboardInterrupt:
            check(open_index(folder, more, queries(), asked)[0], more, "frames", tmp_path / "fresh")
        else:
            break
    assert 8 < operation < 99


def test_a_second_builder_waits_and_takes_what_the_first_has_made(tmp_path: Path) -> None:
    made = tiny_fingerprint()
    with StoreWriter(tmp_path / "s", made, model_source="tiny") as writer:
        for number in range(5):
            writer.add(f"{number}.mp4", video(30, number, made.width), video_info(f"{number}.mp4"))
    asked = SearchSettings(level="frames")
    folder = tmp_path / "i"
    folder.mkdir()
    words = ["search", tmp_path / "s", "a star", "--level", "frames", "--index", folder, "--format", "csv"]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-c", "from featx.cli import main; main()", *map(str, words)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            assert second.stderr.readline() == (
                f"featx: --index {folder}: another featx is writing it; waiting for it\n"
            )
            # What the first one writes while the second waits; its own lock is this test's.
            open_index(tmp_path / "elsewhere", FeatureStore(tmp_path / "s"), torch.eye(made.width)[:1], asked)
            for file in (tmp_path / "elsewhere").iterdir():
                if file.name != "lock":
                    shutil.copy(file, folder / file.name)
            before = {file.name for file in folder.iterdir()}
            fcntl.flock(lock, fcntl.LOCK_UN)
            out, err = second.communicate()
    assert second.returncode == 0 and "made in" not in err and len(out.splitlines()) > 5
    assert {file.name for file in folder.iterdir()} == before


def test_the_command_goes_on_with_what_was_added(tmp_path: Path, featx) -> None:
    made = tiny_fingerprint()

    def write(videos: range) -> None:
        with StoreWriter(tmp_path / "s", made, model_source="tiny") as writer:
            for number in videos:
                writer.add(f"{number}.mp4", video(30, number, made.width), video_info(f"{number}.mp4"))

    def found(*more: object) -> tuple[list[str], str]:
        words = ("search", tmp_path / "s", "a star", "--level", "videos", "--format", "csv")
        outcome = featx(*words, *more)
        assert outcome.code == 0, outcome.err
        return [line.split(",")[2] for line in outcome.out.splitlines()[1:]], outcome.err

    write(range(6))
    index = ("--index", tmp_path / "i")
    ids, err = found(*index)
    assert ids == found()[0] and len(ids) == 6 and ": made in " in err
    write(range(6, 9))
    ids, err = found(*index)
    assert ids == found()[0] and len(ids) == 9 and "3 videos (90 rows) added in" in err
    assert "of the 10 best in all its cells of 9 of its own vectors it found" in err
    ids, err = found(*index)
    assert len(ids) == 9 and "added" not in err


def test_scores_that_are_no_cosines_are_an_error(tmp_path: Path) -> None:
    path = add(tmp_path / "s", {"0.mp4": exact_rows(40, 0)})
    opened, _ = open_index(tmp_path / "i", FeatureStore(path), queries(), everything("frames"))
    hits: list[list[Hit]] = opened.search(queries(), 3, everything("frames"))
    assert all(abs(hit.score) <= 1.001 for some in hits for hit in some)
    with pytest.raises(FeatxError, match=r"vectors-.*cannot be cosines"):
        opened.search(queries() * 8000, 3, everything("frames"))
