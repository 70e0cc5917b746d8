"""Localisation within a sweep: proposals of the videos that are scored, and what they are worth once they are named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from featx.features.dataset import StoredParts, known_pts, present_videos, row_reader, timed_rows
from featx.localisation.detector import DETECTOR_FILE, Detector, load_detector
from featx.localisation.fuse import class_probabilities
from featx.localisation.named_proposals import (
    DetectionRules,
    SpanScorer,
    choose_proposals,
    name_and_score,
    open_split,
)
from featx.localisation.proposals_file import (
    Proposals,
    ProposalsFile,
    ProposalsHeader,
    read_proposals,
    write_proposals,
)
from featx.localisation.propose import propose_rows
from featx.manifest.videos import Manifest, Video
from featx.model.adapter import Adapter
from featx.scoring.compose import Measurement
from featx.settings import gather

from ..adapter.inputs import SharedResources
from ..adapter.settings import TrainSettings
from ..detector.learn import train_proposals
from ..detector.settings import ProposalSettings
from ..engine.run_context import RunContext
from ..engine.run_identity import digest_of_videos
from .plan import SweepPlan

EVERYTHING = "all"  # name of the detector that has learned all classes


@dataclass(frozen=True)
class SweepSetup:
    """What the runs of a sweep share.

    Attributes:
        shared: What they are learned and scored with; its manifest has the classes that are learned.
        plan: Of the sweep.
        context: The sweep's folder, this process, and where lines for the user go.
    """

    shared: SharedResources
    plan: SweepPlan
    context: RunContext


def score_localisation(
    adapter: Adapter, manifest: Manifest, settings: TrainSettings, setup: SweepSetup
) -> Measurement:
    """Scores an adapter on a split as `featx eval` does.

    Args:
        adapter: What was learned.
        manifest: Of the classes that are scored.
        settings: Of the run.
        setup: On what it is scored.

    Raises:
        FeatxError: If store, manifest and proposals do not belong together.
    """
    split = open_split(setup.shared.store, manifest, setup.plan.split)
    given = setup.plan.proposals.given
    file, flag = (given, "--test-proposals") if given else (str(_propose(setup, settings)), "--detector")
    proposals = choose_proposals(file, flag, split)
    score = _scorer(adapter, manifest, split.videos, settings, setup)
    return name_and_score(split, proposals, score, DetectionRules()).measured


def _scorer(
    adapter: Adapter, manifest: Manifest, videos: list[Video], settings: TrainSettings, setup: SweepSetup
) -> SpanScorer:
    shared, ranks = setup.shared, setup.context.ranks
    adapter = adapter.to(ranks.device)
    with torch.no_grad():
        tower = shared.tower(ranks.device)
        plan = adapter.plan(tower.format, adapter.config.texts_of(manifest.header.classes)).to(ranks.device)
        text = adapter.encode_texts(tower, plan)  # (C, D)
    stored = list(dict.fromkeys(video.stored_id for video in videos))
    rows = np.array([shared.store.rows(one) for one in stored], dtype=np.int64)
    source = shared.source(StoredParts(stored, stored, np.zeros_like(rows), rows, []), settings, ranks)
    place = {video_id: index for index, video_id in enumerate(stored)}

    def score(video: Video, start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
        pts = known_pts(shared.store, video.stored_id, manifest) - video.part_start_s
        number, sampling = place[video.stored_id], settings.clip_sampling
        return class_probabilities(adapter, text, source, number, pts, start_s, end_s, sampling)

    return score


def _propose(setup: SweepSetup, settings: TrainSettings) -> Path:
    """Returns the proposals file of a split, of a detector that has learned the same classes; makes both if need be."""
    shared, context = setup.shared, setup.context
    recipe, split, ranks = setup.plan.proposals.recipe, setup.plan.split, context.ranks
    assert recipe is not None
    name = settings.class_split_name or EVERYTHING
    folder = context.folder / "detectors" / name
    file = folder / f"proposals-{split}.json"
    same = {
        key: getattr(settings, key)
        for key in ("store", "manifest", "class_split", "class_split_name", "device")
    }
    learned = gather(ProposalSettings, recipe, same, [])
    train_proposals(learned, folder, say=context.say)  # of a finished one it only checks the settings
    present, missing = present_videos(shared.store, shared.whole, split)
    made_of = {
        "detector": hashlib.sha256((folder / DETECTOR_FILE).read_bytes()).hexdigest(),
        "list of videos": digest_of_videos(present, shared.store),
    }
    if not file.exists() or read_proposals(file).header.settings != made_of:
        detector, header = load_detector(folder / DETECTOR_FILE)
        found = {
            video.id: _of_video(detector.to(ranks.device), shared, video, learned, ranks.device)
            for video in present
        }
        about = ProposalsHeader(
            made_by=str(folder),
            data_set=shared.whole.header.name,
            split=split,
            fingerprint=header.fingerprint,
            settings=made_of,
            missing=missing,
        )
        write_proposals(file, ProposalsFile(about, found))
        context.say(f"{file}: proposals of {len(found)} videos")
    return file


def _of_video(
    detector: Detector, shared: SharedResources, video: Video, settings: ProposalSettings, device: str
) -> Proposals:
    first, pts = timed_rows(shared.store, shared.whole, video)
    return propose_rows(detector, row_reader(shared.store, video, first), pts, settings, device)
