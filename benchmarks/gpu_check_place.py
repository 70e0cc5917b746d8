"""Where `gpu_check` checks and what its checks find: the machine, its commands, the lines of its table."""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

COMMAND_SECONDS = 240.0


@dataclass(frozen=True)
class Place:
    """What is checked and with what.

    Attributes:
        device: What is checked; `cpu` stands in for a GPU where there is none.
        folder: For files that are gone afterwards.
        videos: Clips to extract.
        quick: Tiny sizes, to try the checks themselves.
    """

    device: str
    folder: Path
    videos: tuple[Path, ...]
    quick: bool

    @property
    def on_gpu(self) -> bool:
        """Whether what is checked is a GPU."""
        return self.device != "cpu"

    def synchronise(self) -> None:
        """Waits until the device has done all it was asked."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        what: What was looked at.
        said: Its figures in words.
        bound: What they must keep; empty for what is only measured.
        passed: Whether they do; None for what is only measured.
        figures: The figures for JSON.
    """

    what: str
    said: str
    bound: str = ""
    passed: bool | None = None
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """A row of the table."""
        result = {None: "", True: "pass", False: "FAIL"}[self.passed]
        return f"| {self.what} | {self.said} | {self.bound} | {result} |"

    def as_json(self) -> dict:
        """What is written."""
        return asdict(self)


def featx(*words: object, allowed: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """Runs a featx command as a user does.

    Raises:
        RuntimeError: If it ends with another code than the allowed ones.
    """
    command = [sys.executable, "-W", "ignore", "-m", "featx.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    if done.returncode not in allowed:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise RuntimeError(f"featx {words[0]} ended with code {done.returncode}: {last}")
    return done


def compare(ours: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> tuple[float, float]:
    """Returns the smallest cosine of two rows, and the largest length of their difference over the row's own.

    Args:
        ours: (N, D) for each video.
        reference: The same for what is right.

    Raises:
        RuntimeError: If they are not about the same rows.
    """
    if set(ours) != set(reference) or not ours:
        raise RuntimeError(f"videos differ: {sorted(set(ours) ^ set(reference))[:3]} ({len(ours)} in common)")
    cosines, differences = [], []
    for name, right in reference.items():
        one, other = ours[name].astype(np.float64), right.astype(np.float64)
        if one.shape != other.shape:
            raise RuntimeError(f"{name}: {one.shape}, not {other.shape}")
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosines.append(((one * other).sum(1) / lengths).min())
        differences.append((np.linalg.norm(one - other, axis=1) / np.linalg.norm(other, axis=1)).max())
    return float(min(cosines)), float(max(differences))


def machine(device: str) -> str:
    """Names what is checked."""
    from featx.video.ffmpeg import ffmpeg_path

    words = [f"torch {torch.__version__}", f"Python {platform.python_version()}", Path(ffmpeg_path()).name]
    if device == "cpu":
        return ", ".join(["CPU in the place of a GPU", *words])
    about = torch.cuda.get_device_properties(device)
    gib = about.total_memory / 2**30
    return ", ".join([f"{about.name} ({gib:.0f} GiB, sm_{about.major}{about.minor})", *words])
