"""What is installed, and on what: for ``featx --version --verbose`` and for reports of faults."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys

from featx import __version__
from featx.doctor.check import readable_size
from featx.errors import FeatxError
from featx.video.ffmpeg import ffmpeg_path, ffmpeg_version

PACKAGES = (
    "torch",
    "torchvision",
    "triton",
    "clip-anytorch",
    "numpy",
    "pillow",
    "zarr",
    "h5py",
    "imageio-ffmpeg",
    "typer",
)


def versions() -> list[tuple[str, str]]:
    """Returns what it is and its version, a line each; what is broken says why instead."""
    return [
        ("featx", __version__),
        ("Python", f"{platform.python_version()}, {sys.executable}"),
        ("system", platform.platform()),
        *((name, version_of(name)) for name in PACKAGES),
        ("ffmpeg", _ffmpeg()),
        (
            "CPU",
            f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, {readable_size(_memory_bytes())}",
        ),
        *_torch_and_gpus(),
    ]


def version_of(package: str) -> str:
    """Returns the version of an installed package, or that it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _ffmpeg() -> str:
    try:
        return f"{ffmpeg_version()}, {ffmpeg_path()}"
    except (FeatxError, OSError) as error:
        return str(error)


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _torch_and_gpus() -> list[tuple[str, str]]:
    """Returns the CUDA that torch was built for, and each GPU with its memory."""
    try:
        import torch

        from featx.devices import cuda_problem, first_line
    except Exception as error:  # a fault report is most needed where torch is broken
        return [("CUDA of torch", f"torch cannot be imported ({type(error).__name__}: {error})")]
    lines = [("CUDA of torch", str(torch.version.cuda or "none: torch is built without it"))]
    if (reason := cuda_problem()) is not None:
        return [*lines, ("GPU", f"none: {reason}")]
    for number in range(torch.cuda.device_count()):
        try:
            size = readable_size(torch.cuda.get_device_properties(number).total_memory)
            lines.append((f"cuda:{number}", f"{torch.cuda.get_device_name(number)}, {size}"))
        except RuntimeError as error:
            lines.append((f"cuda:{number}", first_line(error)))
    return lines
