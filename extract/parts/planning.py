"""Dividing videos into parts of about the same number of frames."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from featx.errors import FeatxError
from featx.store.backends.open import open_backend
from featx.store.parts.plan import Plan, PlannedVideo, make_plan
from featx.store.source_files import state_of

from ..decoding.decode import count_packets
from ..decoding.ffmpeg_args import DecodeOptions
from ..decoding.video_errors import DecodeError
from ..plan.settings import ExtractSettings
from ..plan.videos import FoundVideos, find_videos
from .settings import settings_of_plan

SAMPLE = 16  # files whose frames are counted, to know how many bytes a frame takes
BYTES_A_FRAME = 5_000.0  # where none of them can be read
SEED = 0


@dataclass(frozen=True)
class Planned:
    """What a plan came to.

    Attributes:
        plan: The plan of the store.
        is_new: Whether it was made now.
        frames: About how many frames there are.
        left_out: What was not looked at in the folders, as lines for the user.
    """

    plan: Plan
    is_new: bool
    frames: int
    left_out: list[str]


def plan_store(inputs: list[Path], to: str, settings: ExtractSettings, part_frames: int) -> Planned:
    """Makes the plan of a store, or finds the one that it has.

    Args:
        inputs: Folders, video files or manifests.
        to: Folder or URL of the store.
        settings: What the features are.
        part_frames: About how many frames a part has.

    Raises:
        FeatxError: If an input is not there, or the store has a plan of other videos or settings.
    """
    backend = open_backend(to)
    found = find_videos(inputs, settings.follow_links, settings.hidden, settings.also)
    videos = planned_videos(found)
    bytes_a_frame = measure_bytes_a_frame([video for video in videos if not video.refused])
    parts = divide(videos, bytes_a_frame, part_frames)
    plan, is_new = make_plan(backend, parts, settings_of_plan(settings))
    if not is_new and (plan.videos, plan.settings) != (len(videos), settings_of_plan(settings)):
        differing = [
            f"{name}: {value}, not {plan.settings.get(name)}"
            for name, value in settings_of_plan(settings).items()
            if plan.settings.get(name) != value
        ]
        if plan.videos != len(videos):
            differing.append(f"{len(videos)} videos, not {plan.videos}")
        raise FeatxError(
            f"{to}: has a plan of other content ({'; '.join(differing)}); a plan never changes. When it is done, featx "
            "extract adds new videos; or choose another --to"
        )
    frames = round(sum(video.size_bytes or 0 for video in videos) / bytes_a_frame)
    return Planned(plan, is_new, frames, found.left_out)


def planned_videos(found: FoundVideos) -> list[PlannedVideo]:
    """Returns all videos that were found, those too that must not be opened: they fail with their part."""
    videos = []
    for video in found.videos:
        state = state_of(video.path)
        path = str(video.path.absolute())
        videos.append(
            PlannedVideo(video.id, path, video.root, video.below, state.size_bytes if state else None)
        )
    refused = [
        PlannedVideo(one.id, one.path, one.root, one.path, one.size_bytes, one.error) for one in found.refused
    ]
    return videos + refused


def measure_bytes_a_frame(videos: Sequence[PlannedVideo]) -> float:
    """Returns how many bytes of a file a frame takes: the median of some files, from the smallest to the largest."""
    by_size = sorted(videos, key=lambda video: (video.size_bytes or 0, video.id))
    step = max(len(by_size) // SAMPLE, 1)
    found = []
    for video in by_size[::step][:SAMPLE]:
        try:
            frames = count_packets(Path(video.path), DecodeOptions())
        except DecodeError:
            continue
        if frames and video.size_bytes:
            found.append(video.size_bytes / frames)
    return statistics.median(found) if found else BYTES_A_FRAME


def divide(
    videos: Sequence[PlannedVideo], bytes_a_frame: float, part_frames: int
) -> list[list[PlannedVideo]]:
    """Divides videos, in an order drawn once for all, into parts of about so many frames.

    Args:
        videos: All of them.
        bytes_a_frame: How many bytes of a file a frame takes.
        part_frames: A part is closed when it has about so many frames.
    """
    order = sorted(videos, key=lambda video: video.id)
    random.Random(SEED).shuffle(order)
    parts: list[list[PlannedVideo]] = []
    room = 0.0
    for video in order:
        if room <= 0:
            parts.append([])
            room = float(part_frames)
        parts[-1].append(replace(video))
        room -= (video.size_bytes or 0) / bytes_a_frame
    return parts
