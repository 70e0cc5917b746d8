"""What can go wrong with a single video."""

from __future__ import annotations

import re

from .decoder_log import DecoderLog
from .ffmpeg_args import DecodeOptions

ERRORS_IN_A_ROW = 10_000  # without anything else: ffmpeg turns in a circle
TOO_LARGE = re.compile(r"Picture size (\d+x\d+) exceeds specified max pixel count")


class DecodeError(Exception):
    """A video could not be decoded to its end.

    Attributes:
        stage: `open` if no picture came out, else `decode`.
        stderr: The last warnings and errors of ffmpeg.
        killed: Whether ffmpeg was killed by somebody else, so that another attempt may succeed.
        is_final: Whether looking closer cannot help: a bound was passed, there is no video, or nothing came for long.
    """

    def __init__(
        self, message: str, stage: str, stderr: list[str], killed: bool = False, is_final: bool = False
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.stderr = stderr
        self.killed = killed
        self.is_final = is_final


class Irregular(Exception):
    """A video must be decoded in another way: what came out of it so far is to be forgotten."""


def check_end(log: DecoderLog, status: int, stalled: bool, options: DecodeOptions, count: int) -> None:
    """Says why a process did not decode its video to the end.

    Args:
        log: What it said.
        status: How it ended; negative for a signal.
        stalled: Whether it was killed for giving nothing.
        options: How it decoded.
        count: Pictures that came out.

    Raises:
        DecodeError: If it did not.
    """
    stage, said = "decode" if count else "open", list(log.last_lines)
    if stalled:
        text = f"no further frame for {options.timeout_s:g} s; --timeout allows longer pauses"
        if log.errors > ERRORS_IN_A_ROW:
            text = f"nothing but errors: {log.first_error}"
        raise DecodeError(text, stage, said, is_final=True)
    if log.frames > options.max_frames:
        text = f"more than {options.max_frames} frames; --max-frames allows more"
        raise DecodeError(text, stage, said, is_final=True)
    if log.span_s > options.max_duration_s:
        text = f"longer than {options.max_duration_s:.0f} s; --max-duration allows more"
        raise DecodeError(text, stage, said, is_final=True)
    for line in [log.first_error, *said]:
        if too_large := TOO_LARGE.search(line):
            text = f"frames of {too_large[1]} pixels; --max-pixels allows more than {options.max_pixels}"
            raise DecodeError(text, stage, said, is_final=True)
    if status < 0:
        raise DecodeError(f"the decoder was killed by signal {-status}", stage, said, killed=True)
    if log.streams and not any(stream.kind == "Video" for stream in log.streams):
        kinds = ", ".join(sorted({stream.kind.lower() for stream in log.streams}))
        raise DecodeError(f"no video in the file, only {kinds}", "open", said, is_final=True)
    if status:
        raise DecodeError(log.first_error or f"ffmpeg ended with status {status}", stage, said)
    if not log.frames:
        text = "no video frame in the file"
        if options.sampling.kind == "keyframes":
            text = "no key frame is shown: an edit list cuts them off; sample with --fps or --every"
        raise DecodeError(text, "open", said, is_final=True)


def is_out_of_bounds(log: DecoderLog, options: DecodeOptions) -> bool:
    """Whether a video has more frames, or is longer, than it may."""
    return log.frames > options.max_frames or log.span_s > options.max_duration_s
