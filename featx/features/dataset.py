"""A split of a manifest and what a store has of it: what training and evaluation both start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from featx.encoders.load import load_model
from featx.encoders.model import ImageTextModel
from featx.errors import FeatxError
from featx.manifest.videos import Manifest, Video
from featx.store.reader import FeatureStore
from featx.store.schema import Fingerprint

OUTSIDE_WAY = "extract the whole videos, or give times as docs/manifest.md defines them"


@dataclass(frozen=True)
class StoredParts:
    """Consecutive rows of videos in a store: whole videos, parts of them, or the segments that they show.

    Attributes:
        ids: V names, for people and for lists of what is missing.
        stored: V ids of the store's videos, of which they are parts.
        first_rows: (V,) int64, where each begins within its video.
        rows: (V,) int64, rows of each.
        missing: Names of those that the store lacks.
    """

    ids: list[str]
    stored: list[str]
    first_rows: np.ndarray
    rows: np.ndarray
    missing: list[str]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class LabelledVideos(StoredParts):
    """The videos (or segments) of a split that have features, and the ids of those that have none.

    Attributes:
        labels: (V,) int64 class indices, in the manifest's class order.
    """

    labels: np.ndarray

    def choose(self, videos: np.ndarray) -> LabelledVideos:
        """Returns some of the videos, by index; what is missing stays the whole split's."""
        return LabelledVideos(
            [self.ids[index] for index in videos],
            [self.stored[index] for index in videos],
            self.first_rows[videos],
            self.rows[videos],
            self.missing,
            self.labels[videos],
        )


@dataclass(frozen=True)
class CaptionedVideos(StoredParts):
    """The videos of a split that have features, and the sentences about them.

    Attributes:
        texts: C distinct sentences, in the order of the manifest.
        text_of: (N,) int64, the sentence of each caption; captions stand in the order of their videos.
        video_of: (N,) int64, the video that each caption is about.
        missing_captions: How many captions the missing videos have.
    """

    texts: list[str]
    text_of: np.ndarray
    video_of: np.ndarray
    missing_captions: int

    @property
    def first_captions(self) -> np.ndarray:
        """(V + 1,) number of each video's first caption, and behind the last one that of all captions."""
        return np.searchsorted(self.video_of, np.arange(len(self) + 1))

    @property
    def repeated(self) -> dict[str, int]:
        """Sentences that several captions have, and how many."""
        counts = np.bincount(self.text_of, minlength=len(self.texts))
        return {self.texts[index]: int(counts[index]) for index in np.flatnonzero(counts > 1)}


def join(several: list[LabelledVideos]) -> LabelledVideos:
    """Returns several lists one after another; a video may stand there more than once, what is missing is left out."""
    return LabelledVideos(
        [video_id for videos in several for video_id in videos.ids],
        [video_id for videos in several for video_id in videos.stored],
        np.concatenate([videos.first_rows for videos in several]),
        np.concatenate([videos.rows for videos in several]),
        [],
        np.concatenate([videos.labels for videos in several]),
    )


