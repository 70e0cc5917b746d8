"""Where the files of found videos are, and where each begins on its own timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.store.reader import FeatureStore
from featx.store.source_files import IMPORTED

from .exact.settings import SearchSettings
from .pictures import find_files


@dataclass(frozen=True)
class Place:
    """Of one video.

    Attributes:
        file: Where its file should be; None for imported features, of which nobody knows it.
        begin_s: What players subtract from the store's times: they show a file from 0 on.
    """

    file: Path | None
    begin_s: float = 0.0

    @property
    def shown(self) -> str:
        """The file as text; empty if nobody knows it."""
        return "" if self.file is None else str(self.file)


def places_of(store: FeatureStore, ids: Sequence[str], settings: SearchSettings) -> dict[str, Place]:
    """Looks up where videos are.

    Raises:
        FeatxError: As `find_files`.
    """
    ids = list(dict.fromkeys(ids))
    files, known = find_files(store, ids, settings), store.video_info(ids)
    told = bool(settings.videos or settings.manifest)
    return {
        video_id: Place(
            files[video_id] if told or not known[video_id].path.endswith(IMPORTED) else None,
            (known[video_id].start_s or 0.0) if store.header.file_times else 0.0,
        )
        for video_id in ids
    }
