"""One call of `featx search`, from the store and the queries to answers and notes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from featx.devices import choose_device
from featx.errors import FeatxError
from featx.features.dataset import check_fingerprint, load_clip_of
from featx.store.reader import FeatureStore
from featx.store.writing.lock import is_being_written

from ..run.runs import AdapterRun, open_run
from .exact.search import Find, open_scans, search_exactly
from .exact.settings import SearchSettings
from .output import Answer
from .queries import Queries, encode_images, encode_texts
from .rerank import rerank
from .speed import Speed


@dataclass(frozen=True)
class SearchResult:
    """Answers, and what has to be said about them."""

    title: str
    answers: list[Answer]
    notes: list[str]
    speed: Speed


def run_search(
    path: Path, asked: Queries, settings: SearchSettings, sheet: Path | None = None
) -> SearchResult:
    """Searches a store.

    Args:
        path: The store.
        asked: Queries.
        settings: How.
        sheet: Contact sheet to write.

    Raises:
        FeatxError: If a setting does not fit the store or another setting, or something cannot be read.
    """
    _check_settings(settings)
    device = choose_device(settings.device)
    written = is_being_written(
        path
    )  # before the store is opened: what is committed meanwhile is searched too
    store = FeatureStore(path)
    run = _open_adapter(store, settings)
    queries, truncated = _encode(asked, store, run, settings, device)
    reranks = run is not None and run.adapter.temporal is not None and settings.level != "frames"
    reranks = reranks and settings.rerank > 0 and bool(asked.texts)
    count = max(settings.top, settings.rerank) if reranks else settings.top
    notes = [_scope(store, settings, written)]
    began = time.perf_counter()
    if settings.index is not None:
        found, said = _search_index(settings.index, store, queries, count, settings)
        notes.append(said)
    else:
        found = search_exactly(open_scans(store, settings), queries, count, settings)
    speed = _speed(store, settings, time.perf_counter() - began, len(asked))
    if run is not None and reranks:
        found, said = _rerank(found, queries, asked, run, store, settings, device)
        notes.append(said)
    if truncated:
        notes.append(
            f"{len(truncated)} of {len(asked.texts)} queries are longer than CLIP's 77 tokens and were cut at the end"
        )
    answers = [
        Answer(name, finds[: settings.top], name in truncated)
        for name, finds in zip(asked.names, found, strict=True)
    ]
    title = f"{settings.level.capitalize()} of {path}"
    if sheet is not None:
        notes += _write_sheet(sheet, title, store, answers, settings)
    return SearchResult(title, answers, notes, speed)


def _check_settings(settings: SearchSettings) -> None:
    if settings.video and settings.level == "videos":
        raise FeatxError("--level videos: finds whole videos; take moments or frames with --video")
    if settings.video and settings.index is not None:
        raise FeatxError(f"--index {settings.index}: is of the whole store; leave it out with --video")


def _open_adapter(store: FeatureStore, settings: SearchSettings) -> AdapterRun | None:
    if settings.adapter is None:
        return None
    run = open_run(settings.adapter)
    if not isinstance(run, AdapterRun):
        raise FeatxError(
            f"--adapter {settings.adapter}: a baseline; take a run of featx train, or leave it out"
        )
    check_fingerprint(run.header.fingerprint, store, run.file)
    return run


def _encode(
    asked: Queries, store: FeatureStore, run: AdapterRun | None, settings: SearchSettings, device: str
) -> tuple[Tensor, list[str]]:
    """Returns (Q, D) features of unit length, and the texts that had to be cut."""
    loaded = load_clip_of(store, settings.model)
    features: list[Tensor] = []
    truncated: list[str] = []
    if asked.texts:
        texts, truncated = encode_texts(asked.texts, loaded, run.adapter if run else None, device)
        features.append(texts)
    if asked.images:
        features.append(encode_images(asked.images, loaded, store.header.fingerprint, device))
    queries = torch.cat(features)
    if not torch.isfinite(queries).all():  # cosines with them would be no numbers, and their order chance
        raise FeatxError(
            f"{settings.adapter or store.path}: its CLIP gives features of QUERY that are not finite"
        )
    return queries, truncated


def _search_index(
    folder: Path, store: FeatureStore, queries: Tensor, count: int, settings: SearchSettings
) -> tuple[list[list[Find]], str]:
    from .index.search import open_index

    index, done = open_index(folder, store, queries, settings)
    header = index.header
    cells = min(settings.probe, header.cells)

    def listed(recall: dict[int, float]) -> str:
        return ", ".join(f"{share:.1%} with --probe {probe}" for probe, share in recall.items())

    best = "exact 10 best" if header.recall_against == "an exact search" else "10 best in all its cells"
    said = (
        f"{folder}{f': {done}' if done else ''}: {header.units - index.dead:,} {header.level} in {header.cells:,} cells, "
        f"{cells} looked at; of the {best} of {header.recall_queries} of its own vectors it found "
        f"{listed(header.recall)}; of those of the {header.asked} queries that were asked when it was written "
        f"{listed(header.recall_asked)}"
    )
    if index.dead:
        said += (
            f"; {index.dead:,} more are of videos that have left the store: they are not found, and taken out when "
            "something is added or they are more than a third"
        )
    return index.search(queries, count, settings), said


def _rerank(
    found: list[list[Find]],
    queries: Tensor,
    asked: Queries,
    run: AdapterRun,
    store: FeatureStore,
    settings: SearchSettings,
    device: str,
) -> tuple[list[list[Find]], str]:
    """Re-ranks the finds of texts; pictures are compared with frames as they are."""
    texts = len(asked.texts)
    best = [finds[: settings.rerank] for finds in found[:texts]]
    rest = [finds[settings.rerank :] for finds in found[:texts]]
    ranked = rerank(best, queries[:texts], run, store, settings.clips, device)
    said = (
        f"the {settings.rerank} best by the mean of their frames were scored again with the adapter's temporal "
        f"Transformer ({settings.clips} clips each); --rerank sets how many"
    )
    return [one + other for one, other in zip(ranked, rest, strict=True)] + found[texts:], said


def _scope(store: FeatureStore, settings: SearchSettings, written: bool) -> str:
    if settings.video:
        return f"{len(set(settings.video))} of {len(store):,} videos were searched"
    said = f"{len(store):,} videos, {int(store.index.rows.sum()):,} rows were searched"
    if written:
        said += f"; {store.path} is being written: these are what was committed so far"
    return said


def _speed(store: FeatureStore, settings: SearchSettings, wall_s: float, queries: int) -> Speed:
    rows = sum(len(stretch) for stretch in store.stretches(list(dict.fromkeys(settings.video)) or None))
    fingerprint = store.header.fingerprint
    row_bytes = fingerprint.width * (2 if fingerprint.dtype == "float16" else 4)
    return Speed(rows, rows * row_bytes, wall_s, queries)


def _write_sheet(
    sheet: Path, title: str, store: FeatureStore, answers: list[Answer], settings: SearchSettings
) -> list[str]:
    from .contact_sheet import write_sheet
    from .pictures import take_pictures

    finds = list(dict.fromkeys(find for answer in answers for find in answer.finds))
    pictured = take_pictures(store, finds, settings)
    write_sheet(sheet, title, answers, pictured)
    return [*pictured.problems, f"{sheet}: {len(finds)} finds with their pictures"]
