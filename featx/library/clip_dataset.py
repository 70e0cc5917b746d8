"""Clips of cached features as a data set of torch."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from featx.errors import FeatxError
from featx.features.clips import ClipSampling, draw_clips, even_clips
from featx.features.dataset import list_labelled
from featx.features.sources import PartSource, StoreSource
from featx.library.calls import PathLike
from featx.library.stores import store_of
from featx.manifest.videos import Manifest, read_manifest
from featx.output.library_function import library_function
from featx.store.reader import FeatureStore


class ClipDataset(Dataset[tuple[Tensor, int]]):
    """Clips of the labelled videos of a split: item i is (T, D) float32 features and the index of the class.

    For training, an item is a random clip of its video, another one each time, drawn as `train_adapter` draws it. The n-th
    time that a video is asked for it gives its n-th clip, whatever the number of workers: draws depend on ``seed`` alone.
    For evaluation, items are the clips that ``featx eval`` scores, ``clips`` of each video one after another.

    Works with a `torch.utils.data.DataLoader` and any number of its workers, forked or spawned. Features are read when
    they are asked for.

    Attributes:
        classes: C labels; the class index of an item is an index into them.
        texts: C texts of the classes, for a text encoder.
        ids: V ids of the videos that have features.
        labels: (V,) int64 class index of each.
        missing: Ids of the videos of the split that the store lacks.
        train: Whether clips are drawn at random.
        clips: K, clips of each video; 1 for training. Item i is of video i // K.
    """

    @library_function()
    def __init__(
        self,
        store: FeatureStore | PathLike,
        manifest: Manifest | PathLike,
        *,
        split: str = "train",
        frames: int = 16,
        train: bool | None = None,
        clips: int = 1,
        seed: int = 0,
        strides: Sequence[int] = (1, 2, 3, 4),
        stride_weights: Sequence[float] = (1, 1, 3, 1),
    ) -> None:
        """Lists the videos.

        Args:
            store: The store, or its folder.
            manifest: The manifest with labels and splits, or its file (.jsonl).
            split: Split of the manifest.
            frames: T, rows of a clip. A video with fewer rows repeats its last one.
            train: Whether clips are drawn at random. By default for the split called ``train``.
            clips: For evaluation: K, evenly spaced clips of each video. ``featx eval`` takes 5.
            seed: For training: of all draws.
            strides: Strides, in rows, that a clip may have.
            stride_weights: Relative frequency of each stride.

        Raises:
            FeatxError: If store and manifest do not go together, a video has no label, or arguments do not.
        """
        opened = store_of(store)
        read = manifest if isinstance(manifest, Manifest) else read_manifest(Path(manifest))
        videos = list_labelled(opened, read, split)
        self.train = split == "train" if train is None else train
        if frames < 1 or clips < 1:
            raise FeatxError(f"frames={frames}, clips={clips}: must be 1 or more")
        if self.train and clips != 1:
            raise FeatxError(f"clips={clips}: is for evaluation; leave it out, or say train=False")
        try:
            self._sampling = ClipSampling(frames, list(strides), list(stride_weights), clips)
        except ValueError as error:
            raise FeatxError(str(error)) from error
        self.classes = read.labels
        self.texts = list(read.header.classes.values())
        self.ids, self.labels, self.missing = videos.ids, videos.labels, videos.missing
        self.clips = clips
        self._rows = videos.rows
        self._source = PartSource(
            StoreSource(opened, videos.stored), np.arange(len(videos)), videos.first_rows
        )
        self._seed = seed
        # How often each video was asked for; workers share it, so that none begins again from the first draws.
        self._asked = torch.zeros(len(videos), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        """Returns V K."""
        return len(self.ids) * self.clips

    def __getitem__(self, index: SupportsIndex) -> tuple[Tensor, int]:
        """Reads an item.

        Raises:
            FeatxError: If its rows are damaged.
            IndexError: If there is no such item.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[tuple[Tensor, int]]:
        """Reads several items at once, which a `DataLoader` does for a batch.

        Raises:
            FeatxError: If rows are damaged.
            IndexError: If there is no such item.
        """
        items = np.array([self._place(index) for index in indices], dtype=np.int64).reshape(-1)
        videos, clips = np.divmod(items, self.clips)
        rows = np.stack(
            [self._clip(video, clip) for video, clip in zip(videos.tolist(), clips.tolist(), strict=True)]
        )
        features = self._source.gather(videos, rows).float()  # (B, T, D)
        return list(zip(features, self.labels[videos].tolist(), strict=True))

    def _place(self, index: SupportsIndex) -> int:
        item = operator.index(index)  # of NumPy and torch too
        if not -len(self) <= item < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        return item % len(self)

    def _clip(self, video: int, clip: int) -> np.ndarray:
        """Returns (T,) rows of a clip within its video."""
        rows = self._rows[video : video + 1]
        if not self.train:
            placed: np.ndarray = even_clips(rows, self._sampling)[0, clip]
            return placed
        draw = int(self._asked[video])
        self._asked[video] += 1
        (drawn,) = draw_clips(np.random.default_rng([self._seed, video, draw]), rows, self._sampling)
        assert isinstance(drawn, np.ndarray)
        return drawn
