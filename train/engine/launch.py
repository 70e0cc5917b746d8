"""`--devices N`: starts N ranks of this command on this machine, and ends them together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

from featx.errors import WAYS_OUT, FeatxError, system_error_line
from featx.processes import without_main
from featx.signals import STOPPING

GRACE_SECONDS = 10.0  # that the other ranks have to end by themselves when one has failed


def in_ranks(count: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """Runs ``work(*arguments)`` in ``count`` new processes that find each other with `ranks.join_ranks`.

    Ctrl-C, SIGTERM and SIGHUP reach every rank once, as SIGTERM. When a rank dies the others are ended; when this process
    dies they end too.

    Returns:
        What the first rank returned.

    Raises:
        FeatxError: A rank's own, or one that says which rank died and how.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="featx-ranks-") as folder:
        processes: list[BaseProcess] = []
        readers: list[Connection] = []
        for rank in range(count):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(
                target=_be_rank, args=(rank, count, str(Path(folder) / "meeting"), writer, work, arguments)
            )
            with without_main():
                process.start()
            writer.close()
            processes.append(process)
            readers.append(reader)
        with _passing_signals_to(processes):
            answers, failed = _wait_for(processes, readers)
        return _outcome(processes, answers, failed)


class _passing_signals_to:
    """Hands Ctrl-C, SIGTERM and SIGHUP on to the ranks; a second one ends them at once."""

    def __init__(self, processes: list[BaseProcess]) -> None:
        self._processes = processes
        self._before: dict[int, Any] = {}
        self._asked = False

    def _pass_on(self, number: int, frame: Any) -> None:
        for process in self._processes:
            (process.kill if self._asked else process.terminate)()
        self._asked = True

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # signals never arrive there
        for number in STOPPING:
            self._before[number] = signal.signal(number, self._pass_on)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _wait_for(processes: list[BaseProcess], readers: list[Connection]) -> tuple[list[Any], list[int]]:
    """Returns what each rank answered, None for one that died without a word, and the ranks that failed by themselves.

    Those that are ended here because another one had failed are not among them.
    """
    answers: list[Any] = [None] * len(processes)
    failed: list[int] = []
    open_readers = dict(zip(readers, range(len(readers)), strict=True))
    deadline = None
    while open_readers or any(process.is_alive() for process in processes):
        alive = [process.sentinel for process in processes if process.is_alive()]
        for ready in wait([*open_readers, *alive], timeout=1.0):
            if isinstance(ready, Connection):
                rank = open_readers.pop(ready)
                with suppress(EOFError):
                    answers[rank] = ready.recv()
        failed += [n for n, process in enumerate(processes) if process.exitcode and n not in failed]
        if deadline is None and failed:
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                process.kill()  # it may wait for the dead one inside a collective, deaf to SIGTERM
            break
    for process in processes:
        process.join()
    for reader, rank in open_readers.items():  # what was said before the end
        with suppress(EOFError, OSError):
            answers[rank] = reader.recv() if reader.poll() else None
    return answers, failed


def _outcome(processes: list[BaseProcess], answers: list[Any], failed: list[int]) -> Any:
    from .ranks import LostRank

    errors = [answer for answer in answers if isinstance(answer, FeatxError)]
    for error in errors:
        if not isinstance(error, LostRank):
            raise error
    for rank in [*failed, *range(len(processes))]:  # the first that failed: others died of it
        if answers[rank] is None:
            code = processes[rank].exitcode or 0
            how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
            raise FeatxError(
                f"rank {rank} of {len(processes)} ended with {how}; the others were ended too. Run the same command "
                "again to go on from the last checkpoint"
            )
    if errors:
        raise errors[0]
    return answers[0][0]


def _be_rank(
    rank: int,
    count: int,
    meeting: str,
    writer: Connection,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)  # the parent hands it on as SIGTERM
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from .ranks import MEETING

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), MEETING: meeting}
    os.environ |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    import torch

    torch.set_num_threads(max(torch.get_num_threads() // count, 1))
    try:
        writer.send((work(*arguments),))
    except FeatxError as error:
        writer.send(error)
        _leave(error.exit_code)
    except OSError as error:
        if error.errno not in WAYS_OUT:
            traceback.print_exc()
            _leave(1)
        writer.send(FeatxError(system_error_line(error)))
        _leave(FeatxError.exit_code)
    except Exception:
        traceback.print_exc()
        _leave(1)


def _leave(code: int) -> NoReturn:
    """Ends the process without taking torch.distributed apart.

    Where another rank is gone, the threads of its process group are still at work, and C++ ends a process that destroys
    them with a line of its own ("terminate called without an active exception") and SIGABRT.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
