"""Planning: what there is to do for a store, divided into parts of about the same number of frames."""

from __future__ import annotations

import contextlib
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError
from featx.output.console import say
from featx.store.backends.interface import Backend, NotThere
from featx.store.backends.local import LocalFolder
from featx.store.backends.open import open_backend
from featx.store.failures import Failure, FailureList
from featx.store.index import StoreIndex, read_header
from featx.store.mirror import local_folder
from featx.store.parts.committed import committed_parts
from featx.store.parts.plan import (
    Changes,
    Plan,
    PlannedVideo,
    Plans,
    find_plans,
    make_plan,
    read_part,
)
from featx.store.schema import STORE_FILE, Entry
from featx.store.source_files import state_of
from featx.store.writing.lock import StoreLock
from featx.store.writing.part_commits import commit_changes
from featx.store.writing.writer import FILE_INFO

from ..decoding.decode import count_packets
from ..decoding.ffmpeg_args import DecodeOptions
from ..decoding.video_errors import DecodeError
from ..plan.settings import ExtractSettings
from ..plan.todo import Todo, find_todo, lines_about
from ..plan.videos import FoundVideos, SourceVideo, find_videos
from .settings import DECIDES_VALUES, settings_of_plan

SAMPLE = 16  # files whose frames are counted, to know how many bytes a frame takes
BYTES_A_FRAME = 5_000.0  # where none of them can be read
SEED = 0


@dataclass(frozen=True)
class Planned:
    """What a plan came to.

    Attributes:
        plan: The plan that was made, or the one whose parts are not all done; None if there is nothing to do.
        is_new: Whether it was made now.
        frames: About how many frames it has; 0 if it was not made now.
        there: How many of the videos are in the store already.
        accepted: How many are known to be bad, and are left out.
        still_refused: Files that must not be opened, and that were refused by an earlier plan: they are not planned again.
    """

    plan: Plan | None
    is_new: bool
    frames: int = 0
    there: int = 0
    accepted: int = 0
    still_refused: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class ToPlan:
    """What there is to do for a store, before it is divided.

    Attributes:
        videos: To extract.
        changes: What has become of videos that are in the store.
        there: How many of the videos are in the store already.
        accepted: How many are known to be bad, and are left out.
        still_refused: As of `Planned`.
        failures: The failures of the store that are still true once the plan is made; None where there was no store.
    """

    videos: list[PlannedVideo]
    changes: Changes
    there: int = 0
    accepted: int = 0
    still_refused: list[Failure] = field(default_factory=list)
    failures: FailureList | None = None

    def came_to(self, plan: Plan | None, is_new: bool, frames: int = 0) -> Planned:
        """Returns what was planned of it."""
        return Planned(plan, is_new, frames, self.there, self.accepted, self.still_refused)


def plan_store(inputs: list[Path], to: str, settings: ExtractSettings, part_frames: int) -> Planned:
    """Makes the next plan of a store: of all videos, or of those that are new, have changed, or failed.

    Args:
        inputs: Folders, video files or manifests.
        to: Folder or URL of the store.
        settings: What the features are.
        part_frames: About how many frames a part has.

    Raises:
        FeatxError: If an input is not there, or the store has a plan that is not done yet and does not hold all of these
            videos, or has other settings.
    """
    backend = open_backend(to)
    found = find_videos(inputs, settings.follow_links, settings.hidden, settings.also)
    for line in found.left_out:
        say(line)
    with _locked(backend):
        plans = find_plans(backend)
        is_open = bool(plans.open_parts(committed_parts(backend)))
        _check_settings(to, plans, settings, is_open)
        if is_open:
            _check_all_planned(backend, plans, found)
            return Planned(plans.plans[-1], False)
        to_plan = _find_work(backend, found, settings)
        if not to_plan.videos and not to_plan.changes:
            _note(backend, to_plan.failures)
            return to_plan.came_to(None, False)
        bytes_a_frame = measure_bytes_a_frame([video for video in to_plan.videos if not video.refused])
        parts = divide(to_plan.videos, bytes_a_frame, part_frames)
        plan, is_new = make_plan(backend, parts, settings_of_plan(settings), plans, to_plan.changes)
        if is_new:
            _note(backend, to_plan.failures)
            plans = Plans([*plans.plans, plan])
        else:
            plans = find_plans(backend)
            _check_settings(to, plans, settings, is_open=True)
            _check_all_planned(backend, plans, found)
        commit_changes(backend, plans)
    frames = round(sum(video.size_bytes or 0 for video in to_plan.videos) / bytes_a_frame)
    return to_plan.came_to(plan, is_new, frames)


def _note(backend: Backend, failures: FailureList | None) -> None:
    """Writes the list of failures of a store in a folder. An object store has none: there they stand in records."""
    if failures is not None and isinstance(backend, LocalFolder):
        failures.tidy(())


