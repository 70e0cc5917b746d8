"""A folder that lives: after every change, extraction leaves what a fresh extraction of the folder would give.

Random steps (add, replace, touch, move, swap, delete, damage, interrupt, prune, compact, remove) in this process; the
same with the command itself, step by step. Nothing is computed again that did not change.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)
from living_folder import CachingWorkerPool, QuickWorkerPool, make_clips
from stores import assert_equal

from featx.extract import run as run_module
from featx.extract.parts import work as work_module
from featx.extract.parts.plan_and_work import plan_and_work
from featx.extract.plan.settings import ExtractSettings
from featx.extract.run import extract_videos
from featx.extract.workers.progress import Tally
from featx.store.failures import FailureList
from featx.store.reader import FeatureStore
from featx.store.upkeep.compact import compact
from featx.store.upkeep.prune import find_gone
from featx.store.upkeep.verify import verify
from featx.store.writing.writer import StoreWriter

NAMES = ["a.mp4", "b.mp4", "c.mp4", "deep/a.mp4", "deep/d.mp4", "deep/er/e.mp4"]
CLIPS: list[bytes] = []
QUICK = ExtractSettings(model="tiny", format="hdf5")

names, clips = st.sampled_from(NAMES), st.integers(0, 5)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class LivingFolder(RuleBasedStateMachine):
    loses_what_is_in_hand = False  # when it is interrupted

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="living-"))
        self.folder = self.place / "videos-0"
        self.store = self.place / "store"
        self.clock = 10**18
        self.roots = 0
        self.accepted: set[str] = set()
        self.known: dict[str, bytes] = {}  # what was sound at the last extraction, or is gone since
        self.out_of_reach: set[str] = set()  # gone before their folder moved: nobody finds them again
        (self.folder / "always.mp4").parent.mkdir()
        self.write("always.mp4", CLIPS[6])
        self.extract()

    def write(self, name: str, content: bytes, mtime_ns: int | None = None) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        self.clock += 10**9
        file.write_bytes(content)
        os.utime(file, ns=(self.clock, mtime_ns or self.clock))

    def files(self) -> dict[str, bytes]:
        return {
            file.relative_to(self.folder).as_posix(): file.read_bytes() for file in self.folder.rglob("*.mp4")
        }

    def sound(self) -> dict[str, bytes]:
        return {name: content for name, content in self.files().items() if content in CLIPS}

    def extract(self, check: str = "time", stop_after: int | None = None) -> None:
        found = self.sound()
        before = Counter(self.known.values())
        in_reach = Counter(known for name, known in self.known.items() if name not in self.out_of_reach)
        QuickWorkerPool.computed.clear()
        options = QUICK.model_copy(update={"check": check})
        if stop_after is not None:
            QuickWorkerPool.stop_after = stop_after
            with contextlib.suppress(KeyboardInterrupt):
                self.run(options)
            QuickWorkerPool.stop_after = None
        tally, _ = self.run(options)
        # Of each content, as many videos are computed as the store did not have.
        least, most = (
            Counter({sha256(content): n for content, n in (Counter(found.values()) - there).items()})
            for there in (before, in_reach)
        )
        assert QuickWorkerPool.computed >= least
        if stop_after is None or not self.loses_what_is_in_hand:
            assert QuickWorkerPool.computed <= most
        self.compare_with_fresh(found)
        damaged = self.files().keys() - found.keys()
        assert tally.failed == len(damaged - self.accepted) and tally.accepted == len(damaged & self.accepted)
        self.accepted &= damaged
        self.out_of_reach -= self.files().keys()

    def run(self, options: ExtractSettings) -> tuple[Tally, Path | None]:
        return extract_videos([self.folder], self.store, options)

    def failures(self) -> FailureList:
        return FailureList(self.store, FeatureStore(self.store).index.failures)

    def compare_with_fresh(self, found: dict[str, bytes]) -> None:
        store = FeatureStore(self.store)
        fresh = self.place / "fresh"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_module, "WorkerPool", CachingWorkerPool)
            extract_videos([self.folder], fresh, QUICK)
        expected = {
            video_id: (rows, video_info) for video_id, rows, video_info in FeatureStore(fresh).videos()
        }
        assert set(expected) == set(found)
        seen = {video_id: (rows, video_info) for video_id, rows, video_info in store.videos()}
        gone = seen.keys() - expected.keys()
        assert gone <= self.known.keys() and not gone & self.files().keys()
        for video_id, (rows, video_info) in expected.items():
            assert_equal(seen[video_id][0], rows)
            assert seen[video_id][1] == video_info
        self.known = {**{video_id: self.known[video_id] for video_id in gone}, **found}
        assert verify(self.store).findings == []
        assert set(self.failures().ids) == set(FailureList(fresh).ids)
        shutil.rmtree(fresh)

    @rule(name=names, clip=clips)
    def add_or_replace(self, name: str, clip: int) -> None:
        self.write(name, CLIPS[clip])
        self.extract()

    @rule(name=names)
    def replace_by_one_of_equal_size_and_time(self, name: str) -> None:
        files = self.sound()
        if name in files:
            content = CLIPS[CLIPS.index(files[name]) ^ 1]
            if len(content) == len(files[name]):
                self.write(name, content, (self.folder / name).stat().st_mtime_ns)
        self.extract(check="content")

    @rule(name=names)
    def touch(self, name: str) -> None:
        if name in self.files():
            self.write(name, self.files()[name])
            self.accepted.discard(name)
        self.extract()

    @rule(name=names, to=names)
    def rename(self, name: str, to: str) -> None:
        if name in self.files():
            (self.folder / to).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).replace(self.folder / to)
            self.accepted -= {name, to} if name != to else set()
        self.extract()

    @rule(name=names, other=names)
    def swap(self, name: str, other: str) -> None:
        if {name, other} <= self.files().keys() and name != other:
            (self.folder / name).rename(self.folder / "x")
            (self.folder / other).rename(self.folder / name)
            (self.folder / "x").rename(self.folder / other)
            self.accepted -= {name, other}
        self.extract()

    @rule(name=names)
    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        self.extract()

    @rule(name=names)
    def damage(self, name: str) -> None:
        if name in self.sound():
            self.write(name, self.files()[name][:-400])
        self.extract()

    @rule()
    def accept(self) -> None:
        failures = self.failures()
        failures.accept(list(failures.ids), True)
        self.accepted = set(failures.ids)
        self.extract()

    @rule(some=st.lists(st.tuples(names, clips), min_size=1, max_size=5), stop_after=st.integers(0, 4))
    def interrupt(self, some: list[tuple[str, int]], stop_after: int) -> None:
        for name, clip in some:
            self.write(name, CLIPS[clip])
        self.extract(stop_after=stop_after)

    @rule()
    def move_the_folder(self) -> None:
        self.roots += 1
        moved = self.place / f"videos-{self.roots}"
        self.out_of_reach |= self.known.keys() - self.files().keys()
        self.folder.rename(moved)
        self.folder = moved
        self.extract()

    @rule()
    def prune(self) -> None:
        with StoreWriter.of(self.store) as writer:
            gone = find_gone(self.store, writer.index, self.failures(), self.folder)
            writer.amend(drops=gone.videos)
        unreached = {name: known for name, known in self.known.items() if name in self.out_of_reach}
        self.known = {**unreached, **self.sound()}
        assert set(FeatureStore(self.store)) == self.known.keys()
        self.extract()

    @rule()
    def compact(self) -> None:
        compact(self.store)
        self.extract()

    @rule(name=names)
    def remove(self, name: str) -> None:
        with StoreWriter.of(self.store) as writer:
            if name in writer.done:
                writer.amend(drops=[name])
        self.known.pop(name, None)
        self.extract()

    def teardown(self) -> None:
        shutil.rmtree(self.place)


class LivingPlannedFolder(LivingFolder):
    """The same, with a new plan for what each change leaves to do, and work on its parts."""

    loses_what_is_in_hand = True  # a part is stored as a whole

    def run(self, options: ExtractSettings) -> tuple[Tally, Path | None]:
        return plan_and_work([self.folder], self.store, options.model_copy(update={"part_frames": 8}))


@pytest.fixture
def quick(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    if not CLIPS:
        CLIPS.extend(make_clips(tmp_path_factory.mktemp("clips"), 7))
    monkeypatch.setattr(run_module, "WorkerPool", QuickWorkerPool)
    monkeypatch.setattr(work_module, "WorkerPool", QuickWorkerPool)


def live(machine: type[LivingFolder], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


MACHINES = pytest.mark.parametrize("machine", [LivingFolder, LivingPlannedFolder])


@MACHINES
def test_a_folder_that_lives(quick: None, machine: type[LivingFolder]) -> None:
    live(machine, 3, 12)


@pytest.mark.slow
@MACHINES
def test_a_folder_that_lives_long(quick: None, machine: type[LivingFolder]) -> None:
    live(machine, 10, 30)


def test_the_command_itself(quick: None, tmp_path: Path, featx, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with worker processes, CLIP, and an ffmpeg that writes down what it decodes."""
    monkeypatch.undo()  # the real worker pool
    from killing import Diary

    diary = Diary(tmp_path)
    monkeypatch.setenv("FEATX_FFMPEG", str(diary.program))
    folder, store = tmp_path / "v", tmp_path / "s"
    (folder / "deep").mkdir(parents=True)
    for name, clip in {"a": 0, "b": 1, "c": 2, "deep/d": 3, "e": 4}.items():
        (folder / f"{name}.mp4").write_bytes(CLIPS[clip])

    def extract(to: Path, *more: object) -> tuple[int, set[str]]:
        line = len(diary)
        code = featx("extract", folder, "--to", to, "--model", "tiny", *more).code
        return code, set(diary.since(folder, line))

    assert extract(store) == (0, {"a.mp4", "b.mp4", "c.mp4", "deep/d.mp4", "e.mp4"})
    (folder / "a.mp4").rename(folder / "deep" / "a.mp4")
    os.utime(folder / "b.mp4", ns=(1, 1))
    (folder / "c.mp4").write_bytes(CLIPS[5])
    (folder / "deep" / "d.mp4").unlink()
    (folder / "e.mp4").write_bytes(CLIPS[4][:300])
    (folder / "f.mp4").write_bytes(CLIPS[4])
    assert extract(store) == (3, {"c.mp4", "e.mp4"})
    assert featx("store", "prune", store).code == 0 and featx("store", "compact", store).code == 0
    assert featx("store", "accept-failures", store).code == 0
    assert extract(store) == (0, set())
    assert featx("store", "verify", store).code == 0
    assert extract(tmp_path / "fresh")[0] == 3
    lived, fresh = FeatureStore(store), FeatureStore(tmp_path / "fresh")
    assert set(lived) == set(fresh) == {"b.mp4", "c.mp4", "deep/a.mp4", "f.mp4"}
    for video_id in fresh:
        assert_equal(lived[video_id], fresh[video_id])
    assert lived.video_info(list(fresh)) == fresh.video_info(list(fresh))
