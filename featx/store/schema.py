"""What stands in a store's files: the fingerprint, the shard record, and one video's features.

The layout on disk is described in docs/store.md.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

SCHEMA_VERSION = 2
PLANNED_VERSION = 3  # of stores that several machines fill by a plan: arrays have names of their own attempt
READABLE_VERSIONS = (
    1,
    2,
    PLANNED_VERSION,
)  # in stores of version 1, times count from the start of each file
STORE_FILE = "store.json"
SHARDS_FOLDER = "shards"
FAILURES_FILE = "failures.jsonl"
CHUNK_ROWS = 256
LONGEST_GUESS = 10_000  # ids among which a misspelt one is looked for
UNKNOWN_FRAME = (
    -1
)  # frame index of rows whose frames are not known; their times are NaN if those are not known
SHARD_NAME = re.compile(r"shard-(\d{5,})")
ENDINGS = {"zarr": ".zarr", "hdf5": ".h5"}


class Fingerprint(BaseModel):
    """Everything that decides a feature's value: two stores with equal ones hold comparable features.

    ``family`` and ``activation`` say what computes the weights, ``decoding`` what was asked of the decoder beside plain
    pictures, such as ``square pixels``. Where they are what they were before they were known, they are not written, so
    that old fingerprints stay equal to the letter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: str = "openai"
    model: str
    activation: str = "quickgelu"
    weights_sha256: str
    input_size: int
    width: int
    preprocess: str = "clip-exact"
    channel_order: str = "rgb"
    sampling: str = "every frame"
    precision: str = "fp32"
    dtype: Literal["float16", "float32"] = "float16"
    decoding: str = ""

    @model_serializer(mode="wrap")
    def _without_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        for name in ("family", "activation", "decoding"):
            if content.get(name) == type(self).model_fields[name].default:
                del content[name]
        return content

    def differences(self, other: Fingerprint) -> list[str]:
        """Returns ``field: mine, not theirs`` for every field that differs."""
        return [
            f"{name}: {getattr(self, name) or 'plain'}, not {getattr(other, name) or 'plain'}"
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
class VideoInfo:
    """What was found out about a video's file while it was decoded; None is what nobody knows (imported features).

    Attributes:
        path: The file; below ``root`` if that is known.
        size_bytes: Of the file.
        mtime_ns: When the file was last changed.
        width: Of an upright frame in pixels; of the first frame if frames differ.
        height: Likewise.
        duration_s: Seconds from the first frame to the end of the last one.
        complete: Whether the rows are those of the whole video; False for a damaged one that was kept.
        root: Absolute path of the folder that was extracted.
        content_sha256: Of the file's bytes.
        start_s: Where the file begins on its own timeline: what players subtract from the times of its frames.
        stream: Number of the stream in the file, as ffmpeg counts.
        streams: How many video streams the file has.
        concealed: Frames that are not in the store because damage kept them from being decoded truly.
        time_jumps: How often the file's times step back; times go on from there.
        sample_aspect: Shape of a pixel, such as ``4:3``; pixels are taken as they are stored.
        interlaced: Whether frames are made of two fields.
        transfer: Transfer characteristic that the file names, such as ``smpte2084`` for HDR.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    width: int | None
    height: int | None
    duration_s: float | None
    complete: bool = True
    root: str | None = None
    content_sha256: str | None = None
    start_s: float | None = None
    stream: int | None = None
    streams: int | None = None
    concealed: int | None = None
    time_jumps: int | None = None
    sample_aspect: str | None = None
    interlaced: bool | None = None
    transfer: str | None = None

    @staticmethod
    def from_columns(columns: dict[str, list[Any]], number: int) -> VideoInfo:
        """Takes those of one video out of a record's columns; a record of before may lack some."""
        return VideoInfo(**{name: columns[name][number] for name in INFO_NAMES if name in columns})


INFO_NAMES = tuple(each.name for each in dataclasses.fields(VideoInfo))
REQUIRED_INFO = INFO_NAMES[:7]  # those that records of version 1 have


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


class Entry(NamedTuple):
    """A video as its shard's record has it, whatever later records say of it.

    Attributes:
        shard: Name of the shard.
        position: Where in the record's ``ids``.
        id: What stands there: a check that the right thing is meant.
    """

    shard: str
    position: int
    id: str


@dataclass
class ShardRecord:
    """The content of ``shard-00017.json``, which commits a shard: without it the shard does not exist.

    A record, with videos or without, may also say what has become of entries of other records: a shard is never
    changed.

    Attributes:
        name: ``shard-00017``.
        format: ``zarr`` or ``hdf5``.
        store: The content of ``store.json``: to which store the shard belongs.
        ids: Video ids.
        rows: How many rows each video has.
        facts: What is known of the videos: lists with one entry a video, by the names of `VideoInfo`. The file's own word.
        files: Size and sha256 of each file of the shard, by its path below ``shards/``.
        chunks: Where each array's bytes are.
        featx_shard: Version of this layout.
        drops: Entries that are no longer read, for ever.
        updates: Entries of which something is different now, with that: ``id``, or fields of `VideoInfo`. What a later
            record says wins.
        root_moves: Pairs of folders: in the video information of all shards before this one, ``root`` is the second now if it is
            the first.
        attempt: In stores with a plan, which of several attempts at this part it is; a part of the name of its arrays.
        failures: In stores with a plan, the part's videos that failed: the fields of `Failure`. One that only has its id and
            `GONE` strikes off an earlier one.
        made_by: In stores with a plan, which machine made the part, when it began, and in how many seconds.
    """

    name: str
    format: str
    store: dict[str, Any]
    ids: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    facts: dict[str, list[Any]] = field(default_factory=dict)
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    chunks: dict[str, ChunkTable] = field(default_factory=dict)
    featx_shard: int = SCHEMA_VERSION
    drops: list[Entry] = field(default_factory=list)
    updates: list[tuple[Entry, dict[str, Any]]] = field(default_factory=list)
    root_moves: list[tuple[str, str]] = field(default_factory=list)
    attempt: str = ""
    failures: list[dict[str, Any]] = field(default_factory=list)
    made_by: dict[str, Any] = field(default_factory=dict)

    @property
    def arrays(self) -> str:
        """What its arrays are called, without the ending."""
        return arrays_name(self.name, self.attempt)


# Members of a record that are only written if they say something.
CHANGES = ("drops", "updates", "root_moves", "attempt", "failures", "made_by")


GONE = "gone"  # of a failure in a record: the file is no longer there, so that nothing is left to fail


def shard_name(number: int) -> str:
    """Returns the name of a shard."""
    return f"shard-{number:05d}"


def shard_number(name: str) -> int:
    """Returns the number of a shard's name."""
    return int(name.removeprefix("shard-"))


def arrays_name(name: str, attempt: str) -> str:
    """Returns what the arrays of a shard are called, without the ending."""
    return f"{name}.{attempt}" if attempt else name


def shard_path(store: Path, arrays: str, format: str) -> Path:
    """Returns where a shard's arrays lie."""
    return store / SHARDS_FOLDER / f"{arrays}{ENDINGS[format]}"


def array_file(store: Path, arrays: str, format: str, array: str) -> Path:
    """Returns the file that holds the chunks of one array of a shard."""
    shard = shard_path(store, arrays, format)
    if format == "hdf5":
        return shard
    return shard / array / ("c/0/0" if array == "features" else "c/0")


def record_path(store: Path, name: str) -> Path:
    """Returns where a shard's record lies."""
    return store / SHARDS_FOLDER / f"{name}.json"
