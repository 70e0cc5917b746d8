"""What rows of a video a store may hold: the writer refuses others, `verify` finds them, `import` lists them."""

from __future__ import annotations

import dataclasses

import numpy as np

from featx.store.schema import (
    UNKNOWN_FRAME,
    Fingerprint,
    StoreHeader,
    VideoFeatures,
    VideoInfo,
    array_layout,
)


def with_times_of(header: StoreHeader, video: VideoFeatures, video_info: VideoInfo) -> VideoFeatures:
    """Returns a video with times that mean what they mean in a store: in one of version 1 they begin at 0.

    Args:
        header: Of the store.
        video: With the times that stand in the file.
        video_info: Its ``start_s`` says what the file's own would be.
    """
    if header.featx_store > 1 or video_info.start_s is None:
        return video
    return dataclasses.replace(video, pts=video.pts - video_info.start_s)


def problem_of(video: VideoFeatures, fingerprint: Fingerprint) -> str:
    """Says what is wrong with a video's rows, or returns an empty string."""
    rows = len(video.features)
    if rows == 0:
        return "it has no rows"
    for name, (dtype, row_shape) in array_layout(fingerprint).items():
        if name == "offsets":
            continue
        values: np.ndarray = getattr(video, name)
        if values.shape != (rows, *row_shape):
            return f"{name} have shape {values.shape}, not {(rows, *row_shape)}"
        if name == "features" and values.dtype != dtype:
            return f"features are {values.dtype}, not {dtype.name}"
    finite = np.isfinite(video.features).all(axis=1)
    if not finite.all():
        row = int((~finite).argmax())
        return f"features of row {row} are not finite; --precision fp32 or --dtype float32 may help"
    zero = ~video.features.any(axis=1)
    if zero.any():
        return f"features of row {int(zero.argmax())} are all zero"
    return problem_of_times(video.pts, video.frame_index)


def problem_of_times(pts: np.ndarray, frame_index: np.ndarray) -> str:
    """Says what is wrong with presentation times (N,) and frame indices (N,).

    A row may show the same frame as the one before it (rows closer in time than frames), never an earlier one. What
    is not known is NaN, or -1, in all rows of a video.
    """
    if not np.isnan(pts).all():
        if not np.isfinite(pts).all():
            return f"pts of row {int((~np.isfinite(pts)).argmax())} is not finite"
        back = np.diff(pts) < 0
        if back.any():
            return f"pts of row {int(back.argmax()) + 1} is before that of the row in front of it"
    if not (frame_index == UNKNOWN_FRAME).all():
        back = np.diff(frame_index, prepend=0) < 0
        if back.any():
            return f"frame_index of row {int(back.argmax())} is before that of the row in front of it"
    return ""
