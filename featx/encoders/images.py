"""The frozen image encoder: batches of cropped frames to features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from featx.clip.choices import Precision
from featx.clip.encoder_graph import EncoderGraph
from featx.clip.preprocess import mean_and_deviation, normalise
from featx.devices import full_fp32
from featx.encoders.families import OPENAI_FAMILY
from featx.encoders.model import ImageTextModel

# A CPU's matrix products treat the last few rows of a small matrix in another way and round otherwise: then a frame's
# features would depend on how many others were at hand. With multiples of 16 they are equal to the bit (measured for
# 1 and 2 threads, 5 to 64 frames; differences began below 12 frames that were no multiple of 4).
MULTIPLE_ON_CPU = 16
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(wanted: str, device: str) -> Precision:
    """Returns the precision to compute in; `auto` is fp16 on a GPU, as OpenAI's own program, and fp32 on a CPU."""
    if wanted == "auto":
        return "fp16" if device.startswith("cuda") else "fp32"
    return wanted  # type: ignore[return-value]


def cast_weights(visual: nn.Module, dtype: torch.dtype, family: str = OPENAI_FAMILY) -> nn.Module:
    """Casts what a family's own library casts.

    OpenAI's `clip.model.convert_weights` casts linear, convolution, attention and projection, and its norms compute in
    fp32. Other libraries cast the whole module; the statistics of BatchNorm stay fp32, for fp16 may not hold them.
    """
    if family != OPENAI_FAMILY:
        for module in visual.modules():
            for parameter in module.parameters(recurse=False):
                if not isinstance(module, nn.BatchNorm2d):
                    parameter.data = parameter.data.to(dtype)
        return visual
    for module in visual.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.MultiheadAttention):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
    if isinstance(projection := getattr(visual, "proj", None), nn.Parameter):
        projection.data = projection.data.to(dtype)
    return visual


class ImageEncoder:
    """A frozen image encoder on one device.

    With ``fp32`` all float32 of this process is computed in full from then on, see `featx.devices.full_fp32`.
    """

    def __init__(
        self,
        loaded: ImageTextModel,
        device: str = "cpu",
        precision: Precision = "fp32",
        compile: bool = False,
        batch_size: int = MULTIPLE_ON_CPU,
        graph: bool = False,
    ) -> None:
        """Puts the encoder on its device.

        Args:
            loaded: The model; its image tower belongs to this encoder from now on.
            device: Where to compute.
            precision: What to compute in; features come out as float32.
            compile: Whether to let torch.compile fuse it, which takes a minute at the first batch.
            batch_size: Frames of a full batch. On a GPU, and with ``compile``, smaller ones are filled up to it with
                black frames (on a CPU to a multiple of 16), so that a frame's features do not depend on how many
                others came with it.
            graph: On a GPU, whether to capture the encoder as one CUDA graph at the first batch; elsewhere nothing.
        """
        self.device = torch.device(device)
        self._multiple = batch_size if compile or self.device.type == "cuda" else MULTIPLE_ON_CPU
        self._dtype = DTYPES[precision]
        self._mean_std = mean_and_deviation(loaded.preprocessing, self.device)
        if precision == "fp32":
            full_fp32()
        visual = cast_weights(loaded.visual.to(self.device), self._dtype, loaded.family)
        self._visual = torch.compile(visual) if compile else visual
        self._wants_graph = graph and self.device.type == "cuda" and not compile
        self._graph: EncoderGraph | None = None

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Encodes frames.

        Args:
            pixels: (B, n, n, 3) uint8, already scaled and cropped.

        Returns:
            (B, D) float32: what `CLIP.encode_image` gives, after projection, not normalised.
        """
        return self.start(pixels)()

    @torch.inference_mode()
    def start(self, pixels: np.ndarray | torch.Tensor) -> Callable[[], np.ndarray]:
        """Starts `encode`; on a GPU copies and computation go on while the caller does something else.

        Args:
            pixels: As `encode` takes them, or already on the device.

        Returns:
            A function that waits for the (B, D) float32 features.
        """
        count = len(pixels)
        if missing := -count % self._multiple:
            pixels = _with_black(pixels, missing)
        if self.device.type != "cuda":
            given = torch.from_numpy(pixels) if isinstance(pixels, np.ndarray) else pixels
            features = self._encode(given.to(self.device))
            return lambda: features[:count].cpu().numpy()
        # Only from and to page-locked memory does a copy not hold up this thread. Torch's allocator gives neither
        # buffer away before the copy is done, although the first one has no name here.
        with torch.cuda.device(self.device):  # page-locked memory would open a context on the first GPU
            if isinstance(pixels, np.ndarray):
                pixels = torch.from_numpy(pixels).pin_memory()
            on_device = pixels.to(self.device, non_blocking=True)
            result = self._encode_batch(on_device)
            host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            host.copy_(result, non_blocking=True)
            done = torch.cuda.Event(blocking=True)  # waiting must not take a core from the decoders
            done.record(torch.cuda.current_stream(self.device))

        def wait() -> np.ndarray:
            done.synchronize()
            return host.numpy()[:count]

        return wait

    def _encode_batch(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encodes (B, n, n, 3) on a GPU; a larger call than a batch, which no graph fits, goes the usual way."""
        if not self._wants_graph or len(pixels) != self._multiple:
            return self._encode(pixels)
        if self._graph is None:
            self._graph = EncoderGraph(self._encode, tuple(pixels.shape), self.device)
        self._graph.pixels.copy_(pixels)
        return self._graph()

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self._visual(normalise(pixels, self._mean_std).to(self._dtype)).float()
        return features


def _with_black(pixels: np.ndarray | torch.Tensor, frames: int) -> np.ndarray | torch.Tensor:
    """Returns (B, n, n, 3) with black frames behind."""
    if isinstance(pixels, np.ndarray):
        return np.concatenate([pixels, np.zeros((frames, *pixels.shape[1:]), np.uint8)])
    return torch.cat([pixels, pixels.new_zeros((frames, *pixels.shape[1:]))])