def line_about(planned: Planned, to: str, by_itself: bool = False) -> str:
    """Says what a plan came to, in a line for the user.

    Args:
        planned: What it came to.
        to: The store.
        by_itself: Whether the work on it begins at once, so that nobody has to be told how.
    """
    then = "" if by_itself else f"; run featx work {to} on each machine"
    plan = planned.plan
    if plan is None:
        return f"{to}: nothing to plan: all {planned.there:,} videos are in it"
    if not planned.is_new:
        return f"{to}: has this plan already: {plan.videos:,} videos in {plan.parts:,} parts{then}"
    parts = plan.parts - plan.changes
    if not parts:
        return f"{to}: no video to extract; what has become of the others is noted"
    return f"{to}: planned: {plan.videos:,} videos, about {planned.frames:,} frames, in {parts:,} parts{then}"


@contextlib.contextmanager
def _locked(backend: Backend) -> Iterator[None]:
    """Keeps commands away that write into a store's folder. In an object store there are none."""
    if not isinstance(backend, LocalFolder) or not (Path(backend.name) / STORE_FILE).exists():
        yield
        return
    lock = StoreLock(Path(backend.name))
    try:
        yield
    finally:
        lock.release()


def _check_settings(to: str, plans: Plans, settings: ExtractSettings, is_open: bool) -> None:
    """Refuses settings that are not those of a store's plans.

    Args:
        to: The store.
        plans: Of the store.
        settings: That are asked for.
        is_open: Whether parts of the last plan are not done. If not, only what decides the features' values has to be as
            it was; what becomes of damaged videos may differ from plan to plan.

    Raises:
        FeatxError: Naming what differs.
    """
    if not plans:
        return
    differing = [
        f"{name}: {value}, not {plans.settings.get(name)}"
        for name, value in settings_of_plan(settings).items()
        if plans.settings.get(name) != value and (is_open or name in DECIDES_VALUES)
    ]
    if differing:
        raise FeatxError(
            f"{to}: has a plan with other settings ({'; '.join(differing)}); use those, or another --to"
        )


def _check_all_planned(backend: Backend, plans: Plans, found: FoundVideos) -> None:
    """Refuses videos that no plan of a store has while parts are open.

    Raises:
        FeatxError: Naming how many and the first of them.
    """
    planned = {
        video.id
        for plan in plans.plans
        for number in plan.numbers
        for video in read_part(backend, plan, number)
    }
    ids = [video.id for video in found.videos] + [one.id for one in found.refused]
    others = [video_id for video_id in ids if video_id not in planned]
    if others:
        still_open = len(plans.open_parts(committed_parts(backend)))
        raise FeatxError(
            f"{backend.name}: {len(others)} of the videos are not in its plan, '{others[0]}' first, and {still_open} of its "
            f"parts are not done; run featx work {backend.name}, then plan again: that takes what is new or has changed"
        )


def _find_work(backend: Backend, found: FoundVideos, settings: ExtractSettings) -> ToPlan:
    """Compares what was found with what is in the store, if there is one."""
    try:
        backend.size(STORE_FILE)
    except NotThere:
        videos = [_planned(video) for video in found.videos]
        return ToPlan(videos + [_refused(one) for one in found.refused], Changes())
    folder = local_folder(Path(backend.name))
    index = StoreIndex(folder, read_header(folder), FILE_INFO)
    failures = FailureList(folder, index.failures)
    todo = find_todo(found, index, failures, settings, say)
    for line in lines_about(todo, backend.name, len(found.videos)):
        say(line)
    kept = set(index.ids).difference(todo.changes.drops)
    videos = []
    for video in todo.videos:
        entry = index.entry(index.number_of[video.id]) if video.id in kept else None
        videos.append(_planned(video, entry))
    settled = _settled(index, todo)
    changes = Changes(
        [index.entry(index.number_of[video_id]) for video_id in todo.changes.drops],
        [(index.entry(index.number_of[video_id]), now) for video_id, now in todo.changes.updates.items()],
        todo.changes.root_moves,
        sorted(settled.intersection(index.failures)),
    )
    still_refused = [one for one in todo.refused if one.id in failures.ids]
    refused = [_refused(one) for one in todo.refused if one.id not in failures.ids]
    there = len(found.videos) - len(todo.videos) - len(todo.accepted)
    # Those that are planned again stand in their new part if they fail again.
    failures.forget(settled.union(video.id for video in todo.videos))
    return ToPlan(videos + refused, changes, there, len(todo.accepted), still_refused, failures)


def _settled(index: StoreIndex, todo: Todo) -> set[str]:
    """Returns ids of which no failure is left: of files that are gone, and of videos that are whole in the store."""
    whole = zip(index.ids, index.video_info["complete"], strict=True)
    complete = {video_id for video_id, is_complete in whole if is_complete}.difference(todo.changes.drops)
    moved = {now["id"] for now in todo.changes.updates.values() if "id" in now}
    return complete.difference(todo.changes.updates) | moved.union(todo.gone_failures)


def _planned(video: SourceVideo, instead_of: Entry | None = None) -> PlannedVideo:
    state = state_of(video.path)
    path = str(video.path.absolute())
    return PlannedVideo(
        video.id, path, video.root, video.below, state.size_bytes if state else None, instead_of=instead_of
    )


def _refused(one: Failure) -> PlannedVideo:
    return PlannedVideo(one.id, one.path, one.root, one.path, one.size_bytes, one.error)


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
        parts[-1].append(video)
        room -= (video.size_bytes or 0) / bytes_a_frame
    return parts
