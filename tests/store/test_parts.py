"""Many writers, one plan: each part is committed once and whole, whatever fails wherever."""

import itertools
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_store import BEFORE, GOOD, LOST_REPLY, SimulatedStore
from stores import FORMATS, fingerprint, video, video_info

from featx.errors import FeatxError
from featx.store.backends.interface import Backend
from featx.store.backends.local import LocalFolder
from featx.store.failures import Failure
from featx.store.parts.committed import committed_parts, is_there
from featx.store.parts.plan import Plan, PlannedVideo, make_plan, read_part, read_plans
from featx.store.reader import FeatureStore
from featx.store.schema import StoreHeader
from featx.store.upkeep.verify import verify
from featx.store.writing.part_commits import commit_part, open_planned_header
from featx.store.writing.writer import StoreWriter, WaitingVideo


def header_of(backend: Backend, format: str = "hdf5") -> StoreHeader:
    return open_planned_header(backend, fingerprint(), format, "tiny")


def waiting(number: int, rows: int = 3) -> list[WaitingVideo]:
    name = f"{number}.mp4"
    return [WaitingVideo(name, video(rows, number), video_info(name))]


def until_it_says(commit: Callable[[], bool], tries: int = 6) -> bool | None:
    """A writer that tries again when the store does not answer; None if it never does."""
    for _ in range(tries):
        try:
            return commit()
        except FeatxError:
            pass
    return None


def in_order(
    store: SimulatedStore, order: tuple[int, ...], fates: dict[tuple[int, int], str]
) -> list[bool | None]:
    """Runs two writers of one part, each of whose writes waits for its turn; returns what each was told."""
    header = header_of(store)
    turn, done = threading.Condition(), [False, False]
    position, counts = [0], [0, 0]
    mine = threading.local()

    def whose() -> int:
        while position[0] < len(order) and done[order[position[0]]]:
            position[0] += 1
        return order[position[0]] if position[0] < len(order) else int(done[0])

    def before(operation: str) -> str:
        with turn:
            turn.wait_for(lambda: whose() == mine.writer)
            store.check_what_is_committed()
            position[0] += 1
            number = counts[mine.writer]
            counts[mine.writer] += 1
            turn.notify_all()
        return fates.get((mine.writer, number), GOOD)

    def write(writer: int) -> bool | None:
        mine.writer = writer
        try:
            return until_it_says(lambda: commit_part(store, header, 0, waiting(writer), []))
        finally:
            with turn:
                done[writer] = True
                turn.notify_all()

    store.before = before
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(write, (0, 1)))
    store.before = lambda operation: GOOD
    return told


ORDERS = sorted(set(itertools.permutations((0, 0, 0, 1, 1, 1))))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(map(str, order)))
def test_of_two_writers_one_wins_in_every_order(order: tuple[int, ...]) -> None:
    """Each does at most three writes: arrays, record, and the loser takes its arrays back."""
    store = SimulatedStore()
    told = in_order(store, order, {})
    assert sorted(told) == [False, True]
    assert store.check_what_is_committed() == {0: [f"{told.index(True)}.mp4"]}
    assert len([key for key in store.objects if key.endswith(".h5")]) == 1


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(ORDERS),
    st.dictionaries(
        st.tuples(st.integers(0, 1), st.integers(0, 5)), st.sampled_from([BEFORE, LOST_REPLY]), max_size=4
    ),
)
def test_whatever_fails_one_whole_part_is_there(
    order: tuple[int, ...], fates: dict[tuple[int, int], str]
) -> None:
    """A writer whose reply was lost may hear that somebody was first, and it was itself: nothing is twice, nothing lost."""
    store = SimulatedStore()
    told = in_order(store, order, fates)
    committed = store.check_what_is_committed()
    assert list(committed) == [0] and len(committed[0]) == 1
    assert told.count(True) <= 1
    assert any(one is not None for one in told)


def test_a_thousand_stations_commit_one_plan() -> None:
    store, parts = SimulatedStore(), 40
    planned = [[PlannedVideo(f"{number}.mp4", f"/v/{number}.mp4")] for number in range(parts)]
    make_plan(store, planned, {})
    dice, lock = random.Random(0), threading.Lock()

    def before(operation: str) -> str:
        with lock:
            return dice.choices([GOOD, BEFORE, LOST_REPLY], [0.9, 0.05, 0.05])[0]

    header = header_of(store)
    store.before = before
    wins: list[int] = []

    def station(seed: int) -> None:
        order = list(range(parts))
        random.Random(seed).shuffle(order)
        for number in order:
            if number not in committed_parts(store):
                won = until_it_says(
                    lambda number=number: commit_part(store, header, number, waiting(number), [])
                )
                wins.extend([number] if won else [])

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(station, range(1000)))
    assert store.check_what_is_committed() == {number: [f"{number}.mp4"] for number in range(parts)}
    assert len(wins) == len(set(wins))


