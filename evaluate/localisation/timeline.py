"""The timeline of one video of a localisation run: from what was scored to what is drawn."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from featx.errors import FeatxError, nearest
from featx.features.dataset import known_pts
from featx.features.video_ends import lengths_of
from featx.features.windows import end_of, slide
from featx.files.atomic import write_atomically
from featx.manifest.videos import Video
from featx.video.stills import NoPicture, decode_still

from ..report.timeline_drawing import FRAME_HEIGHT, Bar, Curve, Timeline, draw_timeline
from ..run.eval_setup import EvalSetup
from ..run.settings import LocaliseSettings
from ..run.window_scores import window_scorer, with_background
from .runs import Localised, score_spans

WINDOWS = 60  # of the class scores, over a video
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 1.0, 8.0
FRAMES, PROPOSALS, CURVES = 10, 30, 8


def write_timelines(
    run: Path, localised: Localised, ids: list[str], suffix: str, settings: LocaliseSettings
) -> list[str]:
    """Draws videos into ``RUN/timelines/`` and returns what a user should know: the files, and frames that lack.

    Args:
        run: Folder of the run.
        localised: What was scored.
        ids: Videos of the split.
        suffix: ``.png`` or ``.svg``.
        settings: Of the command.

    Raises:
        FeatxError: If a video was not scored, or a file cannot be written.
    """
    by_id = {video.id: video for video in localised.split.videos}
    for video_id in ids:
        if video_id not in by_id:
            raise FeatxError(f"--timeline {video_id}: was not scored{nearest(video_id, by_id)}")
    notes = []
    for video_id in ids:
        timeline, lacking = timeline_of(localised, by_id[video_id], settings)
        name = re.sub(r"[^\w.=+-]+", "_", video_id)
        file = run / "timelines" / f"{name}{suffix}"
        write_atomically(file, draw_timeline(timeline, suffix))
        notes.append(f"timeline: {file}")
        notes += [f"timeline of {video_id}: {lacking}"] if lacking else []
    return notes


def timeline_of(localised: Localised, video: Video, settings: LocaliseSettings) -> tuple[Timeline, str]:
    """Returns what is known of a video, and why frames are missing if they are."""
    setup = localised.setup
    pts = known_pts(setup.store, video.stored_id, setup.manifest) - video.part_start_s
    (length_s,) = lengths_of(setup.store, [video.stored_id]).tolist()
    start_s, end_s = float(pts[0]), end_of(pts, length_s)
    if video.part_of is not None:
        start_s, end_s = max(start_s, 0.0), min(end_s, video.part_end_s - video.part_start_s)
    texts = setup.manifest.header.classes
    annotated = [Bar(one.start_s, one.end_s, one.label, 1.0, texts[one.label]) for one in video.segments]
    tracks = {"annotated": annotated, "detections": _best_detections(localised, video)}
    if video.ambiguous:
        tracks["ambiguous"] = [Bar(one.start_s, one.end_s) for one in video.ambiguous]
    found = localised.proposals.get(video.id)
    best = found.choose(np.arange(min(len(found), PROPOSALS))) if found is not None else None
    if best is not None:
        strongest = max(float(best.score.max(initial=0.0)), 1e-9)
        tracks["proposals"] = [
            Bar(start_s, end_s, None, 0.15 + 0.85 * score / strongest)
            for start_s, end_s, score in zip(best.start_s, best.end_s, best.score, strict=True)
        ]
    frames, lacking = _frames(setup, video, start_s, end_s)
    if beyond := [one for one in video.segments if one.start_s < start_s - 1e-3 or one.end_s > end_s + 1e-3]:
        said = f"{len(beyond)} of {len(video.segments)} annotated segments reach beyond the video and are cut there"
        lacking = f"{lacking}; {said}" if lacking else said
    title = f"{video.id}, {end_s - start_s:.1f} s"
    curves = _curves(localised, video, pts, settings)
    return Timeline(title, start_s, end_s, tracks, curves, frames), lacking


def _best_detections(localised: Localised, video: Video) -> list[Bar]:
    """Returns as many detections as there are instances (at least three), the best of each proposal."""
    scored = localised.scored
    found = scored.detections
    own = np.flatnonzero(found.videos == localised.split.videos.index(video))
    own = own[np.argsort(-found.score[own], kind="stable")]
    bars: list[Bar] = []
    spans = set()
    for index in own:
        span = (float(found.start_s[index]), float(found.end_s[index]))
        if span in spans:
            continue  # a further class of the same proposal
        spans.add(span)
        label, score = scored.truth.labels[found.labels[index]], float(found.score[index])
        words = f"{localised.setup.manifest.header.classes[label]} {score:.2f}"
        bars.append(Bar(*span, label, 0.25 + 0.75 * min(score, 1.0), words))
        if len(bars) == max(len(video.segments), 3):
            break
    return bars


def _curves(localised: Localised, video: Video, pts: np.ndarray, settings: LocaliseSettings) -> list[Curve]:
    """Returns class probabilities of sliding windows: of the annotated classes, and of those that reach highest."""
    setup = localised.setup
    window_s = float(np.clip((end_of(pts) - pts[0]) / WINDOWS, SHORTEST_WINDOW_S, LONGEST_WINDOW_S))
    windows = slide(pts, window_s, window_s / 2)
    classes = with_background(setup.run, setup.manifest.header.classes)
    score = window_scorer(setup.run, setup.store, classes, settings)
    chances = score_spans(score, setup.store, setup.manifest, video, windows.start_s, windows.end_s)
    labels = setup.manifest.labels
    annotated = dict.fromkeys(one.label for one in video.segments)
    highest = [labels[index] for index in np.argsort(-chances[:, : len(labels)].max(axis=0), kind="stable")]
    middles = ((windows.start_s + windows.end_s) / 2).tolist()
    chosen = list(dict.fromkeys([*annotated, *highest]))[: max(CURVES, len(annotated))]
    return [Curve(label, middles, chances[:, labels.index(label)].tolist()) for label in chosen]


def _frames(
    setup: EvalSetup, video: Video, start_s: float, end_s: float
) -> tuple[list[tuple[float, Image.Image]], str]:
    file = setup.manifest.root / video.path
    if not file.is_file():
        return [], f"no frames, {file} is not there"
    frames, lacking = [], ""
    for time_s in (start_s + (np.arange(FRAMES) + 0.5) * (end_s - start_s) / FRAMES).tolist():
        try:
            of_file_s = time_s + video.part_start_s
            pixels = decode_still(file, of_file_s, 2 * FRAME_HEIGHT, setup.store.header.file_times)
        except NoPicture as error:
            lacking = f"no frame at {time_s:.1f} s ({error})"
            continue
        frames.append((time_s, Image.fromarray(pixels)))
    return frames, lacking
