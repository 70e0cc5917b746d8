"""Which videos to extract: folders, files and manifests to a list of ids and paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from featx.errors import FeatxError
from featx.manifest import read_manifest

# What a folder is searched for; a file that is named on the command line may have any ending.
ENDINGS = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".flv", ".wmv"),
    *(".3gp", ".3g2", ".ogv", ".gif", ".mts", ".vob", ".asf", ".divx"),
}
MANIFEST_ENDING = ".jsonl"


@dataclass(frozen=True)
class SourceVideo:
    """A video file and the id under which its features are stored."""

    id: str
    path: Path


def find_videos(inputs: list[Path]) -> list[SourceVideo]:
    """Lists the videos of folders (recursively), files, and manifests (``.jsonl``).

    A video's id is its path relative to the folder that was given, with the ending; for a single file its name;
    for a manifest the id that stands there.

    Raises:
        FeatxError: If an input does not exist or holds no video, or two videos would get the same id.
    """
    found: list[SourceVideo] = []
    for given in inputs:
        if given.is_dir():
            videos = _search(given)
        elif given.suffix == MANIFEST_ENDING and given.is_file():
            manifest = read_manifest(given)
            videos = [SourceVideo(video.id, manifest.root / video.path) for video in manifest.videos]
        elif given.exists():
            videos = [SourceVideo(given.name, given)]
        else:
            raise FeatxError(f"{given}: no such file or folder")
        found += videos
    by_id: dict[str, SourceVideo] = {}
    for video in found:
        first = by_id.setdefault(video.id, video)
        if first.path.resolve() != video.path.resolve():
            raise FeatxError(
                f"{first.path} and {video.path} would both be stored as '{video.id}'; give a folder that holds both"
            )
    return list(by_id.values())


def _search(folder: Path) -> list[SourceVideo]:
    def refuse(error: OSError) -> None:
        raise FeatxError(f"{error.filename}: cannot read the folder ({error.strerror})") from error

    videos = []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted(files):
            path = Path(parent, name)
            if path.suffix.lower() in ENDINGS:
                videos.append(SourceVideo(path.relative_to(folder).as_posix(), path))
    if not videos:
        raise FeatxError(f"{folder}: no video in this folder (looked for {', '.join(sorted(ENDINGS))})")
    return videos
