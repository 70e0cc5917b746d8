"""Scoring retrieval: the captions of a split against its videos, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.devices import choose_device
from featx.errors import FeatxError
from featx.features.dataset import CaptionedVideos, check_fingerprint, list_captioned
from featx.manifest.videos import Manifest, read_manifest
from featx.metrics.hubness import dual_softmax, query_bank
from featx.metrics.retrieval import Corpus, Scoring, corpus, plain, retrieval_metrics
from featx.model.adapter_config import TEMPERATURE
from featx.scoring.compose import Measurement, ScoredData, results_of
from featx.scoring.results import Results, Retrieval, Videos
from featx.store.reader import FeatureStore

from ..run.eval_setup import made_with, scored_model
from ..run.runs import AdapterRun, BaselineRun, open_run
from ..run.settings import RetrieveSettings

BANK_SIZE = 5_000  # captions, and videos, that a query bank is drawn of


@dataclass(frozen=True)
class RetrievalSetup:
    """A run and what it is to be scored on, read and checked."""

    run: AdapterRun | BaselineRun
    store: FeatureStore
    manifest: Manifest
    videos: CaptionedVideos
    settings: RetrieveSettings


def evaluate_retrieval(folder: Path, settings: RetrieveSettings) -> list[Results]:
    """Scores one run.

    Returns:
        The results of plain scores, then those of each way in ``settings.normalise``.

    Raises:
        FeatxError: If run, store and manifest do not belong together.
    """
    setup = prepare(folder, settings)
    texts, videos = features(setup, setup.videos)
    of = corpus(texts, videos, setup.videos.text_of, setup.videos.video_of)
    model = scored_model(setup.run, folder, settings)
    data = ScoredData(
        store=setup.store,
        manifest=setup.manifest,
        split=settings.split,
        clips=settings.clips,
        classes=0,
        truncated_texts=setup.run.truncated({text: text for text in setup.videos.texts}),
    )
    all_results = [results_of("retrieval", model, data, _measure(setup, of, plain(of), ""))]
    for way in settings.normalise:
        scoring = (
            dual_softmax(of, TEMPERATURE) if way == "dual-softmax" else query_bank(of, *draw_bank(setup))
        )
        all_results.append(results_of("retrieval", model, data, _measure(setup, of, scoring, way), way))
    return all_results


def prepare(folder: Path, settings: RetrieveSettings) -> RetrievalSetup:
    """Reads everything that scoring a run needs; see `evaluate_retrieval`."""
    run = open_run(folder, settings.trust_code, settings.model)
    store = FeatureStore(settings.store or made_with(run, "store", folder))
    manifest = read_manifest(settings.manifest or made_with(run, "manifest", folder))
    check_fingerprint(run.header.fingerprint, store, run.file)
    return RetrievalSetup(run, store, manifest, list_captioned(store, manifest, settings.split), settings)


def features(setup: RetrievalSetup, videos: CaptionedVideos) -> tuple[np.ndarray, np.ndarray]:
    """Returns (C, D) features of the distinct sentences and (V, D) of the videos, of unit length."""
    device = choose_device(setup.settings.device)
    texts = setup.run.text({text: text for text in videos.texts}, setup.store, setup.settings, device)
    pooled = setup.run.pool(setup.store, videos, setup.settings)
    return texts.cpu().numpy(), pooled


def draw_bank(setup: RetrievalSetup) -> tuple[np.ndarray, np.ndarray]:
    """Returns features of sentences and videos of the bank's split, at most `BANK_SIZE` of each, drawn with a fixed seed.

    Raises:
        FeatxError: If the split is the one that is scored, or has no captioned video with features.
    """
    split = setup.settings.bank_split
    if split == setup.settings.split:
        raise FeatxError(f"--bank-split {split}: is scored; a query bank must be of another split")
    videos = list_captioned(setup.store, setup.manifest, split)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(videos))[:BANK_SIZE])
    captions = np.sort(rng.permutation(len(videos.texts))[:BANK_SIZE])
    bank = CaptionedVideos(
        [videos.ids[index] for index in chosen],
        [videos.stored[index] for index in chosen],
        videos.first_rows[chosen],
        videos.rows[chosen],
        videos.missing,
        [videos.texts[index] for index in captions],
        np.arange(len(captions)),
        np.zeros(len(captions), dtype=np.int64),
        videos.missing_captions,
    )
    return features(setup, bank)


def _measure(setup: RetrievalSetup, of: Corpus, scoring: Scoring, way: str) -> Measurement:
    videos, settings = setup.videos, setup.settings
    protocol = Retrieval(
        captions=len(videos.text_of),
        missing_captions=videos.missing_captions,
        repeated=videos.repeated,
        ties=settings.ties,
        bank_split=settings.bank_split if way == "query-bank" else None,
    )
    return Measurement(
        Videos(scored=len(videos), missing=videos.missing),
        retrieval_metrics(of, scoring, settings.ties),
        retrieval=protocol,
    )
