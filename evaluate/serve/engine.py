"""What stays warm between requests: the store, its CLIP, and what of the rows does not depend on the query."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from featx.devices import choose_device
from featx.encoders.model import ImageTextModel
from featx.errors import FeatxError
from featx.features.dataset import load_model_of
from featx.features.video_ends import lengths_of
from featx.manifest.videos import Manifest, Video, read_manifest
from featx.store.reader import FeatureStore
from featx.store.schema import SHARDS_FOLDER

from ..search.exact.scan import StretchScan
from ..search.exact.search import Hit, above, open_scans, search_exactly
from ..search.exact.settings import SearchLevel, SearchSettings
from ..search.places import Place, places_of
from ..search.queries import encode_images, encode_texts
from .settings import ServeSettings

KEPT_TEXTS = 1024
LONGEST_CURVE = 2000  # points; a longer one is the mean of neighbours


@dataclass(frozen=True)
class Wanted:
    """What is looked for, beside the query.

    Attributes:
        level: Moments, videos or frames.
        top: How many.
        min_score: The least cosine; None for any.
        folder: Beginning of the ids of the videos that are searched.
        min_length_s: Of those videos.
        max_length_s: Likewise.
    """

    level: SearchLevel = "moments"
    top: int = 20
    min_score: float | None = None
    folder: str = ""
    min_length_s: float = 0.0
    max_length_s: float = float("inf")

    @property
    def filters_length(self) -> bool:
        """Whether the videos' lengths matter."""
        return self.min_length_s > 0 or self.max_length_s < float("inf")


@dataclass
class Opened:
    """A store as it was at one moment, and what was computed of it.

    Attributes:
        store: Open.
        committed: By which one sees that something was committed since.
        scans: Of each level that was asked for.
        lengths_s: Of each video, once somebody asks.
        places: Where the files of videos are that were found before: records are long to read.
    """

    store: FeatureStore
    committed: int
    scans: dict[SearchLevel, list[StretchScan]] = field(default_factory=dict)
    lengths_s: dict[str, float] | None = None
    places: dict[str, Place] = field(default_factory=dict)


