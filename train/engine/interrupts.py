"""Ctrl-C, SIGTERM and SIGHUP during the steps: the step is finished and saved; a second one ends the program at once."""

from __future__ import annotations

import signal
import threading
from typing import Any

from featx.signals import STOPPING


class GracefulStop:
    """While it is entered, the first signal only sets ``requested``."""

    def __init__(self, one_of_several: bool) -> None:
        """Prepares for one of several ranks, or for the only process.

        Args:
            one_of_several: Then a second signal is ignored: a launcher's and a terminal's may both arrive, and it is
                the launcher that ends what takes too long.
        """
        self._one_of_several = one_of_several
        self._before: dict[int, Any] = {}
        self.requested = False

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.requested and not self._one_of_several:
            raise KeyboardInterrupt
        self.requested = True

    def __enter__(self) -> GracefulStop:
        if threading.current_thread() is not threading.main_thread():
            return self  # signals never arrive there
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
