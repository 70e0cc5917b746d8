"""What stands in the `index.json` of a search index."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from featx.store.schema import Fingerprint

SCHEMA_VERSION = 2


class IndexHeader(BaseModel):
    """What an index was made of.

    Attributes:
        store_created: When its store was made: which store it is of.
        fingerprint: Of the features.
        shards: Name of each shard that its videos are in, and the checksum of the shard's record.
        level: What its vectors are: moments, videos or frames.
        windows: Lengths of the moments, in seconds.
        units: How many vectors.
        cells: How many cells they are in.
        trained_units: How many vectors there were when the cells were learned,
        seen_units: and how many of those it still has: its first ones.
        recall: Share of the 10 best that it finds, by the number of cells looked at.
        recall_against: Who says which are the 10 best.
        recall_queries: Of so many vectors of its own, drawn at random; each finds at least itself.
        recall_asked: The same for the queries that were asked when it was written: they may be unlike its vectors.
        asked: How many those were.
    """

    model_config = ConfigDict(extra="forbid")

    store_created: str
    fingerprint: Fingerprint
    shards: dict[str, str]
    level: str
    windows: list[float]
    units: int
    cells: int
    trained_units: int
    seen_units: int
    recall: dict[int, float]
    recall_against: Literal["an exact search", "all its cells"]
    recall_queries: int
    recall_asked: dict[int, float]
    asked: int


class VectorsFile(BaseModel):
    """The vectors' file: FAISS's own data, of ``head_bytes``, then each cell's vectors and their numbers."""

    name: str
    size_bytes: int
    head_bytes: int
    head_crc32c: int


class UnitsFile(BaseModel):
    """The file that says what each vector stands for, and each cell's checksum."""

    name: str
    crc32c: int


class Content(BaseModel):
    """The content of ``index.json``."""

    model_config = ConfigDict(extra="forbid")

    featx_search_index: Literal[2] = 2
    header: IndexHeader
    vectors: VectorsFile
    units: UnitsFile
