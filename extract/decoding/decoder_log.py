"""What ffmpeg says while it decodes: the streams of the file, every frame of the source, and what went wrong.

ffmpeg's filter `showinfo` prints a line a frame, in the order of presentation and before any other filter of ours.
Every line of the log carries its level, so that a decoder's complaints can be told from talk. Text that comes out of
the file (titles, user data) is printed indented or as hexadecimal digits, so it cannot look like such a line.
"""

from __future__ import annotations

import re
from array import array
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from featx.video.ffmpeg import MEMORY_ADDRESS

NO_TIME = -(2**63)  # how ffmpeg writes a time that it does not know
_COLUMNS = 7  # time, duration, key or not, width, height, and the two numbers of the aspect
LAST_LINES = 20
LINE_BYTES = 400
_SIZE = re.compile(r", (\d+)x(\d+)")
LEVEL = re.compile(r"\[(?:warning|error|fatal|panic)\] ")

_FRAME = re.compile(
    rb"n: *(\d+) pts: *(-?\d+|NOPTS) pts_time:\S+ +duration: *(-?\d+) [^\n]*?"
    rb"sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(.) iskey:(\d) type:(\S) ?([^\n]*)\n"
)
_GRAPH = re.compile(rb"config in time_base: (\d+)/(\d+)")
_PIXELS = re.compile(rb" fmt:(\w+) ")
_COLOURS = re.compile(rb"color_range:(\w+) color_space:(\w+) ")
_TRANSFER = re.compile(rb"color_trc:(\w+)")
_LEVELS = (b"[warning]", b"[error]", b"[fatal]", b"[panic]")
_WARNING = re.compile(rb"^[^\n]*\[(warning|error|fatal|panic)\] [^\n]*$", re.MULTILINE)
_CONTAINER = re.compile(rb"^\[info\] Input #0, (\S+), from", re.MULTILINE)
_START = re.compile(rb"^\[info\]   Duration: [^\n]* start: (-?[\d.]+)", re.MULTILINE)
_STREAM = re.compile(rb"^\[info\]   Stream #0:(\d+)(?:\[0x([0-9a-f]+)\])?\S*: (\w+): ([^\n]*)$", re.MULTILINE)
_MAPPED = re.compile(rb"^\[info\]   Stream #0:(\d+) -> #0:0 ", re.MULTILINE)
_CORRUPT = re.compile(rb"(?:Packet corrupt \(stream = (\d+), dts = (-?\d+|NOPTS)\)|corrupt input packet)")
# What is written, and how, is ours: times that step back disturb some muxers, and no picture.
_OUTPUT = re.compile(rb"\[(?:rawvideo|framecrc|null|out#|vost#|enc:|swscaler|vf#|Parsed_)")
# What another thread may say within a frame's line and means nothing: pieces of a description of the output, for one.
_TALK = re.compile(
    rb"\W|config (?:in|out) |Reconfiguring |Output #|Metadata|[\d.]+k? (?:fps|tbr|tbn)|deprecated pixel|"
    rb"Application provided invalid, non mono"
)
HEADER_BYTES = 2**20  # a file with more to say of its streams is not read further for them


@dataclass(frozen=True)
class StreamLine:
    """A stream as ffmpeg lists it: its number in the file, its kind (``Video``), what is said of it, its own id."""

    number: int
    kind: str
    text: str
    packet_id: int = -1

    @property
    def pixels(self) -> int:
        """Width times height as it is said; 0 if it is not."""
        size = _SIZE.search(self.text)
        return int(size[1]) * int(size[2]) if size else 0

    @property
    def is_cover(self) -> bool:
        """Whether it is a picture that is attached to the file, not something to watch."""
        return "(attached pic)" in self.text or "(timed thumbnails)" in self.text


@dataclass(frozen=True)
class SourceFrames:
    """All N frames of the source in the order in which they came out.

    Attributes:
        pts: (N,) int64, times in ``time_base``.
        durations: (N,) int64.
        key: (N,) bool, whether it is a key frame that builds upon no other.
        sizes: (N, 2) int32, width and height of the upright frame in pixels.
        aspects: (N, 2) int32, width to height of its pixels, such as 4 and 3; 0 and 1 if not known.
        time_base: Seconds of a unit of time.
    """

    pts: np.ndarray
    durations: np.ndarray
    key: np.ndarray
    sizes: np.ndarray
    aspects: np.ndarray
    time_base: Fraction

    def __len__(self) -> int:
        return len(self.pts)


