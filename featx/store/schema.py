"""What stands in a store's files: the fingerprint, the shard record, and one video's features.

The layout on disk is described in docs/store.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1
STORE_FILE = "store.json"
SHARDS_FOLDER = "shards"
FAILURES_FILE = "failures.jsonl"
CHUNK_ROWS = 256
UNKNOWN_FRAME = (
    -1
)  # frame index of rows whose frames are not known; their times are NaN if those are not known
SHARD_NAME = re.compile(r"shard-(\d{5,})")
ENDINGS = {"zarr": ".zarr", "hdf5": ".h5"}


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
    dtype: Literal["float16", "float32"] = "float16"

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

    @property
    def file_times(self) -> bool:
        """Whether times are what the files say; in the first version they are seconds since each file's start."""
        return self.featx_store >= 2


@dataclass(frozen=True)
class VideoFacts:
    """What was found out about a video's file while it was decoded; None is what nobody knows (imported features)."""

    path: str
    size_bytes: int
    mtime_ns: int
    width: int | None
    height: int | None
    duration_s: float | None
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


def array_layout(fingerprint: Fingerprint) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Returns for each array of a shard its type on disk (little endian) and the shape of one row."""
    return {
        "features": (np.dtype(fingerprint.dtype).newbyteorder("<"), (fingerprint.width,)),
        "pts": (np.dtype("<f8"), ()),
        "frame_index": (np.dtype("<i4"), ()),
        "offsets": (np.dtype("<i8"), ()),
    }


ARRAY_NAMES = ("features", "pts", "frame_index", "offsets")


@dataclass(frozen=True)
class ChunkTable:
    """Where an array's chunks of 256 rows lie in its file: byte offsets, and crc32c of each chunk's rows.

    Padding after the last row of the last chunk is not part of the checksum.
    """

    starts: list[int]
    crc32c: list[int]


@dataclass
class ShardRecord:
    """The content of ``shard-00017.json``, which commits a shard: without it the shard does not exist.

    Attributes:
        name: ``shard-00017``.
        format: ``zarr`` or ``hdf5``.
        store: The content of ``store.json``: to which store the shard belongs.
        ids: Video ids.
        rows: How many rows each video has.
        facts: Lists with one entry a video, by the names of `VideoFacts`.
        files: Size and sha256 of each file of the shard, by its path below ``shards/``.
        chunks: Where each array's bytes are.
        featx_shard: Version of this layout.
    """

    name: str
    format: str
    store: dict
    ids: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    facts: dict[str, list] = field(default_factory=dict)
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    chunks: dict[str, ChunkTable] = field(default_factory=dict)
    featx_shard: int = SCHEMA_VERSION


def shard_name(number: int) -> str:
    """Returns the name of a shard."""
    return f"shard-{number:05d}"


def shard_path(store: Path, name: str, format: str) -> Path:
    """Returns where a shard's arrays lie."""
    return store / SHARDS_FOLDER / f"{name}{ENDINGS[format]}"


def array_file(store: Path, name: str, format: str, array: str) -> Path:
    """Returns the file that holds the chunks of one array of a shard."""
    shard = shard_path(store, name, format)
    if format == "hdf5":
        return shard
    return shard / array / ("c/0/0" if array == "features" else "c/0")


def record_path(store: Path, name: str) -> Path:
    """Returns where a shard's record lies."""
    return store / SHARDS_FOLDER / f"{name}.json"
