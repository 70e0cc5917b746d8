"""Choosing the device, and what only a GPU needs: its reasons when it cannot be used, its memory, its precision."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

from featx.completion import Offers
from featx.errors import FeatxError

DEVICES = Offers("auto", "cpu", "cuda")  # cuda:1 and so on are devices too
VISIBLE = "CUDA_VISIBLE_DEVICES"
NO_MEMORY = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator",
)
SMI_SECONDS = 20.0  # a driver in trouble lets nvidia-smi hang


def choose_device(device: str) -> str:
    """Returns a device that is there; `auto` means a GPU if there is one, else the CPU.

    A GPU is asked for without opening a context on it: with several processes each opens its own only. From then on it
    computes float32 in float32 (`full_fp32`).

    Raises:
        FeatxError: If the device is not a device, or not on this machine, or cannot be used; with `auto` also if the
            machine has an NVIDIA GPU that torch cannot use: to compute on the CPU then would hide the fault.
    """
    import torch

    if device == "auto":
        reason = cuda_problem()
        if reason is None:
            full_fp32()
            return "cuda"
        if not hides_all_gpus() and (gpus := nvidia_gpus()):
            raise FeatxError(
                f"--device auto: this machine has an NVIDIA GPU ({gpus[0]}), but torch cannot use it: {reason}. Mend "
                f"that, or say --device cpu (or {VISIBLE}= in the environment) to compute on the CPU"
            )
        return "cpu"
    try:
        wanted = torch.device(device)
        if wanted.type == "cuda":
            _check_cuda(device, wanted.index or 0)
            full_fp32()
        else:
            torch.zeros(1, device=wanted)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise FeatxError(f"--device {device}: {first_line(error)}") from error
    return device


def _check_cuda(device: str, index: int) -> None:
    import torch

    if reason := cuda_problem():
        raise FeatxError(f"--device {device}: {reason}")
    there = torch.cuda.device_count()
    if index >= there:
        named = ", ".join(f"cuda:{number}" for number in range(there))
        raise FeatxError(f"--device {device}: this machine has {named} only{_visible()}")


def cuda_problem() -> str | None:
    """Returns why torch cannot use CUDA, or None if it can."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is the reason given below
        if torch.cuda.is_available():
            return None
        if torch.version.cuda is None and torch.version.hip is None:
            return f"this torch ({torch.__version__}) is built without CUDA; install one that is"
        try:
            torch.cuda.init()
        except (RuntimeError, AssertionError) as error:
            return first_line(error).rstrip(".") + _visible()
    return f"torch finds no CUDA device{_visible()}"


def _visible() -> str:
    value = os.environ.get(VISIBLE)
    return "" if value is None else f" ({VISIBLE}={value})"


def hides_all_gpus() -> bool:
    """Whether the environment asks for a machine without GPUs, as ``CUDA_VISIBLE_DEVICES=`` does."""
    value = os.environ.get(VISIBLE)
    return value is not None and value.strip() in ("", "-1", "NoDevFiles")  # the last is Slurm's


def nvidia_gpus(root: Path = Path("/")) -> list[str]:
    """Returns what there is of NVIDIA's GPUs, by whatever shows them: the device's file, or else nvidia-smi.

    Args:
        root: Of the file system.
    """
    # not /proc/driver/nvidia: a container without GPUs shows that of its host
    found = sorted(str(path) for path in (root / "dev").glob("nvidia[0-9]*"))
    program = shutil.which("nvidia-smi")  # on WSL nothing but it knows
    if found or program is None:
        return found
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=SMI_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.startswith("GPU ")]


def use_gpu(device: str) -> None:
    """Makes a GPU this thread's own, so that what names none (such as page-locked memory) opens no other one's context.

    Without a number it is the first one: `torch.cuda.set_device` refuses ``cuda``.
    """
    import torch

    chosen = torch.device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen.index or 0)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether a device had no memory left; imports nothing, so that it may be asked of any error."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError):
        return False
    # the words are those of page-locked memory and contexts, of cuBLAS' and cuDNN's workspaces, and of the CPU
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in NO_MEMORY)


def full_fp32() -> None:
    """Has this process compute float32 in float32: by default a GPU rounds a convolution's inputs to TF32's 10 bits.

    Matrix products are not rounded by default, but in NVIDIA's containers they are.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")


def first_line(error: BaseException) -> str:
    """Returns the first line of an error; those of CUDA have many."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
