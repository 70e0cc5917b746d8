"""Decoding on a device: which one, and whether ffmpeg can, asked before the first video.

Without asking, each video would fail by itself, or be decoded on the CPU after all: where the device cannot decode a
stream, ffmpeg says so in its log and goes on without it.
"""

from __future__ import annotations

import subprocess

from featx.errors import FeatxError
from featx.video.ffmpeg import ffmpeg_path

CHECK_SECONDS = 120.0
# ffmpeg's names for pictures that lie in a device's memory; only there does it say that the device decoded them
PICTURES_ON_DEVICE = {"cuda": "cuda", "vaapi": "vaapi"}
SIDE = 256  # smaller ones some decoders refuse


def device_of(hwaccel: str, device: str) -> str:
    """Returns what ffmpeg calls the device beside a worker's: a worker of ``cuda:1`` decodes on GPU 1 too.

    Args:
        hwaccel: ffmpeg's name of the kind of device.
        device: Of the encoder.

    Returns:
        A number for CUDA; else nothing, which is ffmpeg's choice.
    """
    kind, _, number = device.partition(":")
    return number or "0" if hwaccel == kind == "cuda" else ""


def check_hwaccel(hwaccel: str, device: str = "") -> None:
    """Opens the device, and has it decode a small H.264 video if that can be seen.

    Raises:
        FeatxError: If ffmpeg does not know it or it is not here.
    """
    known = _run("-hwaccels").stdout.decode().split("\n", 1)[-1].split()
    if hwaccel not in known:
        raise FeatxError(
            f"--decode-hwaccel {hwaccel}: ffmpeg ({ffmpeg_path()}) decodes on {', '.join(known) or 'no device'}"
        )
    name = f"{hwaccel}:{device}" if device else hwaccel
    nothing = ("-f", "lavfi", "-i", "nullsrc=s=16x16:d=0.04", "-f", "null", "-")
    _check(hwaccel, device, _run("-init_hw_device", name, *nothing), known)
    source = ("-f", "lavfi", "-i", f"testsrc2=s={SIDE}x{SIDE}:d=0.2", "-pix_fmt", "yuv420p")
    made = _run(*source, "-c:v", "libx264", "-f", "h264", "pipe:1")
    if hwaccel in PICTURES_ON_DEVICE and made.returncode == 0:
        _check(hwaccel, device, _run(*_decoding(hwaccel, device), input=made.stdout), known)


def _decoding(hwaccel: str, device: str) -> list[str]:
    """Returns the options that decode standard input on the device and on nothing else."""
    words = ["-hwaccel", hwaccel, "-hwaccel_output_format", PICTURES_ON_DEVICE[hwaccel]]
    words += ["-hwaccel_device", device] if device else []
    # `hwdownload` refuses pictures that do not lie in a device's memory
    return [*words, "-f", "h264", "-i", "pipe:0", "-vf", "hwdownload,format=nv12", "-f", "null", "-"]


def _run(*words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    quiet = ("-hide_banner", "-v", "error", "-nostats")
    command = [ffmpeg_path(), *quiet, *words]
    try:
        return subprocess.run(command, input=input, capture_output=True, timeout=CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, b"", f"no answer in {CHECK_SECONDS:.0f} s".encode())


def _check(hwaccel: str, device: str, done: subprocess.CompletedProcess[bytes], known: list[str]) -> None:
    if done.returncode == 0:
        return
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    # in front stands which part of ffmpeg speaks, and where in memory
    reason = lines[0].partition("] ")[2] or lines[0] if lines else f"ffmpeg ended with {done.returncode}"
    where = f" (device {device})" if device else ""
    raise FeatxError(
        f"--decode-hwaccel {hwaccel}: cannot decode there{where}: {reason}; leave the option out to decode on the CPU "
        f"(this ffmpeg knows {', '.join(known)})"
    )
