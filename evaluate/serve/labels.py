"""Labels that people give in the browser: a manifest beside the store, written whole after every change."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.manifest.videos import Header, Manifest, Video, read_manifest, write_manifest

SPLIT = "train"


class Labels:
    """Labelled parts of a store's videos. A crash leaves the list before the last change, or after it."""

    def __init__(self, store: Path, root: str) -> None:
        """Reads what is there.

        Args:
            store: The store; the file lies beside it.
            root: Folder of the videos, for the manifest.

        Raises:
            FeatxError: If the file is no manifest.
        """
        self.file = store.with_name(f"{store.name}-labels.jsonl")
        self._lock = threading.Lock()
        self._root = root
        known = read_manifest(self.file) if self.file.exists() else None
        self._videos: dict[str, Video] = {video.id: video for video in known.videos} if known else {}
        self._classes: dict[str, str] = dict(known.header.classes) if known else {}

    def listed(self) -> dict[str, Any]:
        """Returns all labels and classes, ready for JSON."""
        with self._lock:
            labels = [
                {
                    "id": video.id,
                    "video": video.stored_id,
                    "start_s": video.start_s,
                    "end_s": video.end_s,
                    "label": video.label,
                }
                for video in self._videos.values()
            ]
            return {"file": str(self.file), "classes": list(self._classes), "labels": labels}

    def add(self, video_id: str, path: str, start_s: float, end_s: float, label: str) -> str:
        """Labels a part of a video; a label of the same part is replaced.

        Args:
            video_id: Id of the whole video.
            path: Of its file.
            start_s: Where the part begins, on the store's timeline.
            end_s: Where it ends.
            label: Class.

        Returns:
            The id of the part.

        Raises:
            FeatxError: If the part has no length, or the file cannot be written.
        """
        if not 0 <= start_s < end_s:
            raise FeatxError(f"a part must end after its start, from 0 s on: {start_s:g} s to {end_s:g} s")
        part = f"{video_id}#{start_s:.3f}-{end_s:.3f}"
        about = {"id": part, "path": path, "split": SPLIT, "label": label, "part_of": video_id}
        video = Video.model_validate(about | {"start_s": start_s, "end_s": end_s})
        with self._lock:
            self._write(self._videos | {part: video})
        return part

    def remove(self, part: str) -> bool:
        """Takes a label out; returns whether there was one.

        Raises:
            FeatxError: If the file cannot be written.
        """
        with self._lock:
            if part not in self._videos:
                return False
            self._write({one: video for one, video in self._videos.items() if one != part})
            return True

    def _write(self, videos: dict[str, Video]) -> None:
        """Writes first: what could not be written was not said.

        Raises:
            FeatxError: If the file cannot be written.
        """
        labels = dict.fromkeys(video.label for video in videos.values() if video.label)
        classes = {label: self._classes.get(label, label) for label in labels}
        if videos:
            header = Header(name=self.file.stem, root=self._root, classes=classes)
            write_manifest(Manifest(header, list(videos.values()), self.file))
        else:  # a manifest without videos is none
            try:
                self.file.unlink(missing_ok=True)
            except OSError as error:
                raise FeatxError(f"{self.file}: cannot be removed ({error.strerror})") from error
        self._videos, self._classes = videos, classes