def test_of_two_plans_one_counts() -> None:
    store = SimulatedStore()
    first, won = make_plan(store, [[PlannedVideo("a", "/a")]], {"fps": 2})
    second, also = make_plan(store, [[PlannedVideo("b", "/b")], [PlannedVideo("c", "/c")]], {})
    assert (won, also) == (True, False) and second == first == read_plans(store).plans[0]
    assert [one.id for one in read_part(store, second, 0)] == ["a"]
    assert len([key for key in store.objects if key.startswith("plan/")]) == 1
    with pytest.raises(FeatxError, match="1 videos of the plan have the id of another one"):
        make_plan(SimulatedStore(), [[PlannedVideo("a", "/a")], [PlannedVideo("a", "/b")]], {})


def test_a_machine_with_other_features_is_refused() -> None:
    store = SimulatedStore()
    assert header_of(store) == header_of(store)
    other = fingerprint().model_copy(update={"precision": "fp16"})
    with pytest.raises(FeatxError, match=r"precision: fp16, not fp32.*--precision"):
        open_planned_header(store, other, "hdf5", "tiny")


def planned_store(folder: Path, format: str, done: list[int], parts: int = 3) -> tuple[Plan, StoreHeader]:
    backend = LocalFolder(folder)
    plan, _ = make_plan(backend, [[PlannedVideo(f"{n}.mp4", f"/v/{n}.mp4")] for n in range(parts)], {})
    header = header_of(backend, format)
    for number in done:
        assert commit_part(backend, header, number, waiting(number, 300), [])
    return plan, header


@pytest.mark.parametrize("format", FORMATS)
def test_a_store_of_parts_is_read_as_any_other(tmp_path: Path, format: str) -> None:
    path = tmp_path / "store"
    _, header = planned_store(path, format, [2, 0])
    backend = LocalFolder(path)
    failure = Failure("1.mp4", "/v/1.mp4", "decode", "broken", "nothing of it is stored", [])
    assert commit_part(backend, header, 1, [], [failure])
    assert not commit_part(backend, header, 0, waiting(9, 5), [])  # somebody was first
    assert committed_parts(backend) == {0, 1, 2} and is_there(backend, 1) and not is_there(backend, 3)
    store = FeatureStore(path)
    assert list(store) == ["0.mp4", "2.mp4"]
    for number in (0, 2):
        np.testing.assert_array_equal(store[f"{number}.mp4"].features, video(300, number).features)
        np.testing.assert_array_equal(store.pts(f"{number}.mp4"), video(300, number).pts)
    assert verify(path).findings == []
    with StoreWriter.of(path) as writer:  # all parts are there: one writer may go on, as with any store
        writer.add("new.mp4", video(4, 4), video_info("new.mp4"))
    assert list(FeatureStore(path)) == ["0.mp4", "2.mp4", "new.mp4"] and verify(path).findings == []


@pytest.mark.parametrize("format", FORMATS)
def test_a_store_that_is_not_done_is_read_and_verified_and_nobody_else_writes_it(
    tmp_path: Path, format: str
) -> None:
    path = tmp_path / "store"
    planned_store(path, format, [2])
    assert list(FeatureStore(path)) == ["2.mp4"]
    report = verify(path)
    assert report.findings == [] and report.open_parts == {0, 1}
    with pytest.raises(FeatxError, match=r"2 of the 3 parts of its plan are not done; featx work"):
        StoreWriter.of(path)


def test_what_a_killed_attempt_left_is_found_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "store"
    planned_store(path, "hdf5", [0, 1, 2])
    (arrays,) = (path / "shards").glob("shard-00001.*.h5")
    left = arrays.with_name("shard-00001.0123456789ab.h5")
    left.write_bytes(arrays.read_bytes())
    assert [finding.path for finding in verify(path).findings] == [f"shards/{left.name}"]
    verify(path, repair=True)
    assert not left.exists() and arrays.exists() and verify(path).findings == []


def test_a_damaged_part_is_open_again_after_repair(tmp_path: Path) -> None:
    path = tmp_path / "store"
    _, header = planned_store(path, "hdf5", [0, 1, 2])
    (arrays,) = (path / "shards").glob("shard-00001.*.h5")
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    assert verify(path, repair=True).to_drop == [1]
    assert committed_parts(LocalFolder(path)) == {0, 2} and not arrays.exists()
    assert commit_part(LocalFolder(path), header, 1, waiting(1, 300), [])
    assert verify(path).findings == [] and len(FeatureStore(path)) == 3
