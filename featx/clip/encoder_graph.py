"""The image encoder's kernels as one CUDA graph: a batch is one launch, whatever the interpreter is busy with.

A batch of ViT-B/16 is some two hundred kernels. Each launch needs the interpreter's lock, which the decoder threads
want too; a graph is captured once and launched as a whole. The kernels are the same, and so are the bits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from featx.errors import FeatxError

WARM_UPS = 3  # libraries choose kernels and allocate at the first calls, which a capture must not see


class EncoderGraph:
    """A function of one batch on a GPU, captured; calling it reuses its input and output tensors."""

    def __init__(
        self, encode: Callable[[Tensor], Tensor], batch: tuple[int, ...], device: torch.device
    ) -> None:
        """Captures ``encode``.

        Args:
            encode: Takes (B, n, n, 3) uint8 on the device and returns (B, D).
            batch: B, n, n, 3.
            device: The GPU; it is the current one.

        Raises:
            FeatxError: If it cannot be captured.
            OutOfMemoryError: If its buffers do not fit.
        """
        self.pixels = torch.zeros(batch, dtype=torch.uint8, device=device)
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                encode(self.pixels)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        try:
            # other threads of this process may allocate page-locked memory meanwhile
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self.features = encode(self.pixels)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise FeatxError(
                f"--cuda-graph: the image encoder cannot be captured on {device} ({reason}); give --no-cuda-graph"
            ) from error

    def __call__(self) -> Tensor:
        """Encodes what stands in ``pixels``; returns ``features``, which the next call overwrites."""
        self._graph.replay()
        return self.features
