"""Reading a store: the index of all shards, and videos by their id."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from featx.errors import FeatxError, nearest
from featx.store import hdf5_shard, zarr_shard
from featx.store.schema import (
    SCHEMA_VERSION,
    SHARDS_FOLDER,
    STORE_FILE,
    ShardArrays,
    ShardRecord,
    StoreHeader,
    VideoFeatures,
    shard_path,
)

READERS: dict[str, Callable[[Path], ShardArrays]] = {"zarr": zarr_shard.read, "hdf5": hdf5_shard.read}


def read_header(path: Path) -> StoreHeader:
    """Reads ``store.json``.

    Raises:
        FeatxError: If there is none, or it is not one that this featx reads.
    """
    file = path / STORE_FILE
    try:
        header = StoreHeader.model_validate_json(file.read_bytes())
    except OSError as error:
        raise FeatxError(
            f"{path}: not a feature store (no readable {STORE_FILE}); make one with featx extract"
        ) from error
    except ValidationError as error:
        raise FeatxError(f"{file}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from error
    if header.featx_store != SCHEMA_VERSION:
        raise FeatxError(
            f"{file}: schema version {header.featx_store}; this featx reads version {SCHEMA_VERSION}"
        )
    return header


def read_records(path: Path) -> list[ShardRecord]:
    """Reads the records of all committed shards, in the order of their names."""
    records = []
    for file in sorted((path / SHARDS_FOLDER).glob("shard-*.json")):
        try:
            records.append(ShardRecord(**json.loads(file.read_bytes())))
        except (OSError, ValueError, TypeError) as error:
            raise FeatxError(
                f"{file}: damaged shard record ({error}); delete it to compute that shard again"
            ) from error
    return records


@dataclass(frozen=True)
class Packed:
    """Many videos in memory: all rows (N, D) one after another, ``offsets`` (V + 1,) between the videos."""

    features: np.ndarray
    offsets: np.ndarray


class FeatureStore:
    """A store opened for reading; it sees the shards that were committed when it was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_header(path)
        self.records = read_records(path)
        self._place = {
            video_id: (shard, index)
            for shard, record in enumerate(self.records)
            for index, video_id in enumerate(record.ids)
        }

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._place

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def rows(self, video_id: str) -> int:
        """Returns how many rows a video has, without reading them."""
        shard, index = self._find(video_id)
        return self.records[shard].rows[index]

    def __getitem__(self, video_id: str) -> VideoFeatures:
        """Reads one video (its whole shard is read: use `load` for many).

        Raises:
            FeatxError: If the video is not in the store or its shard is damaged.
        """
        shard, index = self._find(video_id)
        return self.read_shard(shard).video(index)

    def load(self, ids: list[str]) -> Packed:
        """Reads many videos into memory, each shard once, in the order of ``ids``.

        Raises:
            FeatxError: If a video is not in the store or a shard is damaged.
        """
        lengths = [self.rows(video_id) for video_id in ids]
        offsets = np.cumsum([0, *lengths])
        width = self.header.fingerprint.width
        features = np.empty((offsets[-1], width), dtype=self.header.fingerprint.dtype)
        by_shard: dict[int, list[tuple[int, int]]] = {}
        for position, video_id in enumerate(ids):
            shard, index = self._find(video_id)
            by_shard.setdefault(shard, []).append((position, index))
        for shard, wanted in sorted(by_shard.items()):
            arrays = self.read_shard(shard)
            for position, index in wanted:
                features[offsets[position] : offsets[position + 1]] = arrays.video(index).features
        return Packed(features, offsets)

    def read_shard(self, shard: int) -> ShardArrays:
        """Reads one shard; damage that its checksums show is an error."""
        record = self.records[shard]
        path = shard_path(self.path, record.name, record.format)
        try:
            return READERS[record.format](path)
        except Exception as error:  # zarr and h5py raise many kinds for damage; all mean the same to a user
            raise FeatxError(
                f"{path}: damaged or missing ({type(error).__name__}: {error}); delete {record.name}.json beside it and "
                "run featx extract again"
            ) from error

    def _find(self, video_id: str) -> tuple[int, int]:
        try:
            return self._place[video_id]
        except KeyError:
            raise FeatxError(f"{self.path}: no video '{video_id}'{nearest(video_id, self._place)}") from None
