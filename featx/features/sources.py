"""Where the features of clips come from: kept in memory (or on the GPU) when they fit, else read as they are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from featx.features.dataset import StoredParts
from featx.store.reader import FeatureStore

SHARE_OF_FREE_MEMORY = 0.5
BLOCK_BYTES = 256 * 2**20  # that are read at once on the way to where features are kept


@dataclass(frozen=True)
class RowSpans:
    """Which rows of a source are looked at: whole videos, or windows of them.

    Attributes:
        videos: (M,) index of each one's video in the source; a video may stand there more than once.
        first_rows: (M,) where each begins within its video.
        rows: (M,) how many rows it has.
    """

    videos: np.ndarray
    first_rows: np.ndarray
    rows: np.ndarray

    @classmethod
    def whole(cls, rows: np.ndarray, videos: np.ndarray | None = None) -> RowSpans:
        """Returns whole videos.

        Args:
            rows: (M,) rows of each.
            videos: (M,) their indices in the source; without it they are all of its videos.
        """
        return cls(np.arange(len(rows)) if videos is None else videos, np.zeros_like(rows), rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, some: slice) -> RowSpans:
        return RowSpans(self.videos[some], self.first_rows[some], self.rows[some])


class Source(Protocol):
    """Features of V videos.

    Attributes:
        location: Where they are, for people.
        reads: Whether gathering waits for a disk.
    """

    location: str
    reads: bool

    def gather(self, videos: np.ndarray, rows: np.ndarray) -> Tensor:
        """Returns (B, T, D) features: ``rows`` (B, T), ascending, within each of ``videos`` (B,)."""
        ...


class ResidentSource:
    """All rows of all videos in memory, or on a GPU."""

    reads = False

    def __init__(self, store: FeatureStore, ids: Sequence[str], device: str = "cpu") -> None:
        """Reads the features, a block after the other: a GPU's are never all in the computer's own memory.

        Args:
            store: The store.
            ids: V video ids.
            device: Where they are kept.
        """
        self.location = "memory" if device == "cpu" else device
        fingerprint = store.header.fingerprint
        dtype = np.dtype(fingerprint.dtype)
        rows = [store.rows(video_id) for video_id in ids]
        self._offsets = np.cumsum([0, *rows])
        self._features = torch.empty(
            (int(self._offsets[-1]), fingerprint.width),
            dtype=torch.from_numpy(np.empty(0, dtype)).dtype,
            device=device,
        )  # (N, D)
        block_of = self._offsets[:-1] * fingerprint.width * dtype.itemsize // BLOCK_BYTES
        for block in np.unique(block_of):
            first, past = np.searchsorted(block_of, [block, block + 1])
            own = slice(int(self._offsets[first]), int(self._offsets[past]))
            self._features[own].copy_(torch.from_numpy(store.load(list(ids[first:past])).features))

    def gather(self, videos: np.ndarray, rows: np.ndarray) -> Tensor:
        """Returns (B, T, D) features, on the device that they are kept on."""
        index = torch.from_numpy((self._offsets[videos][:, None] + rows).ravel()).to(self._features.device)
        # six times faster than [index] in half
        features: Tensor = self._features.index_select(0, index).unflatten(0, rows.shape)
        return features


class StoreSource:
    """Reads the part of each video that a clip spans, when it is asked for; safe to use from several threads."""

    location = "the store"
    reads = True

    def __init__(self, store: FeatureStore, ids: Sequence[str]) -> None:
        self._store = store
        self._ids = list(ids)

    def gather(self, videos: np.ndarray, rows: np.ndarray) -> Tensor:
        """Returns (B, T, D) features, in memory."""
        starts = rows[:, 0]
        ids = [self._ids[video] for video in videos]
        packed = self._store.read_windows(ids, starts, rows[:, -1] - starts + 1)
        index = packed.offsets[:-1, None] + rows - starts[:, None]  # (B, T)
        return torch.from_numpy(packed.features[index])


class PartSource:
    """Some parts of the videos of a source that others share; their indices are their places among them."""

    def __init__(self, whole: Source, videos: np.ndarray, first_rows: np.ndarray) -> None:
        """Makes a view.

        Args:
            whole: The shared source.
            videos: (V,) index there of the video that each is a part of.
            first_rows: (V,) where each begins within it.
        """
        self.location = whole.location
        self.reads = whole.reads
        self._whole = whole
        self._videos = videos
        self._first_rows = first_rows

    def gather(self, videos: np.ndarray, rows: np.ndarray) -> Tensor:
        """Returns (B, T, D) features, where the whole source has them."""
        return self._whole.gather(self._videos[videos], rows + self._first_rows[videos][:, None])


def open_parts(store: FeatureStore, parts: StoredParts, device: str) -> Source:
    """Opens the videos that some parts belong to, each once; indices of the source are those of the parts."""
    ids = list(dict.fromkeys(parts.stored))
    rows = np.array([store.rows(video_id) for video_id in ids], dtype=np.int64)
    whole = open_source(store, ids, rows, device, budget_gib=None)
    place = {video_id: index for index, video_id in enumerate(ids)}
    return PartSource(whole, np.array([place[video_id] for video_id in parts.stored]), parts.first_rows)


def open_source(
    store: FeatureStore,
    ids: Sequence[str],
    rows: np.ndarray,
    device: str,
    budget_gib: float | None,
    sharers: int = 1,
) -> Source:
    """Keeps features on the GPU if they fit there, else in memory, else leaves them in the store.

    Args:
        store: The store.
        ids: V video ids.
        rows: (V,) rows of each.
        device: Where they will be used.
        budget_gib: What they may take; None for half of the memory that is free.
        sharers: Processes of this machine that each keep them.
    """
    needed = (
        int(rows.sum()) * store.header.fingerprint.width * np.dtype(store.header.fingerprint.dtype).itemsize
    )
    given = None if budget_gib is None else int(budget_gib * 2**30)
    if device.startswith("cuda") and needed <= (free_gpu_bytes(device) if given is None else given):
        kept = _keep_on_gpu(store, ids, device, needed if given is None else 0)
        if kept is not None:
            return kept
    if needed <= (free_memory_bytes() // sharers if given is None else given):
        return ResidentSource(store, ids)
    return StoreSource(store, ids)


def _keep_on_gpu(
    store: FeatureStore, ids: Sequence[str], device: str, left_bytes: int
) -> ResidentSource | None:
    """Returns features on a GPU, or None if they do not leave as much free as they should: others were given it too."""
    try:
        kept = ResidentSource(store, ids, device)
    except torch.OutOfMemoryError:
        return None
    return kept if torch.cuda.mem_get_info(device)[0] >= left_bytes else None


def free_gpu_bytes(device: str) -> int:
    """Returns how much of a GPU's memory features may take by default."""
    return int(SHARE_OF_FREE_MEMORY * torch.cuda.mem_get_info(device)[0])


def free_memory_bytes() -> int:
    """Returns how much of the memory features may take by default; a container's limit counts."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        control = Path("/sys/fs/cgroup")
        limit = int((control / "memory.max").read_text())
        stat = dict(line.split() for line in (control / "memory.stat").read_text().splitlines())
        used = int((control / "memory.current").read_text()) - int(stat["inactive_file"])  # a cache gives way
        free = min(free, limit - used)
    except (OSError, KeyError, ValueError):  # no such file, or "max": no limit
        pass
    return int(SHARE_OF_FREE_MEMORY * max(free, 0))
