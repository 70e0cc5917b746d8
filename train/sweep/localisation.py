"""Localisation within a sweep: proposals of the videos that are scored, and what they are worth once they are named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from featx.features.dataset import StoredParts, known_pts, present_videos, row_reader, timed_rows
from featx.localisation.detector import DETECTOR_FILE, Detector, load_detector
from featx.localisation.fuse import class_probabilities
from featx.localisation.named_proposals import choose_proposals, name_and_score, stored_truth
from featx.localisation.proposals_file import (
    PROPOSAL_WEIGHT,
    TOP_CLASSES,
    Proposals,
    ProposalsFile,
    ProposalsHeader,
    read_proposals,
    write_proposals,
)
from featx.localisation.propose import propose_rows
from featx.manifest.videos import Manifest, Video
from featx.model.adapter import Adapter
from featx.scoring.results import Videos
from featx.settings import gather

from ..adapter.inputs import SharedResources
from ..adapter.scoring import SplitScores
from ..adapter.settings import TrainSettings
from ..detector.learn import train_proposals
from ..detector.settings import ProposalSettings
from ..engine.ranks import Ranks
from ..engine.run_context import RunContext
from ..engine.run_identity import digest_of_videos
from .plan import SweepPlan

RULE = "official"
EVERYTHING = "all"  # name of the detector that has learned all classes


def score_localisation(
    adapter: Adapter,
    shared: SharedResources,
    asked: Manifest,
    settings: TrainSettings,
    plan: SweepPlan,
    context: RunContext,
) -> SplitScores:
    """Scores an adapter on the sweep's split as `featx eval` does.

    Args:
        adapter: What was learned.
        shared: What it was learned with.
        asked: Manifest of the classes that are scored.
        settings: Of the run.
        plan: Of the sweep: split and proposals.
        context: Of the sweep.

    Raises:
        FeatxError: If store, manifest and proposals do not belong together.
    """
    source, split, ranks = plan.proposals, plan.split, context.ranks
    truth, missing = stored_truth(shared.store, asked, split)
    videos = [asked.by_id[video_id] for video_id in truth.video_ids]
    given = source.given or str(_propose(plan, shared, settings, context))
    flag = "--test-proposals" if source.given else "--detector"
    proposals, _ = choose_proposals(given, flag, shared.store, truth)
    score = _scorer(adapter, shared, asked, videos, settings, ranks)
    named = name_and_score(videos, proposals, score, truth, given, flag, PROPOSAL_WEIGHT, TOP_CLASSES, RULE)
    return SplitScores(
        Videos(scored=len(videos), missing=missing), named.metrics, {"localisation": named.protocol}
    )


def _scorer(
    adapter: Adapter,
    shared: SharedResources,
    asked: Manifest,
    videos: list[Video],
    settings: TrainSettings,
    ranks: Ranks,
) -> Callable[[Video, np.ndarray, np.ndarray], np.ndarray]:
    adapter = adapter.to(ranks.device)
    with torch.no_grad():
        plan = adapter.plan(adapter.config.texts_of(asked.header.classes)).to(ranks.device)
        text = adapter.encode_texts(shared.tower(ranks.device), plan)  # (C, D)
    stored = list(dict.fromkeys(video.stored_id for video in videos))
    rows = np.array([shared.store.rows(one) for one in stored], dtype=np.int64)
    source = shared.source(StoredParts(stored, stored, np.zeros_like(rows), rows, []), settings, ranks)
    place = {video_id: index for index, video_id in enumerate(stored)}

    def score(video: Video, start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
        pts = known_pts(shared.store, video.stored_id, asked) - video.part_start_s
        number, sampling = place[video.stored_id], settings.clip_sampling
        return class_probabilities(adapter, text, source, number, pts, start_s, end_s, sampling)

    return score


def _propose(plan: SweepPlan, shared: SharedResources, settings: TrainSettings, context: RunContext) -> Path:
    """Returns the proposals file of a split, of a detector that has learned the same classes; makes both if need be."""
    recipe, split, ranks, say = plan.proposals.recipe, plan.split, context.ranks, context.say
    assert recipe is not None
    name = settings.class_split_name or EVERYTHING
    folder = context.folder / "detectors" / name
    file = folder / f"proposals-{split}.json"
    same = {
        key: getattr(settings, key)
        for key in ("store", "manifest", "class_split", "class_split_name", "device")
    }
    asked = gather(ProposalSettings, recipe, same, [])
    train_proposals(asked, folder, say=say)  # of a finished one it only checks the settings
    present, missing = present_videos(shared.store, shared.whole, split)
    made_of = {
        "detector": hashlib.sha256((folder / DETECTOR_FILE).read_bytes()).hexdigest(),
        "list of videos": digest_of_videos(present, shared.store),
    }
    if not file.exists() or read_proposals(file).header.settings != made_of:
        detector, header = load_detector(folder / DETECTOR_FILE)
        found = {
            video.id: _of_video(detector.to(ranks.device), shared, video, asked, ranks.device)
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
        say(f"{file}: proposals of {len(found)} videos")
    return file


def _of_video(
    detector: Detector, shared: SharedResources, video: Video, settings: ProposalSettings, device: str
) -> Proposals:
    first, pts = timed_rows(shared.store, shared.whole, video)
    return propose_rows(detector, row_reader(shared.store, video, first), pts, settings, device)
