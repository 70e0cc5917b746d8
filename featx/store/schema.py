"""What stands in a store's files: the fingerprint, the shard record, and one video's features.

The layout on disk is described in docs/store.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1
STORE_FILE = "store.json"
SHARDS_FOLDER = "shards"
FAILURES_FILE = "failures.jsonl"


class Fingerprint(BaseModel):
    """Everything that decides a feature's value: two stores with equal ones hold comparable features."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    weights_sha256: str
    input_size: int
    width: int
    preprocess: str = "clip-exact"
    channel_order: str = "rgb"
    sampling: str = "every frame"
    precision: str = "fp32"
    dtype: str = "float16"

    def differences(self, other: Fingerprint) -> list[str]:
        """Returns ``field: mine, not theirs`` for every field that differs."""
        return [
            f"{name}: {getattr(self, name)}, not {getattr(other, name)}"
            for name in type(self).model_fields
            if getattr(self, name) != getattr(other, name)
        ]


class StoreHeader(BaseModel):
    """The content of ``store.json``."""

    model_config = ConfigDict(extra="forbid")

    featx_store: int = SCHEMA_VERSION
    format: str
    fingerprint: Fingerprint
    model_source: str
    versions: dict[str, str]
    created: str


@dataclass(frozen=True)
class VideoFacts:
    """What was found out about a video's file while it was decoded."""

    path: str
    size_bytes: int
    mtime_ns: int
    width: int
    height: int
    duration_s: float
    complete: bool = True


@dataclass(frozen=True)
class VideoFeatures:
    """One video's rows: features (N, D), presentation times in seconds (N,), source frame indices (N,)."""

    features: np.ndarray
    pts: np.ndarray
    frame_index: np.ndarray

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class ShardArrays:
    """A whole shard in memory: the videos' rows one after another, ``offsets`` (V + 1,) between them."""

    features: np.ndarray
    pts: np.ndarray
    frame_index: np.ndarray
    offsets: np.ndarray

    @staticmethod
    def join(videos: list[VideoFeatures]) -> ShardArrays:
        """Puts videos one after another."""
        return ShardArrays(
            np.concatenate([video.features for video in videos]),
            np.concatenate([video.pts for video in videos]).astype(np.float64),
            np.concatenate([video.frame_index for video in videos]).astype(np.int32),
            np.cumsum([0] + [len(video) for video in videos]).astype(np.int64),
        )

    def video(self, index: int) -> VideoFeatures:
        """Returns one video's rows, without a copy."""
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return VideoFeatures(self.features[rows], self.pts[rows], self.frame_index[rows])


ARRAY_NAMES = tuple(f.name for f in fields(ShardArrays))


@dataclass
class ShardRecord:
    """The content of ``shard-00017.json``, which commits a shard: without it the shard does not exist.

    ``ids``, ``rows`` and every list of ``facts`` have one entry a video; ``checksums`` has the sha256 of each
    array's bytes (C order, little endian).
    """

    name: str
    format: str
    ids: list[str]
    rows: list[int]
    facts: dict[str, list]
    checksums: dict[str, str]
    featx_shard: int = field(default=SCHEMA_VERSION)


def shard_path(store: Path, name: str, format: str) -> Path:
    """Returns where a shard's arrays lie."""
    return store / SHARDS_FOLDER / f"{name}.{'zarr' if format == 'zarr' else 'h5'}"


def record_path(store: Path, name: str) -> Path:
    """Returns where a shard's record lies."""
    return store / SHARDS_FOLDER / f"{name}.json"
