"""Pictures of frames as decoded, made on the worker's device by the decoder threads."""

from __future__ import annotations

import threading

import numpy as np
import torch

from featx.clip.exact_pictures import ExactPictures, FrameLayout
from featx.devices import first_line, use_gpu

from .picture_check import first_difference

Pixels = np.ndarray | torch.Tensor


class PictureMaker:
    """Makes exact pictures on one device; each thread works on a stream of its own."""

    def __init__(self, input_size: int, device: str) -> None:
        """Prepares.

        Args:
            input_size: n, the side of the pictures.
            device: Where to make them.
        """
        self._size = input_size
        self._device = torch.device(device)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._tables: dict[FrameLayout, ExactPictures] = {}

    def problem(self) -> str | None:
        """Returns why pictures cannot be made here, or None: tried with noise, against ffmpeg and Pillow."""
        try:
            return first_difference(
                lambda frames, layout: self.make(frames, layout).cpu().numpy(), self._size
            )
        except Exception as error:  # Triton is absent, or finds no C compiler, or does not know this GPU
            return f"the kernels cannot be made on {self._device} ({first_line(error)})"

    def use_device(self) -> None:
        """Makes the device the current one of this thread."""
        use_gpu(str(self._device))

    def make(self, frames: list[np.ndarray], layout: FrameLayout) -> torch.Tensor:
        """Returns (M, n, n, 3) uint8 pictures of M frames of (bytes,), finished, on the device."""
        with self._lock:  # few layouts, many threads
            if layout not in self._tables:
                self._tables[layout] = ExactPictures(layout, self._size, self._device)
            tables = self._tables[layout]
        if self._device.type != "cuda":
            return tables(torch.from_numpy(np.stack(frames)))
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self._device)
        planes = torch.empty(len(frames), layout.size_bytes, dtype=torch.uint8, pin_memory=True)
        np.stack(frames, out=planes.numpy())
        with torch.cuda.stream(self._own.stream):
            pictures = tables(planes.to(self._device, non_blocking=True))
            done = torch.cuda.Event(blocking=True)  # waiting must not take a core from the decoders
            done.record(self._own.stream)
        done.synchronize()
        return pictures


def joined(parts: list[Pixels]) -> Pixels:
    """Returns (M, n, n, 3) parts as one; on the GPU if any of them is there."""
    there = next((part for part in parts if isinstance(part, torch.Tensor)), None)
    if there is None:
        return np.concatenate(parts)
    tensors = [
        part if isinstance(part, torch.Tensor) else torch.from_numpy(part).to(there.device) for part in parts
    ]
    if there.is_cuda:
        for tensor in tensors:  # their memory belongs to the streams that made them
            tensor.record_stream(torch.cuda.current_stream(there.device))
    return torch.cat(tensors)