def rows_between(
    pts: np.ndarray, start_s: np.ndarray | float, end_s: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first row, and how many, that are shown from ``start_s`` on and before ``end_s``; at least one.

    Where no row falls between (a short part of sparsely sampled features), it is the one shown nearest to its middle.

    Args:
        pts: (N,) ascending seconds.
        start_s: (...) begins.
        end_s: (...) ends; may be infinite.

    Returns:
        (...) int64 first rows, and (...) numbers of rows.
    """
    start_s, end_s = np.asarray(start_s, dtype=np.float64), np.asarray(end_s, dtype=np.float64)
    first, past = np.searchsorted(pts, start_s), np.searchsorted(pts, end_s)
    middle = np.where(np.isinf(end_s), start_s, start_s + (end_s - start_s) / 2)
    after = np.searchsorted(pts, middle).clip(max=len(pts) - 1)
    before = (after - 1).clip(min=0)
    nearest = np.where(middle - pts[before] <= pts[after] - middle, before, after)
    nothing = past <= first
    return np.where(nothing, nearest, first), np.where(nothing, 1, past - first)


def is_shown(pts: np.ndarray, start_s: float, end_s: float) -> bool:
    """Says whether a part of a video is neither before its first row nor after its last.

    Args:
        pts: (N,) ascending seconds.
        start_s: Where the part begins.
        end_s: Where it ends.
    """
    return bool(start_s <= pts[-1] and end_s >= pts[0])


def present_videos(store: FeatureStore, manifest: Manifest, split: str) -> tuple[list[Video], list[str]]:
    """Returns a split's videos that the store has, and the ids of those that it lacks.

    Raises:
        FeatxError: If it has none of them.
    """
    videos = manifest.split(split)
    present = [video for video in videos if video.stored_id in store]
    if not present:
        raise FeatxError(
            f"{store.path}: has none of the {len(videos)} videos of split '{split}' of {manifest.file}; ids there look "
            f"like '{videos[0].stored_id}', in the store like '{next(iter(store), '(empty store)')}'"
        )
    return present, [video.id for video in videos if video.stored_id not in store]


def stored_rows(
    store: FeatureStore, manifest: Manifest, videos: list[Video]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (V,) first rows and (V,) rows of videos that the store has; see `row_range`."""
    ranges = [row_range(store, manifest, video) for video in videos]
    first_rows, rows = np.array(ranges, dtype=np.int64).reshape(-1, 2).T
    return first_rows, rows


def row_range(store: FeatureStore, manifest: Manifest, video: Video) -> tuple[int, int]:
    """Returns the first row of a video, or of its part of a longer one, and how many rows it has.

    Raises:
        FeatxError: If the store does not know when the rows of a part are shown, or all are before or after it.
    """
    if video.start_s is None and video.end_s is None:
        return 0, store.rows(video.stored_id)
    pts = known_pts(store, video.stored_id, manifest)
    if not is_shown(pts, video.part_start_s, video.part_end_s):
        raise FeatxError(
            f"{store.path}: the rows of '{video.stored_id}' are shown from {pts[0]:g} s to {pts[-1]:g} s, outside "
            f"'{video.id}' of {manifest.file} ({video.part_start_s:g} s to {video.part_end_s:g} s); {OUTSIDE_WAY}"
        )
    first, rows = rows_between(pts, video.part_start_s, video.part_end_s)
    return int(first), int(rows)


def timed_rows(store: FeatureStore, manifest: Manifest, video: Video) -> tuple[int, np.ndarray]:
    """Returns the first row of a video (or part), and (N,) when its rows are shown, in seconds as its segments are.

    Raises:
        FeatxError: As `row_range` and `known_pts`.
    """
    first, rows = row_range(store, manifest, video)
    pts = known_pts(store, video.stored_id, manifest)
    return first, pts[first : first + rows] - video.part_start_s


def row_reader(store: FeatureStore, video: Video, first_row: int) -> Callable[[int, int], np.ndarray]:
    """Returns what reads (n, D) rows of a video, given the first of them and n, counted from ``first_row`` on."""

    def read(first: int, rows: int) -> np.ndarray:
        return store.read_windows([video.stored_id], first_row + first, rows).features

    return read


def known_pts(store: FeatureStore, stored_id: str, manifest: Manifest) -> np.ndarray:
    """Returns (N,) when each row of a video is shown.

    Raises:
        FeatxError: If the store does not know, as of imported features.
    """
    pts = store.pts(stored_id)
    if not np.isfinite(pts).all():
        raise FeatxError(
            f"{store.path}: does not know when the rows of '{stored_id}' are shown, which {manifest.file} needs; "
            "extract the features with featx, or import them with their frame rate"
        )
    return pts


def list_labelled(store: FeatureStore, manifest: Manifest, split: str) -> LabelledVideos:
    """Lists a split's videos and labels; videos without features are listed, never silently dropped.

    Raises:
        FeatxError: If a video has no label, or the store has none of the split's videos.
    """
    videos = manifest.split(split)
    unlabelled = [video.id for video in videos if video.label is None]
    if unlabelled:
        raise FeatxError(
            f"{manifest.file}: {len(unlabelled)} videos of split '{split}' have no label, '{unlabelled[0]}' first"
        )
    return with_labels(store, manifest, *present_videos(store, manifest, split))


def with_labels(
    store: FeatureStore, manifest: Manifest, present: list[Video], missing: list[str]
) -> LabelledVideos:
    """Returns labelled videos that the store has, beside the ids of others that it lacks."""
    class_index = {label: index for index, label in enumerate(manifest.labels)}
    return LabelledVideos(
        [video.id for video in present],
        [video.stored_id for video in present],
        *stored_rows(store, manifest, present),
        missing,
        np.array([class_index[str(video.label)] for video in present], dtype=np.int64),
    )


def list_segments(store: FeatureStore, manifest: Manifest, split: str) -> LabelledVideos:
    """Lists a split's labelled segments as videos of their own, named ``ID#0``, ``ID#1`` and so on.

    Segments of videos without features, and those before the first row of their video or after the last, are the missing
    ones.

    Raises:
        FeatxError: If no video has segments, the store lacks their times, or it covers less than half of them.
    """
    if not any(video.segments for video in manifest.split(split)):
        raise FeatxError(f"{manifest.file}: no video of split '{split}' has segments")
    present, absent = present_videos(store, manifest, split)
    class_index = {label: index for index, label in enumerate(manifest.labels)}
    found: list[tuple[str, str, int, int, int]] = []
    missing = [f"{one}#{number}" for one in absent for number in range(len(manifest.by_id[one].segments))]
    uncovered = []
    for video in present:
        pts = (
            known_pts(store, video.stored_id, manifest) - video.part_start_s
            if video.segments
            else np.empty(0)
        )
        for number, segment in enumerate(video.segments):
            name = f"{video.id}#{number}"
            if not is_shown(pts, segment.start_s, segment.end_s):
                uncovered.append(name)
                continue
            first, rows = rows_between(pts, segment.start_s, segment.end_s)
            found.append((name, video.stored_id, int(first), int(rows), class_index[segment.label]))
    if len(uncovered) >= len(found):
        raise FeatxError(
            f"{store.path}: {len(uncovered)} of {len(uncovered) + len(found)} segments of {manifest.file} are before the "
            f"first or after the last row of their videos, '{uncovered[0]}' first; {OUTSIDE_WAY}"
        )
    ids, stored, first_rows, rows_of, labels = zip(*found, strict=True)
    return LabelledVideos(
        list(ids),
        list(stored),
        np.array(first_rows, dtype=np.int64),
        np.array(rows_of, dtype=np.int64),
        missing + uncovered,
        np.array(labels, dtype=np.int64),
    )


def list_captioned(store: FeatureStore, manifest: Manifest, split: str) -> CaptionedVideos:
    """Lists a split's videos and their captions; videos without features are listed, never silently dropped.

    Raises:
        FeatxError: If a video has no caption, or an empty one, or the store has none of the split's videos.
    """
    videos = manifest.split(split)
    silent = [video.id for video in videos if not all(one.strip() for one in video.captions or [""])]
    if silent:
        raise FeatxError(
            f"{manifest.file}: {len(silent)} videos of split '{split}' have no caption or an empty one, "
            f"'{silent[0]}' first"
        )
    present, missing = present_videos(store, manifest, split)
    texts: dict[str, int] = {}
    text_of = [texts.setdefault(one, len(texts)) for video in present for one in video.captions]
    return CaptionedVideos(
        [video.id for video in present],
        [video.stored_id for video in present],
        *stored_rows(store, manifest, present),
        missing,
        list(texts),
        np.array(text_of, dtype=np.int64),
        np.repeat(np.arange(len(present)), [len(video.captions) for video in present]),
        sum(len(manifest.by_id[video_id].captions) for video_id in missing),
    )


def load_model_of(store: FeatureStore, source: str | None) -> ImageTextModel:
    """Loads the CLIP that a store's features were made with.

    Args:
        store: The store.
        source: Where to find it, when it is not where the store says.

    Raises:
        FeatxError: If the weights are not those that made the features.
    """
    # a store's features were made with QuickGELU, whatever its file says: the same weights are computed alike
    loaded = load_model(source or store.header.model_source, is_openai=True)
    made_with = store.header.fingerprint
    if loaded.weights_sha256 != made_with.weights_sha256:
        other = loaded.family != made_with.family
        family, made_family = (
            f"family {one}, " if other else "" for one in (loaded.family, made_with.family)
        )
        raise FeatxError(
            f"--model {loaded.source}: {family}weights {loaded.weights_sha256[:12]}, but {store.path} was made with "
            f"{made_with.model}, {made_family}weights {made_with.weights_sha256[:12]}; give that one as --model"
        )
    return loaded


def check_fingerprint(adapter: Fingerprint, store: FeatureStore, adapter_file: object) -> None:
    """Refuses an adapter that was learned on other features.

    Raises:
        FeatxError: Naming every difference.
    """
    differences = adapter.differences(store.header.fingerprint)
    if differences:
        raise FeatxError(
            f"{adapter_file}: learned on other features than {store.path} ({'; '.join(differences)})"
        )
