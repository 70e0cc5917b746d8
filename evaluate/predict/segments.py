"""Prediction of segments: the proposals of a detector in one's own videos, named by a localisation run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from featx.devices import choose_device
from featx.errors import FeatxError
from featx.features.dataset import check_fingerprint, rows_between
from featx.features.windows import Windows
from featx.localisation.detector import DETECTOR_FILE, load_detector
from featx.localisation.fuse import fuse
from featx.localisation.proposals_file import PROPOSAL_WEIGHT, TOP_CLASSES
from featx.localisation.propose import propose_video
from featx.localisation.selection import SelectionSettings
from featx.store.reader import FeatureStore

from ..run.runs import AdapterRun, BaselineRun
from ..run.settings import PredictSettings
from ..run.window_scores import window_scorer, with_background
from .classify import Prediction


def predict_segments(
    run: AdapterRun | BaselineRun,
    detector_run: Path,
    store: FeatureStore,
    ids: Sequence[str],
    classes: dict[str, str],
    settings: PredictSettings,
) -> Iterator[Prediction]:
    """Says what happens when: the ``settings.top`` best segments of each video, in the order of time.

    Args:
        run: What names segments.
        detector_run: Folder of a detector, or its file.
        store: Features.
        ids: Videos.
        classes: That compete, label to text.
        settings: How.

    Raises:
        FeatxError: If runs and store do not belong together, or the store does not know when rows are shown.
    """
    file = detector_run / DETECTOR_FILE if detector_run.is_dir() else detector_run
    detector, trained = load_detector(file)
    check_fingerprint(run.header.fingerprint, store, run.file)
    check_fingerprint(trained.fingerprint, store, file)
    known = {
        name: trained.settings[name] for name in SelectionSettings.model_fields if name in trained.settings
    }
    selection = SelectionSettings(**known)
    device = choose_device(settings.device)
    detector = detector.to(device)
    labels, score = list(classes), window_scorer(run, store, with_background(run, classes), settings)
    for video_id in ids:
        video = store[video_id]
        if not np.isfinite(video.pts).all():
            raise FeatxError(
                f"{store.path}: does not know when the rows of '{video_id}' are shown, which segments need; extract it with featx"
            )
        found = propose_video(detector, video.features, video.pts, selection, device)
        if not len(found):
            continue
        windows = Windows(found.start_s, found.end_s, *rows_between(video.pts, found.start_s, found.end_s))
        chances = score(video.features, windows)[:, : len(labels)]  # (P, C)
        index, label, fused = fuse(found.score, chances, PROPOSAL_WEIGHT, TOP_CLASSES)
        best = np.argsort(-fused, kind="stable")[: settings.top]
        for one in best[np.argsort(found.start_s[index[best]], kind="stable")]:
            at = index[one]
            said = [(labels[label[one]], float(fused[one]))]
            yield Prediction(video_id, float(found.start_s[at]), float(found.end_s[at]), said)
