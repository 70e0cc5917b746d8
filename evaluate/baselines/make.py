"""Making a baseline: what it learns from a split, or from each episode, and its results."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from featx.errors import FeatxError, nearest
from featx.features.dataset import LabelledVideos, list_labelled
from featx.features.mean_features import mean_features
from featx.files.atomic import read_list
from featx.manifest.videos import Manifest, read_manifest
from featx.model.adapter import ADAPTER_FILE
from featx.model.adapter_config import PLAIN_TEMPLATE
from featx.scoring.results import Method, Results
from featx.settings import MAY_CHANGE
from featx.store.reader import FeatureStore

from ..localisation.runs import evaluate as evaluate_localisation
from ..recognition.runs import evaluate
from ..retrieval.runs import evaluate_retrieval
from ..run.baseline_file import BASELINE_FILE, BaselineHeader, read_baseline, write_baseline
from ..run.baseline_methods import MOST_ITERATIONS, class_means, fit_linear
from ..run.runs import BaselineRun
from ..run.settings import ONLY_TO_LEARN, BaselineSettings, EvalSettings, LocaliseSettings, RetrieveSettings
from ..run.texts import PLACE, check_templates
from .few_shot import score_episodes

METHODS: tuple[Method, ...] = ("zero-shot", "linear-probe", "nearest-mean")


def check_method(method: str) -> Method:
    """Returns the method, if it is one.

    Raises:
        FeatxError: Naming the methods.
    """
    for known in METHODS:
        if method == known:
            return known
    raise FeatxError(f"{method}: must be one of {', '.join(METHODS)}{nearest(method, METHODS)}")


def make_baseline(method: Method, run: Path, settings: BaselineSettings) -> tuple[Results, list[str]]:
    """Makes a baseline and scores it.

    Args:
        method: Which.
        run: Folder that it is written into, beside its results.
        settings: Of what and on what.

    Returns:
        The results, and notes for the user.

    Raises:
        FeatxError: If store and manifest do not belong together, or the folder holds another run.
    """
    store, manifest = FeatureStore(settings.store), read_manifest(settings.manifest)
    learns = method != "zero-shot" and settings.episodes is None and settings.task == "recognition"
    videos = list_labelled(store, manifest, settings.train_split) if learns else None
    header = BaselineHeader(
        method=method,
        task=settings.task,
        templates=read_templates(settings) if method == "zero-shot" else [],
        fingerprint=store.header.fingerprint,
        model_source=settings.model or store.header.model_source,
        classes={} if settings.task == "retrieval" else manifest.header.classes,
        data_set=manifest.header.name,
        learned_from=_digest(videos) if videos else "",
        settings=settings.model_dump(mode="json"),
    )
    if settings.task != "recognition" and (method != "zero-shot" or settings.episodes is not None):
        strange = method if method != "zero-shot" else "--episodes"
        raise FeatxError(f"--task {settings.task}: {strange} is for recognition; take zero-shot alone")
    if (settings.task == "localisation") != (settings.proposals is not None):
        raise FeatxError("--proposals: goes with --task localisation, which needs it")
    _check_folder(run, header)
    if method == "zero-shot":
        write_baseline(run, header, {})
    if settings.episodes is not None:
        subject = BaselineRun(run / BASELINE_FILE, header, {}, header.model_source)
        return score_episodes(subject, store, manifest, settings)
    notes: list[str] = []
    if videos is not None:
        tensors, notes = _learn(method, store, manifest, videos, settings)
        write_baseline(run, header, tensors)
    shared = {name: getattr(settings, name) for name in ("split", "clips", "model", "batch_size", "device")}
    shared |= {"store": settings.store, "manifest": settings.manifest}
    if settings.task == "retrieval":
        return evaluate_retrieval(run, RetrieveSettings(**shared))[0], notes
    if settings.task == "localisation":
        localised = evaluate_localisation(run, LocaliseSettings(proposals=str(settings.proposals), **shared))
        return localised.results, localised.notes
    return evaluate(run, EvalSettings(**shared)).results, notes


def read_templates(settings: BaselineSettings) -> list[str]:
    """Returns the templates that were given, or the one of an adapter without prompts.

    Raises:
        FeatxError: If they cannot be read, or one has no place for the class name.
    """
    file = settings.template_file
    if file is None:
        check_templates(settings.template, "--template")
        return settings.template or [PLACE if settings.task == "retrieval" else PLAIN_TEMPLATE]
    if settings.template:
        raise FeatxError("--template-file: leave it or --template out")
    templates = list(read_list(file, "--template-file", "template").values())
    check_templates(templates, str(file))
    return templates


def _learn(
    method: Method,
    store: FeatureStore,
    manifest: Manifest,
    videos: LabelledVideos,
    settings: BaselineSettings,
) -> tuple[dict[str, np.ndarray], list[str]]:
    features = mean_features(store, videos)
    notes = []
    if videos.missing:
        notes.append(f"{len(videos.missing)} videos of split '{settings.train_split}' have no features")
    if method == "nearest-mean":
        return {"means": class_means(features, videos.labels, manifest.labels)}, notes
    fitted = fit_linear(features, videos.labels, manifest.labels, settings.c)
    if not fitted.converged:
        notes.append(
            f"the linear probe had not converged after {MOST_ITERATIONS:,} iterations; a smaller --c may"
        )
    return {"weight": fitted.weight, "bias": fitted.bias}, notes


def _digest(videos: LabelledVideos) -> str:
    listed = [videos.ids, videos.labels.tolist(), videos.first_rows.tolist(), videos.rows.tolist()]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:12]


def _check_folder(run: Path, header: BaselineHeader) -> None:
    if (run / ADAPTER_FILE).exists():
        raise FeatxError(f"{run}: holds a run of featx train; choose another --to")
    if (run / BASELINE_FILE).exists():
        there, _ = read_baseline(run / BASELINE_FILE)
        ignored = BaselineSettings.marked(MAY_CHANGE)
        if header.method == "zero-shot":
            ignored |= BaselineSettings.marked(ONLY_TO_LEARN)
        named_now = [BaselineSettings.with_current_names(one.settings) for one in (there, header)]
        kept = [{k: v for k, v in one.items() if k not in ignored} for one in named_now]
        same = all(
            getattr(there, name) == getattr(header, name)
            for name in ("method", "task", "templates", "classes")
        )
        learned_other = there.learned_from not in ("", header.learned_from)  # "": of before
        if not same or learned_other or kept[0] != kept[1] or there.fingerprint != header.fingerprint:
            raise FeatxError(
                f"{run}: holds another baseline ({there.method}{', learned from other videos' if learned_other else ''}); choose another --to or delete it"
            )
