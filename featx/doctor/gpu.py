"""GPUs: what there is, whether torch can use it, whether it computes, and what to do where it does not."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from featx.devices import SMI_SECONDS, cuda_problem, first_line, hides_all_gpus, nvidia_gpus
from featx.doctor.check import Check, State, readable_size

SIDE = 256  # of the matrices that are multiplied
LEAST_FREE = 0.5  # of a GPU's memory
DRIVER_FILE = Path("/proc/driver/nvidia/version")
WITHOUT = "--device cpu computes without"
COMPILERS = ("gcc", "clang", "cc")


def check_gpus() -> list[Check]:
    """Looks at every NVIDIA GPU that torch sees, and multiplies on each."""
    import torch

    reason = cuda_problem()
    if reason is None:
        return [*map(_check_gpu, range(torch.cuda.device_count())), check_compiler()]
    there = nvidia_gpus()
    if there and not hides_all_gpus():
        driver = driver_version()
        found = f"{there[0]} is there" + (f" (driver {driver})" if driver else "")
        advice = what_to_do(reason, torch.version.cuda)
        return [
            Check(
                "GPU",
                State.FAILURE,
                f"{found}, but torch {torch.__version__} cannot use it: {reason}",
                advice,
            )
        ]
    return [Check("GPU", State.OK, "none; featx computes on the CPU")]


def what_to_do(reason: str, torch_cuda: str | None) -> str:
    """Returns the way out where a GPU is there and torch cannot use it.

    Args:
        reason: What torch says.
        torch_cuda: The CUDA that torch was built for.
    """
    if torch_cuda is None:
        return f"this torch is built for CPUs only: install one that is built with CUDA; {WITHOUT}"
    if old := re.search(r"driver on your system is too old \(found version (\d+)\)", reason):
        supported = f"{int(old[1]) // 1000}.{int(old[1]) % 1000 // 10}"  # 12020 is CUDA 12.2
        return (
            f"the driver knows CUDA up to {supported}, this torch needs {torch_cuda}: install a newer driver, or a torch "
            f"that is built for CUDA {supported} or less; {WITHOUT}"
        )
    if "no NVIDIA driver" in reason:
        return (
            "torch finds no library of the driver (libcuda.so.1). In a container: start it with --gpus all and NVIDIA's "
            f"container toolkit; elsewhere: install the driver again; {WITHOUT}"
        )
    if "no kernel image" in reason:
        return f"this torch has no kernels for this kind of GPU: install one that has; {WITHOUT}"
    return (
        f"nvidia-smi shows whether the driver works and who uses the GPU; a driver and its library of different versions, "
        f"as after an update, need a restart of the machine; {WITHOUT}"
    )


def driver_version(file: Path = DRIVER_FILE) -> str | None:
    """Returns the version of NVIDIA's driver, as the kernel says it or else nvidia-smi; None if neither does.

    Args:
        file: Of the kernel.
    """
    if file.is_file() and (found := re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", file.read_text())):
        return found[1]
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    words = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SMI_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = done.stdout.strip().partition("\n")[0]
    return version if re.fullmatch(r"[\d.]+", version) else None


def _check_gpu(number: int) -> Check:
    import torch

    name = f"GPU cuda:{number}"
    try:
        device = torch.device("cuda", number)
        found = torch.cuda.get_device_name(device)
        free, total = torch.cuda.mem_get_info(device)
        ones = torch.ones(SIDE, SIDE, device=device)
        is_right = bool((ones @ ones == SIDE).all())
    except RuntimeError as error:
        reason = first_line(error)
        return Check(name, State.FAILURE, reason, what_to_do(reason, torch.version.cuda))
    if not is_right:
        wrong = f"{found}: a product of ones is wrong"
        return Check(name, State.FAILURE, wrong, "the GPU or its driver is broken")
    found = (
        f"{found}, driver {driver_version()}: {readable_size(free)} of {readable_size(total)} free; computes"
    )
    if free < LEAST_FREE * total:
        advice = "other programs hold memory (nvidia-smi shows which): give a smaller --batch-size"
        return Check(name, State.WARNING, found, advice)
    return Check(name, State.OK, found)


def check_compiler() -> Check:
    """Looks for what makes kernels for the GPU while featx runs."""
    given = os.environ.get("CC")
    compiler = next(filter(None, map(shutil.which, [given] if given else COMPILERS)), None)
    slow = "frames are scaled on the CPU without it, which limits a fast GPU"
    if importlib.util.find_spec("triton") is None:
        return Check("GPU kernels", State.WARNING, "Triton is not installed", f"install it: {slow}")
    if compiler is None:
        sought = f"CC={given}" if given else ", ".join(COMPILERS)
        return Check(
            "GPU kernels",
            State.WARNING,
            f"no C compiler ({sought})",
            f"Triton needs one: install gcc; {slow}",
        )
    return Check("GPU kernels", State.OK, f"Triton and a C compiler ({compiler})")
