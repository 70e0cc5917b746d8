"""A store for other programs: .npy files, Parquet, or WebDataset tars. One shard is in memory at a time."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from featx.errors import FeatxError
from featx.store.reader import FeatureStore
from featx.store.schema import Fingerprint, VideoFeatures, VideoInfo
from featx.store.upkeep.file_names import FileSystem, problem_of_names
from featx.store.writing.new_folder import MAKING, made_whole

ROWS_A_PART = 100_000
IMPORT_RECIPE = "import.toml"
# Beside ID.npy: when its rows are shown, in NumPy's own format. Not .npy, which would be a video's features.
TIMES_ENDING = ".pts"
TIMES_DTYPE = np.dtype([("pts", np.float64), ("frame_index", np.int32)])

Videos = Iterator[tuple[str, VideoFeatures, VideoInfo]]


def export(store: FeatureStore, to: Path, kind: str) -> int:
    """Writes a store as something else.

    Args:
        store: The store.
        to: New folder.
        kind: One of `EXPORTERS`.

    Returns:
        How many videos were written.

    Raises:
        FeatxError: If an id cannot be a file's name, a library is missing, or a shard is damaged.
    """
    with made_whole(to) as partial:
        if kind == "npy":
            _check_names(store, partial)
        EXPORTERS[kind](store.videos(), partial, store.header.fingerprint)
    return len(store)


def _check_names(store: FeatureStore, to: Path) -> None:
    taken = (IMPORT_RECIPE, MAKING)
    count, first = problem_of_names(store, ".npy", FileSystem.of(to, MAKING), taken)
    if count:
        raise FeatxError(
            f"--as npy: {count} ids cannot be the name of a file below a folder, first {first}; export as parquet or "
            "webdataset, which keep ids as data"
        )


def _export_npy(videos: Videos, to: Path, fingerprint: Fingerprint) -> None:
    """Writes ``ID.npy`` and ``ID.pts`` for every video, and the recipe with which `featx store import` reads them."""
    for video_id, video, _ in videos:
        file = to.joinpath(f"{video_id}.npy")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as stream:
            np.save(stream, video.features)
        times = np.empty(len(video), dtype=TIMES_DTYPE)
        times["pts"], times["frame_index"] = video.pts, video.frame_index
        with to.joinpath(f"{video_id}{TIMES_ENDING}").open("xb") as stream:
            np.save(stream, times)
    known = fingerprint.model_dump(exclude={"width"})
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in known.items()]
    (to / IMPORT_RECIPE).write_text("".join(lines), encoding="utf-8")


def _export_parquet(videos: Videos, to: Path, fingerprint: Fingerprint) -> None:
    """Writes one line a row: id, row, pts, frame_index, features as float32 (few readers know float16).

    Raises:
        FeatxError: If pyarrow is not installed, or an id is not UTF-8.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise FeatxError("--as parquet: needs pyarrow; pip install 'featx[parquet]'") from error
    schema = pyarrow.schema(
        [
            ("id", pyarrow.string()),
            ("row", pyarrow.int32()),
            ("pts", pyarrow.float64()),
            ("frame_index", pyarrow.int32()),
            ("features", pyarrow.list_(pyarrow.float32(), fingerprint.width)),
        ],
        metadata={"featx_fingerprint": fingerprint.model_dump_json()},
    )

    def table(video_id: str, video: VideoFeatures) -> Any:
        flat = pyarrow.array(video.features.astype(np.float32).ravel())
        rows = len(video)
        columns = [
            pyarrow.array([video_id] * rows, pyarrow.string()),
            pyarrow.array(np.arange(rows, dtype=np.int32)),
            pyarrow.array(video.pts),
            pyarrow.array(video.frame_index),
            pyarrow.FixedSizeListArray.from_arrays(flat, fingerprint.width),
        ]
        return pyarrow.Table.from_arrays(columns, schema=schema)

    for number, part in enumerate(_parts(videos)):
        tables = []
        for video_id, video, _ in part:
            try:
                tables.append(table(video_id, video))
            except UnicodeEncodeError as error:
                raise FeatxError(
                    f"video {video_id!r}: the id is not UTF-8, which Parquet needs; export as webdataset"
                ) from error
        parquet.write_table(pyarrow.concat_tables(tables), to / f"part-{number:05d}.parquet")


def _export_webdataset(videos: Videos, to: Path, fingerprint: Fingerprint) -> None:
    """Writes tars whose samples are numbered: ``features.npy``, ``pts.npy``, ``frame_index.npy``, ``json``.

    An id cannot be the key: WebDataset takes everything behind its first dot for an ending.
    """
    key = 0
    for number, part in enumerate(_parts(videos)):
        with tarfile.open(to / f"shard-{number:06d}.tar", "w") as tar:
            for video_id, video, video_info in part:
                about = {
                    "id": video_id,
                    "facts": dataclasses.asdict(video_info),
                    "fingerprint": fingerprint.model_dump(),
                }
                members = {
                    f"{name}.npy": _npy_bytes(getattr(video, name))
                    for name in ("features", "pts", "frame_index")
                }
                for ending, content in {**members, "json": json.dumps(about).encode()}.items():
                    entry = tarfile.TarInfo(f"{key:09d}.{ending}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
                key += 1


def _npy_bytes(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def _parts(videos: Videos) -> Iterator[list[tuple[str, VideoFeatures, VideoInfo]]]:
    """Groups videos into files of a bounded size."""
    part: list[tuple[str, VideoFeatures, VideoInfo]] = []
    rows = 0
    for each in videos:
        part.append(each)
        rows += len(each[1])
        if rows >= ROWS_A_PART:
            yield part
            part, rows = [], 0
    if part:
        yield part


EXPORTERS: dict[str, Callable[[Videos, Path, Fingerprint], None]] = {
    "npy": _export_npy,
    "parquet": _export_parquet,
    "webdataset": _export_webdataset,
}
