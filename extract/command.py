"""The ffmpeg command lines of extraction.

One process decodes a video once and writes two things: the chosen frames as pictures to its standard output, and
one line of text for every frame of the source (ffmpeg's framecrc format: size, time base, presentation time,
duration) into a pipe. So a row's time and frame number never depend on what a filter made of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.clip.preprocess import fast_filter
from featx.extract.sampling import Sampling, filter_of
from featx.ffmpeg import DEMUXERS, PROTOCOLS, ffmpeg_path

FRAME_LINES = {"format": "framecrc", "an": None, "sn": None, "dn": None}


@dataclass(frozen=True)
class DecodeOptions:
    """How videos are decoded, and the bounds that a file must keep.

    Attributes:
        sampling: Which frames become pictures.
        fast_size: Side of the pictures when ffmpeg scales and crops them; None for whole frames.
        hwaccel: ffmpeg's name of a decoding device, such as `cuda`; empty for none.
        hwaccel_device: Which of them, such as `1`; empty for ffmpeg's choice.
        threads: Decoding threads of one ffmpeg.
        timeout_s: How long ffmpeg may be waited for in one video; waiting for the encoder does not count.
        max_pixels: Largest picture, width times height.
        max_duration_s: Longest video.
        max_frames: Most frames of a video.
    """

    sampling: Sampling = field(default_factory=Sampling)
    fast_size: int | None = None
    hwaccel: str = ""
    hwaccel_device: str = ""
    threads: int = 1
    timeout_s: float = 600.0
    max_pixels: int = 16_384 * 16_384
    max_duration_s: float = 48 * 3600.0
    max_frames: int = 20_000_000


INPUT = "input"  # stands for the file in the graph: ffmpeg-python takes no names that are not UTF-8


def _source(options: DecodeOptions) -> Any:
    import ffmpeg

    given: dict[str, Any] = {"protocol_whitelist": PROTOCOLS, "format_whitelist": DEMUXERS}
    given |= {"max_pixels": options.max_pixels, "threads": options.threads}
    if options.sampling.kind == "keyframes":
        given["skip_frame"] = "nokey"
    if options.hwaccel:
        given["hwaccel"] = options.hwaccel
        if options.hwaccel_device:
            given["hwaccel_device"] = options.hwaccel_device
    return ffmpeg.input(INPUT, **given)


def _compile(path: Path, *outputs: Any) -> list[str]:
    import ffmpeg

    # -xerror ends at the first damaged frame: ffmpeg would otherwise invent what is missing and report success
    quiet = ("-nostdin", "-nostats", "-v", "error", "-xerror", "-filter_threads", "1")
    command = ffmpeg.merge_outputs(*outputs).global_args(*quiet).compile(cmd=ffmpeg_path())
    # `file:` keeps names such as `-x.mp4`, `concat:a|b` or `http://…` file names
    command[command.index("-i") + 1] = f"file:{path}"
    return command


def decode_command(
    path: Path, options: DecodeOptions, frames: int, frame_pipe: int, packet_pipe: int
) -> list[str]:
    """Returns the command that decodes the largest video stream of a file.

    Args:
        path: The file.
        options: How.
        frames: Frames of the video; only sampling ``frames`` needs it.
        frame_pipe: File descriptor for the lines about frames.
        packet_pipe: File descriptor for the lines about packets; used for key frames only.
    """
    import ffmpeg

    source = _source(options)
    filters = [filter_of(options.sampling, frames)]
    if options.fast_size:
        filters.append(fast_filter(options.fast_size))
        picture = {"format": "rawvideo", "vcodec": "rawvideo"}
    else:
        # A PPM carries its own size: what comes out of a rotated video says how large it is, without a probe.
        picture = {"format": "image2pipe", "vcodec": "ppm"}
    chain = ",".join(word for word in filters if word)
    # No stream is named: ffmpeg takes the largest picture, for every output the same one.
    # Without passthrough, frames of a variable rate would be doubled or dropped to make the rate constant.
    pictures = ffmpeg.output(
        source,
        "pipe:1",
        pix_fmt="rgb24",
        fps_mode="passthrough",
        **picture,
        **({"vf": chain} if chain else {}),
    )
    lines = ffmpeg.output(
        source,
        f"pipe:{frame_pipe}",
        vcodec="wrapped_avframe",  # hands frames on without a copy
        fps_mode="passthrough",
        enc_time_base="demux",
        **FRAME_LINES,
    )
    if options.sampling.kind != "keyframes":
        return _compile(path, pictures, lines)
    packets = ffmpeg.output(source, f"pipe:{packet_pipe}", vcodec="copy", **FRAME_LINES)
    return _compile(path, pictures, lines, packets)


def count_command(path: Path, options: DecodeOptions) -> list[str]:
    """Returns the command that lists the packets of a video without decoding them."""
    import ffmpeg

    return _compile(path, ffmpeg.output(_source(options), "pipe:1", vcodec="copy", **FRAME_LINES))
