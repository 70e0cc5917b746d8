"""Preprocessing of pictures as data, split where it pays: scaling and cropping a picture, then normalising a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

Kernel = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Colour = tuple[float, float, float]
# From OpenAI's clip/clip.py, `_transform`.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# swscale's flags for PIL's kernels: bicubic with a = -0.5, which swscale calls B = 0, C = 0.5
FAST_KERNELS = {"bicubic": "bicubic:param0=0:param1=0.5", "bilinear": "bilinear"}


@dataclass(frozen=True)
class Preprocessing:
    """How a frame becomes an encoder's input: scaled by PIL, cropped, normalised. The defaults are OpenAI's.

    Attributes:
        size: n, the side of the input in pixels.
        scaled: What the short side is scaled to (squashed: both sides); 0 for n. The centre of a larger one is cut out.
        squash: Whether the whole frame becomes a square, whatever its shape.
        kernel: PIL's name of the filter.
        mean: Of red, green and blue, where white is 1.
        deviation: Likewise; the input is (x - mean) / deviation.
        half_pixels: Where half a pixel of the crop's place goes: to the even neighbour, or down.
    """

    size: int
    scaled: int = 0
    squash: bool = False
    kernel: Kernel = "bicubic"
    mean: Colour = MEAN
    deviation: Colour = STD
    half_pixels: Literal["even", "down"] = "even"

    def scaled_size(self, width: int, height: int) -> tuple[int, int]:
        """Returns the width and height that a frame is scaled to before it is cropped."""
        to = self.scaled or self.size
        if self.squash:
            return to, to
        short = min(height, width)
        return int(to * width / short), int(to * height / short)

    def offset(self, side: int) -> int:
        """Returns where the crop begins in a side of so many pixels."""
        return round((side - self.size) / 2) if self.half_pixels == "even" else (side - self.size) // 2

    @property
    def is_openais(self) -> bool:
        """Whether it is what OpenAI's CLIP does, but for the size."""
        return self == Preprocessing(self.size)

    @property
    def can_be_fast(self) -> bool:
        """Whether ffmpeg comes as near as 55 dB; squashed frames it scales otherwise (down to 46 dB)."""
        return self.kernel in FAST_KERNELS and not self.squash

    @property
    def is_cropped_as_openais(self) -> bool:
        """Whether the picture is what OpenAI's CLIP sees, whatever its colours become."""
        return replace(self, mean=MEAN, deviation=STD).is_openais

    def name(self, way: Literal["exact", "fast"] = "exact") -> str:
        """Returns what stands in a fingerprint: all of it, or a short name of OpenAI's.

        Args:
            way: By PIL, or by ffmpeg.
        """
        if self.is_openais:
            return "clip-exact" if way == "exact" else "ffmpeg-fast"
        to = self.scaled or self.size
        shape = f"squashed to {to}" if self.squash else f"short side to {to}"
        half = (
            " (half pixels down)"
            if self.half_pixels == "down" and not (self.squash and to == self.size)
            else ""
        )
        colours = ["/".join(f"{value:.9g}" for value in one) for one in (self.mean, self.deviation)]
        return f"{way}: {self.kernel}, {shape}, centre {self.size}{half}, mean {colours[0]}, deviation {colours[1]}"


def way_of(name: str) -> Literal["exact", "fast"] | None:
    """Returns which way of preprocessing a fingerprint names; None if it is not one of featx's."""
    for way, short in (("exact", "clip-exact"), ("fast", "ffmpeg-fast")):
        if name == short or name.startswith(f"{way}: "):
            return way  # type: ignore[return-value]
    return None


def scale_and_crop(frame: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Scales a frame with PIL's filter, antialiased, and cuts out the central square.

    Bit-equal to the first two steps of OpenAI's `clip.clip._transform`, of open_clip's and of transformers' (PIL).

    Args:
        frame: (height, width, 3) uint8, RGB.
        preprocessing: How.

    Returns:
        (n, n, 3) uint8.
    """
    height, width = frame.shape[:2]
    scaled = preprocessing.scaled_size(width, height)
    picture = Image.fromarray(frame)
    if picture.size != scaled:
        picture = picture.resize(scaled, Image.Resampling[preprocessing.kernel.upper()])
    left, top = (preprocessing.offset(side) for side in scaled)
    return np.asarray(picture.crop((left, top, left + preprocessing.size, top + preprocessing.size)))


def fast_filter(preprocessing: Preprocessing) -> str:
    """Returns ffmpeg filters that do nearly what `scale_and_crop` does, upright RGB frames in, (n, n) out.

    RGB first, PIL's kernel, PIL's sizes and offsets: at least 55 dB to the exact result.

    Args:
        preprocessing: How; one that `can_be_fast`.
    """
    n, to = preprocessing.size, preprocessing.scaled or preprocessing.size
    width = f"if(lt(iw\\,ih)\\,{to}\\,trunc({to}*iw/ih))"
    height = f"if(lt(iw\\,ih)\\,trunc({to}*ih/iw)\\,{to})"

    def offset(side: str) -> str:
        """Half pixels: Python's round((side - n) / 2), where halves go to the even neighbour, or down."""
        if preprocessing.half_pixels == "down":
            return f"trunc(({side}-{n})/2)"
        return f"trunc(({side}-{n})/2)+mod({side}-{n}\\,2)*mod(trunc(({side}-{n})/2)\\,2)"

    return (
        f"format=rgb24,scale=w={width}:h={height}:flags={FAST_KERNELS[preprocessing.kernel]},"
        f"crop={n}:{n}:{offset('iw')}:{offset('ih')}"
    )


def mean_and_deviation(
    preprocessing: Preprocessing, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the mean and deviation of the three channels, each (3, 1, 1), on a device."""
    import torch

    colours = preprocessing.mean, preprocessing.deviation
    return tuple(torch.tensor(values, device=device).view(3, 1, 1) for values in colours)  # type: ignore[return-value]


def normalise(pixels: torch.Tensor, mean_std: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turns (B, n, n, 3) uint8 into (B, 3, n, n) float32.

    Args:
        pixels: On any device.
        mean_std: `mean_and_deviation` of that device. A GPU that is handed them anew waits until it has done all it
            was asked before.
    """
    import torch

    mean, std = mean_std
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div(255).sub_(mean).div_(std).contiguous()
