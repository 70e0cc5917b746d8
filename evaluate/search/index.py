"""A FAISS index of a store's units, for millions of them: approximate, and honest about how much it misses.

A folder: `index.faiss`, `units.npz` (which rows each vector stands for), and `index.json` (what it was made of). It
serves only the store as it was: shards that have come or gone since make it a wrong answer.
"""

from __future__ import annotations

import json
import math
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from featx.errors import FeatxError
from featx.evaluate.search.exact import Find, open_scans, rules_of
from featx.evaluate.search.finds import FIRST_LOOK, Run, merge
from featx.evaluate.search.scan import Scan
from featx.evaluate.search.settings import SearchSettings
from featx.evaluate.search.units import Units
from featx.files import sync_tree, write_atomically
from featx.store.reader import FeatureStore
from featx.store.schema import Fingerprint, record_path
from featx.store.sealed import checksum_in

INDEX_FILE, UNITS_FILE, HEADER_FILE = "index.faiss", "units.npz", "index.json"
VECTORS_A_CELL = 50  # to train with; FAISS asks for at least 39
RECALL_AT = 10
RECALL_QUERIES = 100
SCHEMA_VERSION = 1


class IndexHeader(BaseModel):
    """What an index was made of.

    Attributes:
        featx_search_index: Version of this layout.
        fingerprint: Of the features.
        shards: Name of each shard of the store, and the checksum of its record.
        level: What its vectors are: moments, videos or frames.
        windows: Lengths of the moments, in seconds.
        units: How many vectors.
        cells: How many cells they are in.
        made_in_s: How long that took.
        recall: Share of the exact 10 best that it finds, by the number of cells looked at.
        recall_queries: Of so many vectors of its own, drawn at random; each finds at least itself.
        recall_asked: The same for the queries that were asked when it was made: they may be unlike its vectors.
        asked: How many those were.
    """

    model_config = ConfigDict(extra="forbid")

    featx_search_index: int = SCHEMA_VERSION
    fingerprint: Fingerprint
    shards: dict[str, str]
    level: str
    windows: list[float]
    units: int
    cells: int
    made_in_s: float
    recall: dict[int, float]
    recall_queries: int
    recall_asked: dict[int, float]
    asked: int


@dataclass(frozen=True)
class SearchIndex:
    """An index and what its vectors stand for: ``units`` whose videos are numbers in the store, rows within them."""

    header: IndexHeader
    faiss: Any
    units: Units
    ids: list[str]

    def search(self, queries: Tensor, count: int, settings: SearchSettings) -> list[list[Find]]:
        """Returns each query's finds, as `search_exactly` does, of what the index finds."""
        self.faiss.nprobe = min(settings.probe, self.header.cells)
        return [self._search(query[None], count, settings) for query in queries.numpy()]

    def _search(self, query: np.ndarray, count: int, settings: SearchSettings) -> list[Find]:
        look = FIRST_LOOK * count
        rules = rules_of(settings)
        while True:
            look = min(look, len(self.units))
            scores, numbers = self.faiss.search(query, look)
            seen = numbers[0] >= 0  # the cells that were looked at may hold fewer
            scores, numbers = scores[0][seen], numbers[0][seen]
            order = np.argsort(numbers)  # of equal ones the first in the store, as in an exact search
            scores, chosen = scores[order], _choose(self.units, numbers[order])
            runs = merge(chosen, scores, np.arange(len(scores)), rules)
            lowest = scores.min() if len(scores) else -math.inf
            enough = len(runs) >= count and lowest <= runs[count - 1].score - (rules.widen or 0.0)
            if enough or len(scores) < look or look == len(self.units):
                return [self._find(run) for run in runs[:count]]
            look *= 4

    def _find(self, run: Run) -> Find:
        rows = run.past_row - run.first_row
        return Find(self.ids[run.video], run.first_row, rows, run.start_s, run.end_s, run.score)


def open_index(
    folder: Path, store: FeatureStore, queries: Tensor, settings: SearchSettings
) -> tuple[SearchIndex, bool]:
    """Opens an index, and makes it if it is not there, with some queries to measure it; says whether it did.

    Raises:
        FeatxError: If FAISS is not installed, the folder is no index, or it was made of something else.
    """
    faiss = _import_faiss()
    made = not folder.exists()
    if made:
        make_index(folder, store, queries, settings)
    try:
        content = json.loads((folder / HEADER_FILE).read_text(encoding="utf-8"))
        header = IndexHeader.model_validate(content)
    except (OSError, ValueError, ValidationError) as error:
        raise FeatxError(
            f"--index {folder}: not an index of featx search ({str(error).splitlines()[0]}); give a folder that does not "
            "exist, and one is made there"
        ) from error
    _check(header, folder, store, settings)
    try:
        # Mapped, so that only the cells that are looked at are read.
        index = faiss.read_index(str(folder / INDEX_FILE), faiss.IO_FLAG_MMAP)
        with np.load(folder / UNITS_FILE) as arrays:
            units = Units(**arrays)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise FeatxError(f"--index {folder}: damaged ({reason}); remove it to have it made again") from error
    return SearchIndex(header, index, units, store.index.ids), made