class Engine:
    """Answers queries over one store. Threads may share it: searches run one after another, each with all cores."""

    def __init__(self, path: Path, settings: ServeSettings) -> None:
        """Opens the store and loads its CLIP.

        Raises:
            FeatxError: If store, CLIP or manifest cannot be read.
        """
        self.path, self.settings = path, settings
        self.device = choose_device(settings.device)
        self.manifest: Manifest | None = read_manifest(settings.manifest) if settings.manifest else None
        self._videos: dict[str, list[Video]] = {}
        for video in self.manifest.videos if self.manifest else []:
            self._videos.setdefault(video.stored_id, []).append(video)
        self._lock = threading.Lock()
        self._opened = self._open()
        self._model: ImageTextModel = load_model_of(self._opened.store, settings.model)
        self._texts: OrderedDict[str, Tensor] = OrderedDict()

    def _open(self) -> Opened:
        committed = _changed(self.path)  # before the store is opened: what comes meanwhile is seen next time
        return Opened(FeatureStore(self.path), committed)

    @property
    def store(self) -> FeatureStore:
        """The store, with everything that has been committed so far."""
        with self._lock:
            return self._fresh().store

    def _fresh(self) -> Opened:
        if _changed(self.path) != self._opened.committed:
            self._opened = self._open()
        return self._opened

    def annotations(self, video_id: str) -> list[Video]:
        """Returns what the manifest says of a stored video, or of parts of it."""
        return self._videos.get(video_id, [])

    def place(self, video_id: str) -> Place:
        """Returns where a video's file should be.

        Raises:
            FeatxError: If the video is not in the store.
        """
        return self.places([video_id])[video_id]

    def places(self, ids: list[str]) -> dict[str, Place]:
        """Returns where files should be."""
        with self._lock:
            opened = self._fresh()
            new = [video_id for video_id in ids if video_id not in opened.places]
            if new:
                opened.places |= places_of(opened.store, new, self.search_settings())
            return {video_id: opened.places[video_id] for video_id in ids}

    def videos_root(self) -> str:
        """Returns the folder of the videos, as a manifest names it."""
        if self.settings.videos is not None:
            return str(self.settings.videos.resolve())
        store = self.store
        first = next(iter(store), None)
        return (store.video_info([first])[first].root if first is not None else None) or "."

    def search_settings(self, wanted: Wanted | None = None) -> SearchSettings:
        """Returns what `featx search` would be told."""
        wanted = wanted or Wanted()
        given = {"level": wanted.level, "top": wanted.top, "videos": self.settings.videos}
        return SearchSettings.model_validate(given)

    def of_text(self, text: str, minus: str = "") -> Tensor:
        """Returns the (D,) feature of a sentence, or of the difference of two; of unit length.

        Raises:
            FeatxError: If nothing is left of it.
        """
        feature = self._text(text)
        if minus:
            feature = feature - self._text(minus)
            if float(feature.norm()) < 1e-4:
                raise FeatxError("minus: both sentences are the same to CLIP; nothing is left to look for")
        return normalize(feature, dim=0)

    def _text(self, text: str) -> Tensor:
        with self._lock:
            known = self._texts.pop(text, None)
            if known is None:
                known = encode_texts([text], self._model, None, self.device)[0][0]
            self._texts[text] = known
            if len(self._texts) > KEPT_TEXTS:
                self._texts.popitem(last=False)
            return known

    def of_picture(self, pixels: np.ndarray) -> Tensor:
        """Returns the (D,) feature of an (H, W, 3) uint8 picture, of unit length."""
        with self._lock:
            fingerprint = self._opened.store.header.fingerprint
            return encode_images([pixels], self._model, fingerprint, self.device)[0]

    def of_frame(self, video_id: str, time_s: float) -> Tensor:
        """Returns the (D,) feature of the row that is shown at a time, of unit length."""
        video = self.store[video_id]
        row = video.features[row_at(video.pts, time_s)]
        return normalize(torch.from_numpy(np.array(row, np.float32)), dim=0)

    def search(self, query: Tensor, wanted: Wanted) -> list[Hit]:
        """Returns what is found, the best first.

        Args:
            query: (D,) of unit length.
            wanted: What is looked for.

        Raises:
            FeatxError: If the store has nothing of that level.
        """
        with self._lock:
            opened, settings = self._fresh(), self.search_settings(wanted)
            scans = opened.scans.get(wanted.level)
            if scans is None:
                scans = opened.scans[wanted.level] = list(open_scans(opened.store, settings))
            allowed = self._allowed(opened, wanted)
            (hits,) = search_exactly(scans, query[None], wanted.top, settings, allowed)
        return above(hits, wanted.min_score)

    def _allowed(self, opened: Opened, wanted: Wanted) -> Callable[[str], bool] | None:
        folder = wanted.folder.strip("/")
        prefix = f"{folder}/" if folder else ""
        if not wanted.filters_length:
            return (lambda video_id: video_id.startswith(prefix)) if prefix else None
        if opened.lengths_s is None:
            ids = list(opened.store)
            opened.lengths_s = dict(zip(ids, lengths_of(opened.store, ids).tolist(), strict=True))
        lengths_s = opened.lengths_s
        return lambda video_id: (
            video_id.startswith(prefix) and wanted.min_length_s <= lengths_s[video_id] <= wanted.max_length_s
        )

    def curve(self, query: Tensor, video_id: str) -> tuple[list[float | None], list[float]]:
        """Returns times and cosines of a video's rows with a query; at most `LONGEST_CURVE`.

        Args:
            query: (D,) of unit length.
            video_id: The video.

        Raises:
            FeatxError: If the video is not in the store or is damaged.
        """
        video = self.store[video_id]
        rows = normalize(torch.from_numpy(np.array(video.features, np.float32)), dim=1)
        scores, times = (rows @ query).numpy(), video.pts
        group = -(-len(scores) // LONGEST_CURVE)
        if group > 1:
            firsts = np.arange(0, len(scores), group)
            counts = np.diff(np.append(firsts, len(scores)))
            scores, times = np.add.reduceat(scores, firsts) / counts, times[firsts]
        return [None if np.isnan(one) else float(one) for one in times], scores.tolist()

    def warm(self) -> float:
        """Does what the first query would have to wait for; returns how long it took, in seconds."""
        began = time.perf_counter()
        if len(self.store):
            self.search(self.of_text("a video"), Wanted(level="videos", top=1))
        return time.perf_counter() - began


def row_at(pts: np.ndarray, time_s: float) -> int:
    """Returns the row that is shown at a time: the last one at or before it, or the first.

    Args:
        pts: (N,) when each row is shown, in seconds.
        time_s: The time; numbers may have come through text, so a little earlier is enough.
    """
    return max(int(np.searchsorted(pts, time_s + 1e-6, "right")) - 1, 0)


def _changed(path: Path) -> int:
    """Returns when something was last committed to a store."""
    try:
        return (path / SHARDS_FOLDER).stat().st_mtime_ns
    except OSError:
        return 0
