"""Who is told what happens: a person at the command line, or the program that called a function of `import featx`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

# (done, total, figures): how far it is, and what is shown beside it
ProgressCallback = Callable[[int, int, str], None]


@dataclass
class Program:
    """A program that called: nothing is printed for it, it gets what there is to say.

    Attributes:
        progress: Is called now and then with how far it is; None if the program does not ask.
        lines: What a person would have read.
        warnings: What has to be known beside the result.
    """

    progress: ProgressCallback | None = None
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


_PROGRAM: ContextVar[Program | None] = ContextVar("featx_program", default=None)


def calling_program() -> Program | None:
    """Returns the program that called; None at the command line."""
    return _PROGRAM.get()


@contextmanager
def told_to(program: Program) -> Iterator[None]:
    """Within it, a program is told, not a person; only in this thread."""
    token = _PROGRAM.set(program)
    try:
        yield
    finally:
        _PROGRAM.reset(token)
