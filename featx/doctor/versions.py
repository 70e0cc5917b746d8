"""What is installed, and on what: for ``featx --version --verbose`` and for reports of faults."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from featx import __version__
from featx.errors import FeatxError
from featx.video.ffmpeg import ffmpeg_path, ffmpeg_version

PACKAGES = (
    "torch",
    "torchvision",
    "clip-anytorch",
    "numpy",
    "pillow",
    "zarr",
    "h5py",
    "imageio-ffmpeg",
    "typer",
)


def versions() -> list[tuple[str, str]]:
    """Returns what it is and its version, a line each."""
    import torch

    from featx.devices import cuda_problem

    lines = [
        ("featx", __version__),
        ("Python", f"{platform.python_version()}, {sys.executable}"),
        ("system", platform.platform()),
        *((name, _version_of(name)) for name in PACKAGES),
        ("CUDA of torch", str(torch.version.cuda)),
    ]
    try:
        lines.append(("ffmpeg", f"{ffmpeg_version()}, {ffmpeg_path()}"))
    except (FeatxError, OSError) as error:
        lines.append(("ffmpeg", str(error)))
    if (reason := cuda_problem()) is not None:
        return [*lines, ("GPU", f"none: {reason}")]
    return [
        *lines,
        *((f"cuda:{n}", torch.cuda.get_device_name(n)) for n in range(torch.cuda.device_count())),
    ]


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
