"""One call of `featx search`, from the store and the queries to answers and notes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from featx.devices import choose_device
from featx.errors import FeatxError
from featx.features.dataset import check_fingerprint, load_model_of
from featx.store.reader import FeatureStore
from featx.store.writing.lock import is_being_written

from ..run.runs import AdapterRun, open_run
from .answers import Answer
from .exact.search import Hit, above
from .exact.settings import SearchSettings
from .exact.spread import search_spread
from .places import Place, places_of
from .queries import Queries, encode_images, encode_texts
from .rerank import rerank
from .speed import Speed


@dataclass(frozen=True)
class SearchSetup:
    """What is searched, and how.

    Attributes:
        store: Features.
        run: The adapter; None for CLIP alone.
        settings: Of the command.
        device: Where to compute.
    """

    store: FeatureStore
    run: AdapterRun | None
    settings: SearchSettings
    device: str

    def reranks(self, queries: Queries) -> bool:
        """Tells whether an adapter's temporal model looks at the hits of some texts again."""
        learned_over_time = self.run is not None and self.run.adapter.temporal is not None
        wanted = self.settings.rerank > 0 and self.settings.level != "frames"
        return learned_over_time and wanted and bool(queries.texts)


@dataclass(frozen=True)
class SearchResult:
    """Answers, and what has to be said about them."""

    title: str
    answers: list[Answer]
    notes: list[str]
    speed: Speed
    places: dict[str, Place]


def run_search(
    given: Path | FeatureStore, queries: Queries, settings: SearchSettings, sheet: Path | None = None
) -> SearchResult:
    """Searches a store.

    Args:
        given: The store, or its folder.
        queries: What is looked for.
        settings: How.
        sheet: Contact sheet to write.

    Raises:
        FeatxError: If a setting does not fit the store or another setting, or something cannot be read.
    """
    _check_settings(settings)
    device = choose_device(settings.device)
    path = given.path if isinstance(given, FeatureStore) else given
    # before the store is opened: what is committed meanwhile is searched too
    written = is_being_written(path)
    store = given if isinstance(given, FeatureStore) else FeatureStore(path)
    setup = SearchSetup(store, _open_adapter(store, settings), settings, device)
    features, truncated = _encode(queries, setup)
    reranks = setup.reranks(queries)
    count = max(settings.top, settings.rerank) if reranks else settings.top
    notes = [_scope(store, settings, written)]
    began = time.perf_counter()
    if settings.index is not None:
        found, said = _search_index(settings.index, store, features, count, settings)
        notes.append(said)
    else:
        found = search_spread(store, features, count, settings)
    speed = _speed(store, settings, time.perf_counter() - began, len(queries))
    if reranks:
        texts = len(queries.texts)  # pictures are compared with frames as they are
        ranked, said = _rerank(found[:texts], features[:texts], setup)
        found = ranked + found[texts:]
        notes.append(said)
    if truncated:
        notes.append(
            f"{len(truncated)} of {len(queries.texts)} queries are longer than CLIP's 77 tokens and were cut at the end"
        )
    answers = [
        Answer(name, above(hits[: settings.top], settings.min_score), name in truncated)
        for name, hits in zip(queries.names, found, strict=True)
    ]
    places = places_of(store, [hit.video for answer in answers for hit in answer.hits], settings)
    if settings.min_score is not None:
        notes.append(_left_out(found, answers, settings))
    title = f"{settings.level.capitalize()} of {path}"
    if sheet is not None:
        notes += _write_sheet(sheet, title, store, answers, settings)
    return SearchResult(title, answers, notes, speed, places)


def _left_out(found: list[list[Hit]], answers: list[Answer], settings: SearchSettings) -> str:
    best = sum(len(hits[: settings.top]) for hits in found)
    kept = sum(len(answer.hits) for answer in answers)
    return (
        f"{best - kept} of the {best} best results are below --min-score {settings.min_score:g} and left out"
    )


def _check_settings(settings: SearchSettings) -> None:
    if settings.video and settings.level == "videos":
        raise FeatxError("--level videos: finds whole videos; take moments or frames with --video")
    if settings.index is not None and (settings.processes > 1 or settings.engine != "local"):
        raise FeatxError(
            f"--index {settings.index}: is searched by one process; leave out --processes and --engine, or --index"
        )
    if settings.video and settings.index is not None:
        raise FeatxError(f"--index {settings.index}: is of the whole store; leave it out with --video")


def _open_adapter(store: FeatureStore, settings: SearchSettings) -> AdapterRun | None:
    if settings.adapter is None:
        return None
    run = open_run(settings.adapter, settings.trust_code, settings.model)
    if not isinstance(run, AdapterRun):
        raise FeatxError(
            f"--adapter {settings.adapter}: a baseline; take a run of featx train, or leave it out"
        )
    check_fingerprint(run.header.fingerprint, store, run.file)
    return run


def _encode(queries: Queries, setup: SearchSetup) -> tuple[Tensor, list[str]]:
    """Returns (Q, D) features of unit length, and the texts that had to be cut.

    Raises:
        FeatxError: If a picture cannot be read, CLIP is not the one of the store, or a feature is not finite.
    """
    store, run, settings, device = setup.store, setup.run, setup.settings, setup.device
    loaded = load_model_of(store, settings.model)
    features: list[Tensor] = []
    truncated: list[str] = []
    if queries.texts:
        texts, truncated = encode_texts(queries.texts, loaded, run.adapter if run else None, device)
        features.append(texts)
    if queries.images:
        features.append(encode_images(queries.images, loaded, store.header.fingerprint, device))
    together = torch.cat(features)
    if not torch.isfinite(together).all():  # cosines with them would be no numbers, and their order chance
        raise FeatxError(
            f"{settings.adapter or store.path}: its CLIP gives features of QUERY that are not finite"
        )
    return together, truncated


def _search_index(
    folder: Path, store: FeatureStore, queries: Tensor, count: int, settings: SearchSettings
) -> tuple[list[list[Hit]], str]:
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


def _rerank(found: list[list[Hit]], texts: Tensor, setup: SearchSetup) -> tuple[list[list[Hit]], str]:
    """Re-ranks the best hits of each text, and says so."""
    assert setup.run is not None
    store, settings = setup.store, setup.settings
    best = [hits[: settings.rerank] for hits in found]
    rest = [hits[settings.rerank :] for hits in found]
    ranked = rerank(best, texts, setup.run, store, settings.clips, setup.device)
    said = (
        f"the {settings.rerank} best by the mean of their frames were scored again with the adapter's temporal "
        f"model ({settings.clips} clips each); --rerank sets how many"
    )
    return [one + other for one, other in zip(ranked, rest, strict=True)], said


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

    hits = list(dict.fromkeys(hit for answer in answers for hit in answer.hits))
    pictured = take_pictures(store, hits, settings)
    write_sheet(sheet, title, answers, pictured)
    return [*pictured.problems, f"{sheet}: {len(hits)} hits with their pictures"]
