"""The packets of a file's streams as ffmpeg lists them (framecrc format), without decoding."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from .ffmpeg_args import FAR_BACK

KEY_FLAG, CORRUPT_FLAG, DISCARD_FLAG = 1, 2, 4  # AV_PKT_FLAG_…


@dataclass(frozen=True)
class Packets:
    """The M packets of a stream in the order of the file.

    Attributes:
        pts: (M,) int64, presentation times in ``time_base``; `NO_TIME` of `featx.extract.decoding.decoder_log` if the file does not say.
        durations: (M,) int64.
        key: (M,) bool, whether decoding can begin there.
        corrupt: (M,) bool, whether the container says that something is missing in it or beside it.
        discarded: (M,) bool, whether the file's edit list cuts it off: it is decoded and not shown.
        time_base: Seconds of a unit of time.
    """

    pts: np.ndarray
    durations: np.ndarray
    key: np.ndarray
    corrupt: np.ndarray
    discarded: np.ndarray
    time_base: Fraction

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def decoding_times(self) -> np.ndarray:
        """(M,) int64, where the packets were listed with decoding times in place of durations."""
        return self.durations - FAR_BACK

    @property
    def shown(self) -> Packets:
        """Those that are not cut off."""
        kept = ~self.discarded
        columns = ("pts", "durations", "key", "corrupt", "discarded")
        return replace(self, **{name: getattr(self, name)[kept] for name in columns})

    @property
    def covered_s(self) -> float:
        """Seconds from the first packet's time to the end of the last one."""
        if not len(self):
            return 0.0
        return float((int((self.pts + self.durations).max()) - int(self.pts.min())) * self.time_base)


class PacketLines:
    """Gathers the lines about packets of several streams."""

    def __init__(self) -> None:
        self._time_bases: dict[int, Fraction] = {}
        self._numbers: dict[int, array[int]] = {}  # pts, duration, flags of each packet in turn

    def read(self, line: str) -> None:
        """Takes one line."""
        if line.startswith("#"):
            name, _, value = line[1:].partition(": ")
            word, _, number = name.partition(" ")
            if word == "tb":
                self._time_bases[int(number)] = Fraction(value.strip())
            return
        words = line.split(",")
        if len(words) < 6:
            return  # a line that a killed process did not finish
        flags = [int(word.strip()[2:], 16) for word in words[6:] if word.strip().startswith("F=")]
        flag = flags[0] if flags else KEY_FLAG  # nothing is written when there is no other flag
        self._numbers.setdefault(int(words[0]), array("q")).extend((int(words[2]), int(words[3]), flag))

    def of(self, output: int = 0) -> Packets:
        """Returns the packets of one stream of the output."""
        numbers = np.array(self._numbers.get(output, array("q")), np.int64).reshape(-1, 3)
        flags = numbers[:, 2]
        return Packets(
            numbers[:, 0],
            numbers[:, 1],
            (flags & KEY_FLAG).astype(bool),
            (flags & CORRUPT_FLAG).astype(bool),
            (flags & DISCARD_FLAG).astype(bool),
            self._time_bases.get(output, Fraction(1)),
        )
