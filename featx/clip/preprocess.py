"""CLIP's image preprocessing, split where it pays: scaling and cropping a picture, then normalising a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

# From OpenAI's clip/clip.py, `_transform`.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def scale_and_crop(frame: np.ndarray, input_size: int) -> np.ndarray:
    """Scales the short side to ``input_size`` (PIL's bicubic, antialiased) and cuts out the central square.

    Bit-equal to the first two steps of OpenAI's `clip.clip._transform`.

    Args:
        frame: (height, width, 3) uint8, RGB.
        input_size: n, the side of the result in pixels.

    Returns:
        (n, n, 3) uint8.
    """
    height, width = frame.shape[:2]
    short = min(height, width)
    scaled = (int(input_size * width / short), int(input_size * height / short))
    picture = Image.fromarray(frame)
    if picture.size != scaled:
        picture = picture.resize(scaled, Image.Resampling.BICUBIC)
    left, top = (round((side - input_size) / 2.0) for side in scaled)
    return np.asarray(picture.crop((left, top, left + input_size, top + input_size)))


def fast_filter(input_size: int) -> str:
    """Returns ffmpeg filters that do nearly what `scale_and_crop` does, upright RGB frames in, (n, n) out.

    RGB first, bicubic with PIL's kernel (a = -0.5, which swscale calls B = 0, C = 0.5), PIL's sizes and offsets:
    at least 55 dB to the exact result.

    Args:
        input_size: n, the side of the result in pixels.
    """
    n = input_size
    width = f"if(lt(iw\\,ih)\\,{n}\\,trunc({n}*iw/ih))"
    height = f"if(lt(iw\\,ih)\\,trunc({n}*ih/iw)\\,{n})"

    def offset(side: str) -> str:
        """Python's round((side - n) / 2): halves go to the even neighbour."""
        return f"trunc(({side}-{n})/2)+mod({side}-{n}\\,2)*mod(trunc(({side}-{n})/2)\\,2)"

    return (
        f"format=rgb24,scale=w={width}:h={height}:flags=bicubic:param0=0:param1=0.5,"
        f"crop={n}:{n}:{offset('iw')}:{offset('ih')}"
    )


def mean_and_deviation(device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Returns CLIP's mean and deviation of the three channels, each (3, 1, 1), on a device."""
    import torch

    return tuple(torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN, STD))  # type: ignore[return-value]


def normalise(
    pixels: torch.Tensor, mean_std: tuple[torch.Tensor, torch.Tensor] | None = None
) -> torch.Tensor:
    """Turns (B, n, n, 3) uint8 into (B, 3, n, n) float32 with CLIP's mean and deviation.

    Args:
        pixels: On any device.
        mean_std: `mean_and_deviation` of that device. A GPU that is handed them anew waits until it has done all it
            was asked before.
    """
    import torch

    mean, std = mean_std or mean_and_deviation(pixels.device)
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div(255).sub_(mean).div_(std).contiguous()
