"""How video files are called: the endings that folders are searched for, and names without them."""

from __future__ import annotations

import os
import posixpath

# What ffmpeg may open a file as, and how the videos among such files are called: what ffmpeg itself says of each
# format, what cameras write, and what people call them. Only formats that stand here are opened, and none of them
# names other files (as playlists, edit lists and sequences of pictures do; ffmpeg takes .mjpeg for one of those). Endings
# that mostly mean sound, subtitles or pictures are left out, and .lrv, a camera's small copy of another file.
ENDINGS_OF = {
    "mov,mp4,m4a,3gp,3g2,mj2": ".mov .qt .mqv .mp4 .m4v .mp4v .mpg4 .f4v .f4p .3gp .3gpp .3g2 .3gp2 .mj2 .mjp2 "
    ".ismv .hdmov .insv .360",
    "matroska,webm": ".mkv .mk3d .webm",
    "avi": ".avi .divx .xvid .amv",
    "mpeg": ".mpg .mpeg .mpe .mpg2 .m2p .vob .vro .evo .mod .dat",
    "mpegts": ".ts .m2t .mts .m2ts .tp .trp .tod .mpegts .ssif",
    "mpegvideo": ".m1v .m2v .mp2v .mpv .mpv2",
    "flv": ".flv",
    "asf": ".asf .wmv .wm .dvr-ms",
    "ogg": ".ogv .ogm .ogx",
    "m4v": ".m4v",
    "h261": ".h261",
    "h263": ".h263",
    "h264": ".h264 .264 .avc .h26l .26l .jvt",
    "hevc": ".hevc .h265 .265",
    "vvc": ".vvc .h266 .266",
    "av1": ".obu .av1",
    "obu": ".obu .av1",
    "ivf": ".ivf",
    "vc1": ".vc1",
    "vc1test": ".rcv",
    "mxf": ".mxf",
    "gxf": ".gxf",
    "gif": ".gif",
    "rm": ".rm .rmvb .rv",
    "nut": ".nut",
    "wtv": ".wtv",
    "dv": ".dv .dif",
    "dhav": ".dav",
    "yuv4mpegpipe": ".y4m",
}
ENDINGS = frozenset(ending for endings in ENDINGS_OF.values() for ending in endings.split())

# Words that mean something else as often. TypeScript, Squirrel and spreadsheets are text, and no video is.
TEXT_TOO = frozenset({".ts", ".nut", ".dif"})
# Music, compiled Fortran, any data: a video only if it begins as a camera's or a disc's program stream does.
DATA_TOO = frozenset({".mod", ".dat"})
PROGRAM_STREAM = (b"\0\0\1\xba", b"\0\0\1\xb3")  # with sound, and video alone
VIDEO_CD = b"CDXA"  # at byte 8: the same within RIFF
LOOKED_AT = 4096  # bytes


def ending_of(name: str) -> str:
    """Returns a name's ending with its dot, in small letters; empty if there is none."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 a Path for each of 600,000 names is slow


def without_ending(path: str) -> str:
    """Returns a path without its video ending; a dot that begins no such ending is part of the name."""
    stem, ending = posixpath.splitext(path)
    return stem if ending.lower() in ENDINGS else path


def is_video(path: str) -> bool:
    """Says whether a file is a video by its ending, and where that means something else too, by its first bytes."""
    ending = ending_of(path)
    if ending not in TEXT_TOO and ending not in DATA_TOO:
        return ending in ENDINGS
    if not os.path.isfile(path):  # noqa: PTH113 as above; a pipe must not be opened
        return True
    try:
        with open(path, "rb") as file:  # noqa: PTH123 as above
            head = file.read(LOOKED_AT)
    except OSError:
        return True  # whoever opens it says why it cannot be read
    if ending in DATA_TOO:
        return head.startswith(PROGRAM_STREAM) or head[8:12] == VIDEO_CD
    return not head or b"\0" in head