class DecoderLog:
    """Reads ffmpeg's log block by block.

    Attributes:
        container: Format of the file, such as ``mpegts``.
        streams: All streams of the file, once the first frame is there.
        stream: Number of the stream that is decoded.
        start_s: Where the file begins on its own timeline, in seconds; None if it does not say.
        graphs: How often the filters were set up: more than once if frames change their size or colours.
        transfer: Transfer characteristic of the frames.
        pixel_format: ffmpeg's name for that of the first frame; empty before it came.
        colours: Range and colour space of the first frame; None before they were said.
        is_turned: Whether the file says that its pictures are to be shown turned.
        interlaced: Whether any frame is marked as two fields.
        errors: How many errors there were in reading and decoding.
        reading_errors: How many of them came from the container: packets may be missing without a trace.
        first_error: The first of those.
        last_lines: The last warnings and errors.
        corrupt_times: Decoding times of the packets in or behind which the container misses something, in the
            stream's time base; `NO_TIME` for one that has none.
    """

    def __init__(self, stream: int | None = None) -> None:
        """Has read nothing; ``stream`` is for a log that does not say which stream is decoded."""
        self.container = ""
        self.streams: list[StreamLine] = []
        self.stream = stream
        self.start_s: float | None = None
        self.graphs = 0
        self.transfer = ""
        self.pixel_format = ""
        self.colours: tuple[str, str] | None = None
        self.is_turned = False
        self.interlaced = False
        self.errors = 0
        self.reading_errors = 0
        self.corrupt_times: set[int] = set()
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.first_error = ""
        self._time_base = Fraction(1)
        self._aspect = (0, 1)  # filters take that of the frame that they were set up for
        self._numbers = array("q")  # `_COLUMNS` numbers of each frame in turn
        self._rest = b""
        self._head = b""
        self._head_done = False

    @property
    def frames(self) -> int:
        """How many frames there were so far."""
        return len(self._numbers) // _COLUMNS

    @property
    def first_size(self) -> tuple[int, int]:
        """Width and height of the first upright frame in pixels; zeros before it came."""
        return (self._numbers[3], self._numbers[4]) if self.frames else (0, 0)

    @property
    def first_aspect(self) -> tuple[int, int]:
        """Width to height of a pixel of the first frame; (0, 1) if not known, or before it came."""
        return (self._numbers[5], self._numbers[6]) if self.frames else (0, 1)

    @property
    def span_s(self) -> float:
        """Seconds from the first frame to the latest one."""
        return float((self._numbers[-_COLUMNS] - self._numbers[0]) * self._time_base) if self.frames else 0.0

    @property
    def packet_id(self) -> int:
        """Id of the stream that is decoded, as its container counts; -1 if not known."""
        return next((stream.packet_id for stream in self.streams if stream.number == self.stream), -1)

    def source_frames(self) -> SourceFrames:
        """Returns all frames so far."""
        numbers = np.array(self._numbers, np.int64).reshape(-1, _COLUMNS)
        return SourceFrames(
            numbers[:, 0],
            numbers[:, 1],
            numbers[:, 2].astype(bool),
            numbers[:, 3:5].astype(np.int32),
            numbers[:, 5:].astype(np.int32),
            self._time_base,
        )

    def feed(self, block: bytes) -> None:
        """Takes the next bytes; what follows the last line feed waits for more."""
        text, feed, rest = (self._rest + block).rpartition(b"\n")
        # a line without an end must not grow for ever
        self._rest = rest if len(rest) < HEADER_BYTES else b""
        if feed:
            self._lines(text + feed)

    def close(self) -> None:
        """Takes what was left without a line feed."""
        self._lines(self._rest + b"\n")
        self._rest = b""
        if not self._head_done:
            self._read_head()

    def _lines(self, text: bytes) -> None:
        # Nearly every line is about a frame; what else there may be is looked for only where its word stands.
        graphs = _GRAPH.findall(text) if b"config in" in text else []
        if not self._head_done:
            self._head += text
            if graphs or len(self._head) > HEADER_BYTES:
                self._read_head()
        if graphs and not self.graphs:
            self._time_base = Fraction(int(graphs[0][0]), int(graphs[0][1]))
        self.graphs += len(graphs)
        if not self.transfer and (transfer := _TRANSFER.search(text)):
            self.transfer = transfer[1].decode("ascii", "replace")
        if self.colours is None and (colours := _COLOURS.search(text)):
            self.colours = colours[1].decode(), colours[2].decode()
        if not self.pixel_format and (pixels := _PIXELS.search(text)):
            self.pixel_format = pixels[1].decode()
        self._read_frames(text)
        if any(level in text for level in _LEVELS):
            for complaint in _WARNING.finditer(text):
                self._complain(complaint[1].decode(), complaint[0])

    def _read_frames(self, text: bytes) -> None:
        for number, pts, duration, upper, lower, width, height, fields, key, kind, behind in _FRAME.findall(
            text
        ):
            previous = self._numbers[-_COLUMNS] + self._numbers[1 - _COLUMNS] if self.frames else 0
            time = previous if pts == b"NOPTS" else int(pts)
            is_key = key == b"1" and kind in b"I?"
            if int(number) == 0:
                self._aspect = int(upper), int(lower)
            self._numbers.extend((time, int(duration), is_key, int(width), int(height), *self._aspect))
            self.interlaced = self.interlaced or fields in b"TB"
            # Another thread's message can get between a frame's line and its end; then it carries no level.
            if behind.strip() and not _TALK.match(behind):
                self._complain("error", behind)

    def _read_head(self) -> None:
        """Takes what ffmpeg said of the file before it set up the filters."""
        self._head_done = True
        if container := _CONTAINER.search(self._head):
            self.container = container[1].decode()
        if start := _START.search(self._head):
            self.start_s = float(start[1])
        self.streams = [
            StreamLine(int(number), kind.decode(), text.decode(errors="replace"), int(packet_id or b"0", 16))
            for number, packet_id, kind, text in _STREAM.findall(self._head.partition(b"[info] Output #0")[0])
        ]
        self.is_turned = b"displaymatrix" in self._head
        if mapped := _MAPPED.search(self._head):
            self.stream = int(mapped[1])
        self._head = b""

    def _complain(self, level: str, line: bytes) -> None:
        said = MEMORY_ADDRESS.sub("", LEVEL.sub("", line[:LINE_BYTES].decode(errors="replace"))).strip()
        self.last_lines.append(said)
        corrupt = _CORRUPT.search(line)
        if corrupt and corrupt[1]:
            if self.stream is None or int(corrupt[1]) == self.stream:
                self.corrupt_times.add(NO_TIME if corrupt[2] == b"NOPTS" else int(corrupt[2]))
        elif not corrupt and level != "warning" and not _OUTPUT.match(line):
            self.errors += 1
            self.reading_errors += line.startswith(b"[in#")
            self.first_error = self.first_error or said