def make_index(folder: Path, store: FeatureStore, queries: Tensor, settings: SearchSettings) -> None:
    """Makes an index of a whole store and measures what it finds.

    Inverted lists with half-precision vectors (FAISS: ``IVF…,SQfp16``, inner product), 2 sqrt(M) cells for M units.

    Raises:
        FeatxError: If FAISS is not installed, or the folder cannot be written.
    """
    faiss = _import_faiss()
    began = time.monotonic()
    scans = list(open_scans(store, settings))
    units = _of_store(scans, store)
    count, width = len(units), store.header.fingerprint.width
    cells = max(1, min(round(2 * math.sqrt(count)), count // VECTORS_A_CELL))
    rng = np.random.default_rng(0)
    sample = np.sort(rng.choice(count, min(count, VECTORS_A_CELL * cells), replace=False))
    index = faiss.index_factory(width, f"IVF{cells},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.train(_vectors(scans, sample))
    for scan in scans:
        for block in scan.vectors():
            index.add((block.vectors * block.scale[:, None]).numpy())
    made_in_s = time.monotonic() - began
    asked = np.sort(rng.choice(count, min(count, RECALL_QUERIES), replace=False))
    header = IndexHeader(
        fingerprint=store.header.fingerprint,
        shards=_shards_of(store),
        level=settings.level,
        windows=settings.windows if settings.level == "moments" else [],
        units=count,
        cells=cells,
        made_in_s=made_in_s,
        recall=_recall(index, scans, _vectors(scans, asked), cells, settings.probe),
        recall_queries=len(asked),
        recall_asked=_recall(index, scans, queries.numpy(), cells, settings.probe),
        asked=len(queries),
    )
    _write(folder, index, units, header)


def _write(folder: Path, index: Any, units: Units, header: IndexHeader) -> None:
    import faiss

    partial = folder.with_name(folder.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        faiss.write_index(index, str(partial / INDEX_FILE))
        np.savez(partial / UNITS_FILE, **vars(units))
        write_atomically(partial / HEADER_FILE, header.model_dump_json(indent=2).encode())
        sync_tree(partial)
        partial.rename(folder)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise FeatxError(f"--index {folder}: cannot write it ({str(error).splitlines()[0]})") from error


def _recall(index: Any, scans: list[Scan], queries: np.ndarray, cells: int, probe: int) -> dict[int, float]:
    """Returns the share of the exact best that is found, by cells looked at."""
    exact, first = [], 0
    for scan in scans:
        scores = torch.from_numpy(scan.scores(torch.from_numpy(queries)))  # (Q, M)
        best = scores.topk(min(RECALL_AT, scores.shape[1]), dim=1)
        exact.append((best.values, best.indices + first))
        first += len(scan.units)
    values = torch.cat([values for values, _ in exact], dim=1)
    numbers = torch.cat([numbers for _, numbers in exact], dim=1)
    best_exact = numbers.gather(1, values.topk(min(RECALL_AT, values.shape[1]), dim=1).indices).numpy()
    recall = {}
    for some in sorted({min(probe, cells) for probe in (1, 4, 16, 64, 256, probe)}):
        index.nprobe = some
        _, found = index.search(queries, best_exact.shape[1])
        hits = sum(len(np.intersect1d(one, other)) for one, other in zip(found, best_exact, strict=True))
        recall[some] = hits / best_exact.size
    return recall


def _of_store(scans: list[Scan], store: FeatureStore) -> Units:
    """Returns the units of all stretches: videos as numbers in the store, rows counted from the video's first."""
    parts = []
    for scan in scans:
        units, offsets = scan.units, scan.stretch.offsets
        first_video = store.index.number_of[scan.stretch.ids[0]]
        rows_from = units.first_row - offsets[units.video]
        parts.append([units.video + first_video, rows_from, units.rows, units.start_s, units.end_s])
    return Units(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _choose(units: Units, numbers: np.ndarray) -> Units:
    return Units(**{name: column[numbers] for name, column in vars(units).items()})


def _vectors(scans: list[Scan], numbers: np.ndarray) -> np.ndarray:
    """Returns (B, D) features of unit length of some units, ``numbers`` (B,) ascending over all stretches."""
    found, first = [], 0
    for scan in scans:
        for block in scan.vectors():
            begin = first + block.first
            some = numbers[
                np.searchsorted(numbers, begin) : np.searchsorted(numbers, begin + len(block.scale))
            ]
            rows = torch.from_numpy(some - begin)
            found.append((block.vectors[rows] * block.scale[rows, None]).numpy())
        first += len(scan.units)
    return np.concatenate(found)


def _shards_of(store: FeatureStore) -> dict[str, str]:
    # Also those without videos: they may say that videos of others are no longer read.
    return {shard.name: checksum_in(record_path(store.path, shard.name)) for shard in store.index.shards}


def _check(header: IndexHeader, folder: Path, store: FeatureStore, settings: SearchSettings) -> None:
    wanted = settings.windows if settings.level == "moments" else []
    if (header.level, header.windows) != (settings.level, wanted):
        made = f"--level {header.level}" + (f" --windows {_listed(header.windows)}" if header.windows else "")
        raise FeatxError(f"--index {folder}: made with {made}; give that too, or another folder")
    again = "remove it to have it made again, or give another folder"
    differences = header.fingerprint.differences(store.header.fingerprint)
    if differences:
        raise FeatxError(f"--index {folder}: made of other features ({'; '.join(differences)}); {again}")
    now = _shards_of(store)
    if now != header.shards:
        new, gone = len(now.items() - header.shards.items()), len(header.shards.items() - now.items())
        raise FeatxError(
            f"--index {folder}: {store.path} has changed since it was made (shards: {new} new, {gone} gone); {again}"
        )


def _listed(numbers: list[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise FeatxError("--index: needs FAISS: pip install 'featx[search]'") from error
    return faiss
