"""How far a long command is: a bar on a terminal, a line every so often elsewhere (a file, a batch system's log)."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column

from featx.errors import printable
from featx.output import json_log
from featx.output.audience import calling_program
from featx.output.console import stderr_console

LINE_SECONDS = 30.0  # between two lines
BAR_SECONDS = 0.25  # between two looks at what the bar shows: on a GPU a look has to wait for it


class Progress:
    """Shows how far a command is; a context manager. The last line is shown only if there was one before.

    On a terminal the bar leaves no trace in the end: the command's own last line says how it went. A program that called a
    function of `import featx` gets calls instead, if it asked for them, the last one at the end.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        done: int = 0,
    ) -> None:
        """Begins to measure.

        Many arguments, since each command says a few of them: all but the first three have defaults.

        Args:
            name: What is made, in front of each line.
            total: When it is finished.
            unit: Of what, such as "steps".
            quiet: Whether nothing is shown.
            console: Where; standard error if not given.
            clock: Seconds.
            done: Where it goes on.
        """
        self._console = console or stderr_console()
        program = calling_program()
        self._callback = program.progress if program else None
        self._as_json = program is None and json_log.is_on()
        quiet = quiet if program is None else self._callback is None
        self._name, self._total, self._unit, self._quiet = name, total, unit, quiet
        self._clock, self._began, self._first = clock, clock(), done
        self._done, self._text = done, ""
        self._shown_at = self._began
        self._shown: int | None = None  # what the last line said was done
        self._bar: Bar | None = None
        is_drawn = self._console.is_terminal and not self._console.is_dumb_terminal and not self._as_json
        if not program and not quiet and is_drawn:
            # The bar takes what the terminal has left; in a narrow one the figures go on in another line. Nothing is cut.
            self._bar = Bar(
                MofNCompleteColumn(table_column=Column(no_wrap=True)),
                TextColumn("{task.description} {task.fields[text]}", markup=False, table_column=Column()),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
                BarColumn(bar_width=None, table_column=Column(ratio=1)),
                console=self._console,
                expand=True,
                transient=True,
            )
            self._task = self._bar.add_task(unit, total=total, completed=done, text="")

    @property
    def is_due(self) -> bool:
        """Whether it is time to show something: ask before computing what costs something."""
        if self._quiet:
            return False
        every = LINE_SECONDS if self._bar is None and self._callback is None else BAR_SECONDS
        return self._clock() - self._shown_at >= every

    def show(self, done: int, text: str) -> None:
        """Says how much is done, and figures beside it; seen if it is due."""
        self._done, self._text = done, text
        if self.is_due:
            self._show()

    def _show(self) -> None:
        self._shown_at, self._shown = self._clock(), self._done
        if self._callback is not None:
            self._callback(self._done, self._total, self._text)
        elif self._bar is not None:
            self._bar.update(self._task, completed=self._done, text=self._text)
        elif self._as_json:
            of = {"name": self._name, "done": self._done, "total": self._total, "unit": self._unit}
            left_s = self._left_s()
            json_log.write("info", "progress", self._text, **of, left_s=left_s and round(left_s, 1))
        else:
            line = f"{self._name}: {self._done:,} of {self._total:,} {self._unit}, {self._text}{self._left()}"
            self._console.print(printable(line), markup=False, highlight=False)

    def _left(self) -> str:
        seconds = self._left_s()
        return "" if seconds is None else f", about {duration(seconds)} left"

    def _left_s(self) -> float | None:
        new = self._done - self._first
        if not new or self._done >= self._total:
            return None
        return (self._clock() - self._began) / new * (self._total - self._done)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        if self._callback is not None:
            self._show()
        elif self._bar is not None:
            self._show()  # a short run may never have been due
            self._bar.__exit__(*details)  # type: ignore[arg-type]
        elif self._shown not in (None, self._done):
            self._show()


def duration(seconds: float) -> str:
    """Returns a length of time as `40 s`, `12 min` or `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
