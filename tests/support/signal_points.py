"""A signal that comes exactly at a program's n-th file operation below a folder. A program of its own:

- ``python signal_points.py commit FORMAT COMMITS FOLDER``: a StoreWriter's life, at every operation, a fork a case,
- ``python signal_points.py featx POINT FOLDER WORDS``: one featx command, at one operation; it prints how many it saw,
- ``python signal_points.py import MODULE SIGNAL WORDS``: one featx command, when it imports a module.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalAt:
    """Sends this process a signal at the ``point``-th file operation below ``folder``, and counts them all.

    Operations are what Python reports before it does them (open, mkdir, rename, remove, listdir, ...), and the moment
    after each fsync. The C library's own, inside HDF5, are not seen.
    """

    def __init__(self, folder: Path, point: int, number: int = signal.SIGINT) -> None:
        self.count = 0
        self.at = ""
        self._folder, self._point, self._number = str(folder), point, number
        self._fsync = os.fsync
        self._lock = threading.Lock()
        os.fsync = self._synced
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple) -> None:
        if event == "open" or event.startswith(("os.", "shutil.")):
            paths = [word for word in arguments[:2] if isinstance(word, str | bytes | os.PathLike)]
            if any(os.fsdecode(path).startswith(self._folder) for path in paths):
                self._step(event)

    def _synced(self, handle: int) -> None:
        self._fsync(handle)
        self._step("fsync")

    def _step(self, what: str) -> None:
        with self._lock:  # zarr writes in threads
            self.count += 1
            now = self.count == self._point
        if now:
            self.at = what
            os.kill(os.getpid(), self._number)


def in_a_fork(work: Callable[[], int]) -> int:
    """Runs something in a child process; returns its exit code."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def commit_cases(format: str, commits: int, folder: Path) -> None:
    """Interrupts a writer's life (a new store and its shards) at every point, goes on in another process, looks."""
    import h5py  # noqa: F401  imported once, before the forks
    import zarr  # noqa: F401
    from stores import assert_equal, fingerprint, numbered, video_info

    from featx.signals import interrupt_on_signals
    from featx.store.failures import Failure, FailureList
    from featx.store.reader import FeatureStore
    from featx.store.upkeep.verify import verify
    from featx.store.writing.writer import StoreWriter

    interrupt_on_signals()
    videos = numbered([300, 20, 330, 9, 5][: 2 * commits - 1])
    points: dict[str, int] = {}

    def write(store: Path) -> None:
        with StoreWriter(store, fingerprint(), format, shard_bytes=5000) as writer:
            failures = FailureList(store)
            for name, video in videos.items():
                if name not in writer.done:
                    failures.record(Failure(name, name, "open", "not yet", "nothing", []))
                    writer.add(name, video, video_info(name))
            writer.commit()
            failures.tidy(writer.done)

    def interrupted(store: Path, point: int) -> int:
        signals = SignalAt(store, point, SIGNALS[point % len(SIGNALS)])
        try:
            write(store)
        finally:
            (folder / "at").write_text(signals.at)
        return 0

    def again(store: Path) -> int:
        kept = set(FeatureStore(store)) if (store / "store.json").exists() else set()
        write(store)
        found = verify(store, list(videos)).findings
        assert not found, found
        read = FeatureStore(store)
        assert list(read) == list(videos) and kept <= set(videos)
        for name, video in videos.items():
            assert_equal(read[name], video)
        assert not FailureList(store).ids
        left = {each.name for each in store.iterdir()}
        assert left == {"store.json", "shards", "lock", "failures.jsonl"}, left
        return 0

    point = 0
    while True:
        point += 1
        store = folder / f"{point}"
        code = in_a_fork(lambda store=store, point=point: interrupted(store, point))
        at = (folder / "at").read_text()
        if not at:
            assert code == 0, code
            break
        points[at] = points.get(at, 0) + 1
        assert code == 130, (point, at, code)
        code = in_a_fork(lambda store=store: again(store))
        assert code == 0, (point, at, code)
    print(f"{format}: {point - 1} points", *(f"{name} {count}" for name, count in sorted(points.items())))


def main() -> None:
    what, *words = sys.argv[1:]
    if what == "commit":
        commit_cases(words[0], int(words[1]), Path(words[2]))
        return
    from featx.__main__ import main as featx

    signals = None
    if what == "featx":
        point, folder, *words = words
        signals = SignalAt(Path(folder), int(point), SIGNALS[int(point) % len(SIGNALS)])
    else:
        module, number, *words = words
        sys.addaudithook(lambda event, arguments: signal_at_import(event, arguments, module, number))
    sys.argv = ["featx", *words]
    try:
        featx()
    finally:
        if signals is not None:
            print(signals.count)


def signal_at_import(event: str, arguments: tuple, module: str, number: str) -> None:
    if event == "import" and arguments[0] == module:
        os.kill(os.getpid(), signal.Signals[number])


if __name__ == "__main__":
    main()
