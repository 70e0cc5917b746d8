"""The Python packages that featx is made of: does each import, and is its version one that featx works with?"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings

from packaging.requirements import Requirement

from featx.doctor.check import Check, State

# Those with libraries of their own in C, which is where installations break.
IMPORTED = (
    "numpy",
    "torch",
    "torchvision",
    "clip",
    "zarr",
    "h5py",
    "PIL",
    "scipy",
    "safetensors",
    "google_crc32c",
)
ADVICE = "install again into a fresh environment: pip install -c constraints.txt . in a clone of featx"


def check_packages(imported: tuple[str, ...] = IMPORTED, distribution: str = "featx") -> Check:
    """Imports packages, and compares versions with what featx asks for.

    Args:
        imported: Names of modules.
        distribution: Whose requirements.
    """
    broken = [f"{name}: {reason}" for name in imported if (reason := _import_problem(name))]
    unfit = list(filter(None, map(_version_problem, importlib.metadata.requires(distribution) or [])))
    if broken or unfit:
        return Check(
            "packages", State.FAILURE if broken else State.WARNING, "; ".join([*broken, *unfit]), ADVICE
        )
    return Check("packages", State.OK, "all import, in versions that featx works with")


def _import_problem(name: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    except Exception as error:  # whatever a broken package does
        return f"cannot be imported ({type(error).__name__}: {str(error).strip().partition(chr(10))[0]})"
    return None


def _version_problem(words: str) -> str | None:
    wanted = Requirement(words)
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
        return None
    try:
        there = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{wanted.name}: is not installed"
    if wanted.specifier.contains(there, prereleases=True):
        return None
    return f"{wanted.name} {there}: featx needs {wanted.name}{wanted.specifier}"
