"""Finding the proposals of a split's videos, with a trained detector or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featx.devices import choose_device
from featx.errors import FeatxError
from featx.features.dataset import check_fingerprint, present_videos, row_reader, timed_rows
from featx.localisation.detector import DETECTOR_FILE, Detector, DetectorHeader, load_detector
from featx.localisation.grid import ReadRows, make_grid, read_steps
from featx.localisation.metrics.proposals import average_recall
from featx.localisation.proposals_file import Proposals, ProposalsFile, ProposalsHeader
from featx.localisation.propose import propose_rows
from featx.localisation.selection import SelectionSettings
from featx.manifest.videos import Manifest, Video, read_manifest
from featx.store.reader import FeatureStore

from ..run.settings import ProposeSettings
from .watershed import STEP_S, watershed

# Rows of a video and when they are shown, to its proposals.
FindProposals = Callable[[ReadRows, np.ndarray], Proposals]


@dataclass(frozen=True)
class ProposeSetup:
    """What is looked at, opened and checked.

    Attributes:
        store: Features.
        manifest: Videos, and where it has them their segments.
        videos: Those of the split that the store has.
        missing: Ids of those that it lacks.
        header: Of the file to write.
        find: Finds the proposals of a video.
    """

    store: FeatureStore
    manifest: Manifest
    videos: list[Video]
    missing: list[str]
    header: ProposalsHeader
    find: FindProposals


def open_setup(run: Path | None, settings: ProposeSettings) -> ProposeSetup:
    """Opens and checks everything that finding needs.

    Args:
        run: Folder of a trained detector, or its file; None for watershed.
        settings: What is looked at, and how.

    Raises:
        FeatxError: If it is not there, or does not belong together.
    """
    detector, trained = None, None
    if run is not None:
        file = run / DETECTOR_FILE if run.is_dir() else run
        detector, trained = load_detector(file)
    selection = selection_of(settings, trained)
    store = FeatureStore(_path_of("store", settings, trained))
    manifest = read_manifest(_path_of("manifest", settings, trained))
    if trained is not None:
        check_fingerprint(trained.fingerprint, store, run)
    videos, missing = present_videos(store, manifest, settings.split)
    header = ProposalsHeader(
        made_by=f"featx propose {run}" if run else "featx propose --watershed",
        data_set=manifest.header.name,
        split=settings.split,
        fingerprint=store.header.fingerprint,
        settings=selection.model_dump(),
        missing=missing,
    )
    find = _with_detector(detector, selection, settings) if detector else _without(selection)
    return ProposeSetup(store, manifest, videos, missing, header, find)


def propose(setup: ProposeSetup) -> Iterator[tuple[str, Proposals]]:
    """Yields each video's id and proposals, in seconds as its segments are.

    Raises:
        FeatxError: If the store does not know when a video's rows are shown.
    """
    for video in setup.videos:
        first, pts = timed_rows(setup.store, setup.manifest, video)
        yield video.id, setup.find(row_reader(setup.store, video, first), pts)


def recall_lines(found: ProposalsFile, videos: list[Video], numbers: list[int]) -> list[str]:
    """Returns how many annotated segments were found, for people; nothing where there are none."""
    annotated = [video for video in videos if video.segments]
    if not annotated:
        return []
    spans = [np.array([(s.start_s, s.end_s) for s in video.segments]).T for video in annotated]
    instances = [(starts, ends) for starts, ends in spans]
    proposals = [(found.videos[v.id].start_s, found.videos[v.id].end_s) for v in annotated]
    recalls = (f"AR@{most} {100 * average_recall(proposals, instances, most):.1f}%" for most in numbers)
    count = sum(len(video.segments) for video in annotated)
    return [f"{', '.join(recalls)} of {count} segments in {len(annotated)} videos (tIoU .5:.05:.95)"]


def selection_of(settings: ProposeSettings, trained: DetectorHeader | None) -> SelectionSettings:
    """Returns how proposals are chosen: as given, else as in training, else by default."""
    names = SelectionSettings.model_fields
    values: dict[str, Any] = {
        name: value for name, value in (trained.settings if trained else {}).items() if name in names
    }
    given = {name: getattr(settings, name) for name in names}
    return SelectionSettings(**values | {name: value for name, value in given.items() if value is not None})


def _path_of(name: str, settings: ProposeSettings, trained: DetectorHeader | None) -> Path:
    given = getattr(settings, name)
    if given is None and trained is None:
        raise FeatxError(f"--{name}: is needed with --watershed")
    return given or Path(str(trained and trained.settings[name]))


def _with_detector(
    detector: Detector, selection: SelectionSettings, settings: ProposeSettings
) -> FindProposals:
    device = choose_device(settings.device)
    detector = detector.to(device)

    def find(read: ReadRows, pts: np.ndarray) -> Proposals:
        return propose_rows(detector, read, pts, selection, device, settings.steps_at_once)

    return find


def _without(selection: SelectionSettings) -> FindProposals:
    def find(read: ReadRows, pts: np.ndarray) -> Proposals:
        grid = make_grid(pts, STEP_S, None)
        return watershed(lambda first, steps: read_steps(read, pts, grid, first, steps), grid, selection)

    return find
