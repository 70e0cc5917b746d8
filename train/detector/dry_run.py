"""`featx train --task proposals --dry-run`: what a run would be, what a step costs, and everything that is missing for it."""

from __future__ import annotations

import json

import torch
from torch.utils.flop_counter import FlopCounterMode

from featx.localisation.detector import Detector
from featx.manifest.videos import Manifest, read_manifest
from featx.store.reader import FeatureStore

from ..adapter.cost import FLOAT_BYTES
from ..adapter.dry_run import DryRunReport
from ..adapter.inputs import choose_seen
from .inputs import list_videos
from .settings import ProposalSettings, config_of

USUAL_WIDTH = 512  # of ViT-B/16's features, where there is no store to ask


def dry_run_proposals(settings: ProposalSettings) -> DryRunReport:
    """Says what a run with these settings would be. Nothing is learned or written."""
    report = DryRunReport()
    for name, value in settings.model_dump(mode="json").items():
        report.lines.append(f"{name} = {json.dumps(value)}")
    store = report.attempt(lambda: FeatureStore(settings.store))
    whole = report.attempt(lambda: read_manifest(settings.manifest))
    manifest = report.attempt(lambda: choose_seen(whole, settings)) if whole else None
    if whole is None:
        lists = (settings.class_split, settings.seen_list)
        report.problems += [f"{file}: no such file" for file in lists if file and not file.is_file()]
    longest = settings.grid_steps or settings.longest
    if store and manifest:
        longest = _look_at_videos(settings, store, manifest, report) or longest
    else:
        report.lines.append(f"# without store and manifest the cost is that of {longest} steps a video")
    width = store.header.fingerprint.width if store else USUAL_WIDTH
    with torch.device("meta"):  # shapes only: counting costs nothing
        detector = Detector(config_of(settings), width)
        features = torch.zeros(settings.batch_size, longest, width)
        counter = FlopCounterMode(display=False)
        with counter:
            levels = detector(features, torch.ones(settings.batch_size, longest, dtype=torch.bool))
            sum(level.logits.sum() + level.distances.sum() for level in levels).backward()
    learned = detector.parameter_count()
    points = sum(-(-longest // stride) for stride in detector.config.strides)
    report.lines += [
        f"# {learned:,} learned parameters, {4 * learned * FLOAT_BYTES / 2**20:,.0f} MiB with gradient and moments",
        f"# a step of {settings.batch_size} videos of {longest} steps ({points} points): "
        f"{counter.get_total_flops() / 1e9:.1f} GFLOP",
    ]
    return report


def _look_at_videos(
    settings: ProposalSettings, store: FeatureStore, manifest: Manifest, report: DryRunReport
) -> int | None:
    """Notes how many videos there are; returns the steps of the longest training sequence."""
    found = report.attempt(lambda: list_videos(store, manifest, settings))
    if found is None:
        return None
    videos, missing, idle = found
    segments = sum(len(video.segments) for video in videos)
    report.lines.append(
        f"# {len(videos)} videos with {segments} segments; {len(missing)} without features in {store.path}, "
        f"{len(idle)} without segments"
    )
    steps = sorted(video.grid.steps for video in videos)
    report.lines.append(f"# steps of a video: {steps[0]} to {steps[-1]}, median {steps[len(steps) // 2]}")
    return min(steps[-1], settings.longest)
