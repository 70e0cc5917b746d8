"""The ffmpeg command lines of extraction.

One process decodes a video and writes the chosen frames, as plain RGB pixels, to its standard output. What each
frame of the source is (time, size, kind) it says in its log (see `featx.extract.decoding.decoder_log`). So a row's time and
frame number never depend on what a filter made of them. Times are those of the file itself (``-copyts``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.clip.preprocess import Preprocessing, fast_filter
from featx.video.ffmpeg import DEMUXERS, PROTOCOLS, ffmpeg_path

from ..plan.settings import MAX_PIXELS
from .sampling import Sampling, filter_of


@dataclass(frozen=True)
class DecodeOptions:
    """How videos are decoded, and the bounds that a file must keep.

    Attributes:
        sampling: Which frames become pictures.
        fast: How ffmpeg scales and crops frames; None for whole frames.
        stream: Number of the stream in the file, as ffmpeg counts; None lets `featx.extract.decoding.streams` choose.
        square_pixels: Stretch frames whose pixels are not square to the width that they are shown with.
        deinterlace: Make whole frames of those that are marked as two fields.
        planes: Hand over frames as decoded, YUV 4:2:0, where `featx.clip.exact_pictures` takes them; RGB elsewhere.
        hwaccel: ffmpeg's name of a decoding device, such as `cuda`; empty for none.
        hwaccel_device: Which of them, such as `1`; empty for ffmpeg's choice.
        threads: Decoding threads of one ffmpeg.
        timeout_s: How long there may be no further frame; waiting for the encoder does not count.
        max_pixels: Largest picture, width times height.
        max_duration_s: Longest video.
        max_frames: Most frames of a video.
    """

    sampling: Sampling = field(default_factory=Sampling)
    fast: Preprocessing | None = None
    stream: int | None = None
    square_pixels: bool = False
    deinterlace: bool = False
    planes: bool = False
    hwaccel: str = ""
    hwaccel_device: str = ""
    threads: int = 1
    timeout_s: float = 600.0
    max_pixels: int = MAX_PIXELS
    max_duration_s: float = 48 * 3600.0
    max_frames: int = 20_000_000

    @property
    def keeps_planes(self) -> bool:
        """Whether nothing that is asked for needs RGB."""
        changed = self.fast or self.square_pixels or self.deinterlace or self.hwaccel
        return self.planes and not changed

    def picture_size(self, frame_size: tuple[int, int], aspect: tuple[int, int]) -> tuple[int, int]:
        """Returns width and height of the picture that a frame becomes.

        Args:
            frame_size: Width and height of the upright frame; zeros if there is none.
            aspect: Width to height of its pixels, such as (4, 3); (0, 1) if not known.
        """
        width, height = frame_size
        if self.fast:
            return (self.fast.size, self.fast.size) if width else (0, 0)
        upper, lower = aspect
        if self.square_pixels and upper:
            width = int(width * (upper / lower) + 0.5)
        return width, height


INPUT = "input"  # stands for the file in the graph: ffmpeg-python takes no names that are not UTF-8
# Messages of the encoder, captions and time codes would be printed too, in pieces between which complaints get lost.
NOT_SHOWN = ("SEI_UNREGISTERED", "A53_CC", "16")  # 16: S12M time codes, whose name has changed
FRAME_LOG = ",".join([*(f"sidedata=delete:{kind}" for kind in NOT_SHOWN), "showinfo=checksum=0"])
# Every packet in the order of the file, its own presentation time (or, without one, its decoding time) in place of
# `pts`, its duration kept; the running number in place of `dts`, since muxers do not take times that step back.
FAR_BACK = 10**12
PACKET_TIMES = f"setts=pts=if(eq(PTS\\,NOPTS)\\,DTS\\,PTS):dts=N-{FAR_BACK}"
# The same with `dts`, moved by as much, in place of the duration.
PACKET_ORDER = f"setts=pts=PTS:dts=N-{FAR_BACK}:duration=if(eq(DTS\\,NOPTS)\\,0\\,DTS+{FAR_BACK})"
PACKET_LINES = {"vcodec": "copy", "copyinkf": None, "format": "framecrc", "an": None, "sn": None, "dn": None}


def picture_command(
    path: Path, options: DecodeOptions, frames: int = 0, packet_pipe: int | None = None
) -> list[str]:
    """Returns the command that decodes the chosen frames of an undamaged video; any damage ends it with an error.

    Args:
        path: The file.
        options: How.
        frames: Frames of the video; only sampling ``frames`` needs it.
        packet_pipe: File descriptor for the lines about packets; used for key frames only.
    """
    source = _source(options)
    chain = [FRAME_LOG, *_repairs(options), filter_of(options.sampling, frames), *_size(options)]
    outputs = [_pictures(source, options, chain, "yuv420p" if options.keeps_planes else "rgb24")]
    if options.sampling.kind == "keyframes" and packet_pipe is not None:
        outputs.append(_packets(source, _stream(options), packet_pipe, PACKET_TIMES))
    return _compile(path, outputs, "-xerror")


def batch_command(paths: list[Path], options: DecodeOptions) -> list[str]:
    """Returns the command that decodes several small videos as `picture_command` does, one behind the other.

    The filter that tells of the frames of video k is called ``showinfo@k``. All filters are one graph, so that they
    run in one thread and none writes its lines into another one's.
    """
    given = [word for name, value in _input_options(options).items() for word in (f"-{name}", value) if word]
    inputs = [word for path in paths for word in (*given, "-i", f"file:{path}")]
    chains = []
    for number in range(len(paths)):
        told = FRAME_LOG.replace("showinfo", f"showinfo@{number}")
        chain = [told, *_repairs(options), filter_of(options.sampling, 0), *_size(options), "format=rgb24"]
        chains.append(f"[{number}:v:0]{','.join(word for word in chain if word)}[part{number}]")
    parts = "".join(f"[part{number}]" for number in range(len(paths)))
    graph = ";".join([*chains, f"{parts}concat=n={len(paths)}:unsafe=1[all]"])
    output = [
        "-pix_fmt",
        "rgb24",
        "-fps_mode",
        "passthrough",
        "-noautoscale",
        "-c:v",
        "rawvideo",
        "-f",
        "rawvideo",
    ]
    whole = ["-xerror", "-filter_complex_threads", "1", "-filter_complex", graph, "-map", "[all]"]
    return [ffmpeg_path(), *_talk("info"), *map(str, inputs), *whole, *output, "pipe:1"]


def every_frame_command(path: Path, options: DecodeOptions) -> list[str]:
    """Returns the command that decodes all frames that can be decoded, each in its own size, past any damage."""
    source = _source(options, keep_going=True)
    return _compile(path, [_pictures(source, options, [FRAME_LOG, *_repairs(options), *_size(options)])])


def frame_command(path: Path, options: DecodeOptions) -> list[str]:
    """Returns the command that decodes as `every_frame_command` does and keeps no picture, only the log of frames."""
    return _compile(path, [_nothing(_source(options, keep_going=True), options, FRAME_LOG)])


def complaint_command(path: Path, options: DecodeOptions, packet_pipe: int) -> list[str]:
    """Returns the command that decodes in the same way, says only what is wrong, and lists the packets.

    It is not one with `frame_command`: `showinfo` writes a line in two steps, and a complaint that gets between them
    loses the words that say where it comes from.
    """
    source = _source(options, keep_going=True)
    packets = _packets(source, _stream(options), packet_pipe, PACKET_ORDER)
    return _compile(path, [_nothing(source, options, "null"), packets], level="warning")


def packet_command(path: Path, options: DecodeOptions, all_streams: bool = False) -> list[str]:
    """Returns the command that lists packets on standard output, without decoding them.

    Args:
        path: The file.
        options: How.
        all_streams: Of all video streams in turn, not only of the one that the options name, or else the first.
    """
    import ffmpeg

    streams = "0:v" if all_streams else _stream(options)
    lines = ffmpeg.output(_source(options), "pipe:1", map=streams, **{"bsf:v": PACKET_TIMES}, **PACKET_LINES)
    return _compile(path, [lines])


def _input_options(options: DecodeOptions, keep_going: bool = False) -> dict[str, Any]:
    given: dict[str, Any] = {"protocol_whitelist": PROTOCOLS, "format_whitelist": DEMUXERS, "copyts": None}
    given |= {"max_pixels": options.max_pixels, "threads": options.threads}
    if keep_going:
        given["err_detect:v"] = "explode"  # a decoder must rather give no frame than make one up
    elif options.sampling.kind == "keyframes":
        given["skip_frame"] = "nokey"
    if options.hwaccel:
        given["hwaccel"] = options.hwaccel
        if options.hwaccel_device:
            given["hwaccel_device"] = options.hwaccel_device
    return given


def _source(options: DecodeOptions, keep_going: bool = False) -> Any:
    import ffmpeg

    return ffmpeg.input(INPUT, **_input_options(options, keep_going))


def _repairs(options: DecodeOptions) -> list[str]:
    return ["bwdif=mode=send_frame:deint=interlaced"] if options.deinterlace else []


def _size(options: DecodeOptions) -> list[str]:
    filters = []
    if options.square_pixels:
        filters.append("scale=w=if(sar\\,round(iw*sar)\\,iw):h=ih:flags=bicubic,setsar=1")
    if options.fast:
        filters.append(fast_filter(options.fast))
    return filters


def _stream(options: DecodeOptions) -> str:
    return "0:v:0" if options.stream is None else f"0:{options.stream}"


def _video_only() -> dict[str, None]:
    return {"an": None, "sn": None, "dn": None}


def _pictures(source: Any, options: DecodeOptions, chain: list[str], pixel_format: str = "rgb24") -> Any:
    import ffmpeg

    # Without passthrough, frames of a variable rate would be doubled or dropped to make the rate constant. Without
    # noautoscale, frames of another size would be stretched to the first one's.
    return ffmpeg.output(
        source,
        "pipe:1",
        **({} if options.stream is None else {"map": _stream(options)}),
        vf=",".join(word for word in chain if word),
        pix_fmt=pixel_format,
        fps_mode="passthrough",
        noautoscale=None,
        vcodec="rawvideo",
        format="rawvideo",
        **_video_only(),
    )


def _nothing(source: Any, options: DecodeOptions, chain: str) -> Any:
    import ffmpeg

    sink = {"vf": chain, "fps_mode": "passthrough", "format": "null"}
    return ffmpeg.output(source, "-", map=_stream(options), **sink, **_video_only())


def _packets(source: Any, stream: str, pipe: int, times: str) -> Any:
    import ffmpeg

    return ffmpeg.output(source, f"pipe:{pipe}", map=stream, **{"bsf:v": times}, **PACKET_LINES)


def _talk(level: str) -> tuple[str, ...]:
    # The log says of what kind each line is; lines that repeat are not summed up, since frames are counted in it.
    return ("-hide_banner", "-nostdin", "-nostats", "-v", f"repeat+level+{level}")


def _compile(path: Path, outputs: list[Any], *more: str, level: str = "info") -> list[str]:
    import ffmpeg

    words = (*_talk(level), *more, "-filter_threads", "1")
    command: list[str] = ffmpeg.merge_outputs(*outputs).global_args(*words).compile(cmd=ffmpeg_path())
    # `file:` keeps names such as `-x.mp4`, `concat:a|b` or `http://…` file names
    command[command.index("-i") + 1] = f"file:{path}"
    return command
