"""`featx.clip.exact_pictures` on a GPU: two Triton kernels, from planes to pictures.

They can be tried without a GPU: TRITON_INTERPRET=1 runs them on CPU tensors.
"""

# Triton compiles these functions; its types are not Python's.
# mypy: disable-error-code="untyped-decorator,no-untyped-def"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from featx.clip.exact_pictures import ExactPictures

COLUMNS_AT_ONCE = 128
PRECISION = tl.constexpr(22)
HALF = tl.constexpr(1 << 21)
LUMA = tl.constexpr(9539)


@triton.jit
def _across(
    planes, between, first, table, first_row, rows, width, height, size, taps,
    red_v, blue_u, green_u, green_v, BLOCK: tl.constexpr,
):  # fmt: skip
    """Converts to RGB and scales one row of one frame: (M, bytes) to (M, R, n, 3) uint8."""
    frame, row = tl.program_id(0).to(tl.int64), tl.program_id(1)
    x = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    is_in = x < size
    chroma_width, chroma_height = (width + 1) // 2, (height + 1) // 2
    luma_size, chroma_size = width * height, chroma_width * chroma_height
    source = planes + frame * (luma_size + 2 * chroma_size)
    line = first_row + row
    begin = tl.load(first + x, mask=is_in, other=0)
    red = tl.full((BLOCK,), HALF, tl.int32)
    green = tl.full((BLOCK,), HALF, tl.int32)
    blue = tl.full((BLOCK,), HALF, tl.int32)
    for tap in range(taps):
        at = tl.minimum(begin + tap, width - 1)
        weight = tl.load(table + x * taps + tap, mask=is_in, other=0)
        chroma = luma_size + (line // 2) * chroma_width + at // 2
        luma = tl.load(source + line * width + at, mask=is_in, other=16).to(tl.int32) - 16
        u = (tl.load(source + chroma, mask=is_in, other=128).to(tl.int32) - 128) << 3
        v = (tl.load(source + chroma + chroma_size, mask=is_in, other=128).to(tl.int32) - 128) << 3
        grey = ((luma << 3) * LUMA) >> 16
        red += weight * tl.minimum(tl.maximum(grey + ((v * red_v) >> 16), 0), 255)
        both = ((u * green_u) >> 16) + ((v * green_v) >> 16)
        green += weight * tl.minimum(tl.maximum(grey + both, 0), 255)
        blue += weight * tl.minimum(tl.maximum(grey + ((u * blue_u) >> 16), 0), 255)
    to = between + ((frame * rows + row) * size + x) * 3
    tl.store(to, tl.minimum(tl.maximum(red >> PRECISION, 0), 255).to(tl.uint8), mask=is_in)
    tl.store(to + 1, tl.minimum(tl.maximum(green >> PRECISION, 0), 255).to(tl.uint8), mask=is_in)
    tl.store(to + 2, tl.minimum(tl.maximum(blue >> PRECISION, 0), 255).to(tl.uint8), mask=is_in)


@triton.jit
def _down(between, pictures, first, table, rows, size, taps, BLOCK: tl.constexpr):
    """Scales columns: (M, R, n, 3) to one row of (M, n, n, 3) uint8."""
    frame, row = tl.program_id(0).to(tl.int64), tl.program_id(1)
    x = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)  # of 3 n numbers
    is_in = x < 3 * size
    begin = tl.load(first + row)
    total = tl.full((BLOCK,), HALF, tl.int32)
    for tap in range(taps):
        line = tl.minimum(begin + tap, rows - 1)
        weight = tl.load(table + row * taps + tap)
        total += weight * tl.load(between + (frame * rows + line) * size * 3 + x, mask=is_in, other=0).to(
            tl.int32
        )
    to = pictures + (frame * size + row) * size * 3 + x
    tl.store(to, tl.minimum(tl.maximum(total >> PRECISION, 0), 255).to(tl.uint8), mask=is_in)


def pictures(tables: ExactPictures, planes: Tensor) -> Tensor:
    """Makes (M, n, n, 3) uint8 pictures of (M, bytes) uint8 frames, on the GPU that they lie on."""
    from featx.clip.exact_pictures import factors

    frames, size, layout = len(planes), tables.size, tables.layout
    between = torch.empty(frames, tables.rows, size, 3, dtype=torch.uint8, device=planes.device)
    done = torch.empty(frames, size, size, 3, dtype=torch.uint8, device=planes.device)
    red_v, blue_u, green_u, green_v = factors(layout.matrix)
    blocks = triton.cdiv(size, COLUMNS_AT_ONCE)
    across: Any = _across[(frames, tables.rows, blocks)]
    across(
        planes, between, tables.columns, tables.column_weights, tables.first_row, tables.rows,
        layout.width, layout.height, size, tables.column_weights.shape[1],
        red_v, blue_u, -green_u, -green_v, BLOCK=COLUMNS_AT_ONCE,
    )  # fmt: skip
    down: Any = _down[(frames, size, triton.cdiv(3 * size, COLUMNS_AT_ONCE))]
    down(
        between, done, tables.row_starts, tables.row_weights, tables.rows, size, tables.row_weights.shape[1],
        BLOCK=COLUMNS_AT_ONCE,
    )  # fmt: skip
    return done
