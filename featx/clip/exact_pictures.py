"""CLIP's preprocessing as integer arithmetic, from decoded YUV 4:2:0 to the cropped picture, on any device.

ffmpeg's conversion to RGB and Pillow's bicubic are both fixed-point arithmetic, so another program can do them to the
bit: the pictures are those of ffmpeg's rgb24 through `featx.clip.preprocess.scale_and_crop`. On a GPU two Triton
kernels do it (`featx.clip.exact_kernels`); what stands here in torch's integers runs everywhere and is their reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

# libswscale/yuv2rgb.c, ff_yuv2rgb_coeffs: V to red, U to blue, U to green, V to green in 16.16 fixed point, limited range
YUV_TO_RGB = {
    "601": (104597, 132201, 25675, 53279),
    "709": (117489, 138438, 13975, 34925),
    "fcc": (104448, 132798, 24759, 53109),
    "240": (117579, 136230, 16907, 35559),
    "2020": (110013, 140363, 12277, 42626),
}
# ffmpeg's names of a frame's colour space; the others it treats otherwise, or refuses
MATRICES = {
    "unknown": "601",
    "bt470bg": "601",
    "smpte170m": "601",
    "bt709": "709",
    "fcc": "fcc",
    "smpte240m": "240",
    "bt2020nc": "2020",
}
LUMA = 9539  # 255 / 219 in 13 bit fixed point, of luma that was moved by 3 bits
PRECISION = 22  # bits of Pillow's weights, src/libImaging/Resample.c
BICUBIC_A = -0.5


@dataclass(frozen=True)
class FrameLayout:
    """How a decoded frame lies in memory: the luma plane, then U and V with half the columns and rows.

    Attributes:
        width: Of the frame.
        height: Of the frame; even.
        matrix: Key of `YUV_TO_RGB`.
    """

    width: int
    height: int
    matrix: str

    @property
    def size_bytes(self) -> int:
        """Bytes of a frame."""
        return self.width * self.height + 2 * self.chroma_width * self.chroma_height

    @property
    def chroma_width(self) -> int:
        """Columns of U and V."""
        return -(-self.width // 2)

    @property
    def chroma_height(self) -> int:
        """Rows of U and V."""
        return -(-self.height // 2)


def layout_of(width: int, height: int, pixel_format: str, colours: tuple[str, str]) -> FrameLayout | None:
    """Returns the layout of frames that can be made into pictures exactly here, or None.

    ffmpeg scales chroma of frames with an odd height in another way, and full range too. Frames that are more than
    twice as high as wide are left to Pillow: its version 13 scales their columns first, those before their rows.

    Args:
        width: Of the frame.
        height: Of the frame.
        pixel_format: ffmpeg's name.
        colours: Range and colour space as ffmpeg names them.
    """
    colour_range, space = colours
    if (
        pixel_format != "yuv420p"
        or colour_range not in ("tv", "unknown")
        or space not in MATRICES
        or height % 2
        or height > 2 * width
    ):
        return None
    return FrameLayout(width, height, MATRICES[space])


@lru_cache(maxsize=256)
def weights(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights of one pass as Pillow's `precompute_coeffs` makes them.

    Returns:
        (size_out,) int32, the first input of each output; (size_out, taps) int32, zero behind the last input.
    """

    def kernel(x: float) -> float:
        x = abs(x)
        if x < 1.0:
            return ((BICUBIC_A + 2.0) * x - (BICUBIC_A + 3.0)) * x * x + 1
        if x < 2.0:
            return (((x - 5) * x + 8) * x - 4) * BICUBIC_A
        return 0.0

    scale = size_in / size_out
    wide = max(scale, 1.0)
    support, factor = 2.0 * wide, 1.0 / wide
    taps = int(np.ceil(support)) * 2 + 1
    first, table = np.zeros(size_out, np.int32), np.zeros((size_out, taps), np.int32)
    for row in range(size_out):
        centre = (row + 0.5) * scale
        begin = max(int(centre - support + 0.5), 0)
        count = min(int(centre + support + 0.5), size_in) - begin
        values = [kernel((x + begin - centre + 0.5) * factor) for x in range(count)]
        total = 0.0
        for value in values:  # in this order, as rounding depends on it
            total += value
        for x, value in enumerate(values):
            scaled = value / total * (1 << PRECISION)
            table[row, x] = int(scaled - 0.5) if scaled < 0 else int(scaled + 0.5)
        first[row] = begin
    return first, table


