"""Choosing the device."""

from __future__ import annotations

from featx.errors import FeatxError


def choose_device(device: str) -> str:
    """Returns a device that is there; `auto` means a GPU if there is one, else the CPU.

    Raises:
        FeatxError: If the device is not a device, or not on this machine.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise FeatxError(f"--device {device}: {str(error).splitlines()[0]}") from error
    return device