class ExactPictures:
    """Makes cropped pictures of frames of one layout, on one device."""

    def __init__(self, layout: FrameLayout, input_size: int, device: torch.device | str = "cpu") -> None:
        """Makes the tables.

        Args:
            layout: Of the frames.
            input_size: n, the side of the pictures.
            device: Where to compute.
        """
        short = min(layout.width, layout.height)
        across, down = (int(input_size * side / short) for side in (layout.width, layout.height))
        left, top = (round((side - input_size) / 2.0) for side in (across, down))
        columns, column_weights = (part[left : left + input_size] for part in weights(layout.width, across))
        rows, row_weights = (part[top : top + input_size] for part in weights(layout.height, down))
        used = np.flatnonzero(row_weights.any(axis=0))[-1] + 1
        self.first_row = int(rows[0])
        self.rows = min(int(rows[-1] + used), layout.height) - self.first_row  # that any picture row reads
        self.layout, self.size = layout, input_size
        self.columns, self.column_weights, self.row_starts, self.row_weights = (
            torch.from_numpy(np.ascontiguousarray(table)).to(device)
            for table in (columns, column_weights, rows - self.first_row, row_weights[:, :used])
        )

    def __call__(self, planes: Tensor) -> Tensor:
        """Makes pictures.

        Args:
            planes: (M, bytes) uint8 on the device, frames as `FrameLayout` says.

        Returns:
            (M, n, n, 3) uint8, bit-equal to `scale_and_crop` of ffmpeg's RGB.
        """
        if planes.device.type == "cuda":
            from featx.clip.exact_kernels import pictures

            return pictures(self, planes)
        return self.reference(planes)

    def reference(self, planes: Tensor) -> Tensor:
        """Does the same in torch's integers."""
        wide = self._rgb(planes)  # (M, R, W, 3) int32
        between = _rounded(
            _sum_of_taps(wide.transpose(1, 2), self.columns, self.column_weights)
        )  # (M, n, R, 3)
        done = _rounded(_sum_of_taps(between.transpose(1, 2), self.row_starts, self.row_weights))
        return done.to(torch.uint8)  # (M, n, n, 3)

    def _rgb(self, planes: Tensor) -> Tensor:
        layout = self.layout
        here = slice(self.first_row, self.first_row + self.rows)
        luma, chroma = planes.split(
            [layout.width * layout.height, 2 * layout.chroma_width * layout.chroma_height], dim=1
        )
        luma = luma.unflatten(1, (layout.height, layout.width))[:, here].to(torch.int32) - 16
        chroma = chroma.unflatten(1, (2, layout.chroma_height, layout.chroma_width)).to(torch.int32) - 128
        chroma = chroma.repeat_interleave(2, 2)[:, :, here].repeat_interleave(2, 3)[..., : layout.width]
        u, v = chroma.unbind(1)
        red_v, blue_u, green_u, green_v = factors(layout.matrix)
        grey = _times(luma, LUMA)
        rgb = [
            grey + _times(v, red_v),
            grey + _times(u, -green_u) + _times(v, -green_v),
            grey + _times(u, blue_u),
        ]
        return torch.stack(rgb, -1).clamp_(0, 255)


def factors(matrix: str) -> tuple[int, int, int, int]:
    """Returns V to red, U to blue, U to green, V to green in 13 bit fixed point, as swscale's 16 bit code takes them."""
    red, blue, green_u, green_v = (round(value / 8) for value in YUV_TO_RGB[matrix])
    return red, blue, green_u, green_v


def _times(x: Tensor, factor: int) -> Tensor:
    return ((x << 3) * factor) >> 16


def _sum_of_taps(x: Tensor, first: Tensor, table: Tensor) -> Tensor:
    """Weights (M, S, ...) along S: (M, n, ...) int32."""
    total = torch.full_like(x[:, :1].expand(-1, len(first), *x.shape[2:]), 1 << (PRECISION - 1))
    for tap in range(table.shape[1]):
        taken = x[:, (first + tap).clamp(max=x.shape[1] - 1)]
        total += taken * table[:, tap].view(-1, *[1] * (x.dim() - 2))
    return total


def _rounded(total: Tensor) -> Tensor:
    return (total >> PRECISION).clamp_(0, 255)
