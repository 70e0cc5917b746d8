"""Which videos to extract: folders, files and manifests to a list of ids and paths."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError
from featx.manifest import read_manifest
from featx.store.failures import Failure
from featx.video_files import ENDINGS

MANIFEST_ENDING = ".jsonl"


@dataclass(frozen=True)
class SourceVideo:
    """A video file and the id under which its features are stored."""

    id: str
    path: Path


@dataclass
class Found:
    """What was found: videos to extract, and files that are refused before anything opens them."""

    videos: list[SourceVideo] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)


def find_videos(inputs: list[Path], follow_links: bool = False) -> Found:
    """Lists the videos of folders (recursively), files, and manifests (``.jsonl``).

    A video's id is its path relative to the folder that was given, with the ending; for a single file its name;
    for a manifest the id that stands there.

    Args:
        inputs: Folders, files and manifests.
        follow_links: Whether a file may lie, through a symbolic link, outside the folder that was given.

    Raises:
        FeatxError: If an input does not exist or holds no video, or two videos would get the same id.
    """
    found = Found()
    for given in inputs:
        if given.is_dir():
            root = given
            videos, linked = _search(given)
            reason = "a symbolic link to a folder; give that folder itself"
            found.refused += [Failure(v.id, str(v.path), "find", reason, "not opened", []) for v in linked]
        elif given.suffix == MANIFEST_ENDING and given.is_file():
            manifest = read_manifest(given)
            # The manifest's author chose the paths; only its links are looked at.
            root = manifest.root
            # Parts of one video are extracted once, as a whole.
            videos = [SourceVideo(video.stored_id, root / video.path) for video in manifest.videos]
        elif given.exists():
            root, videos = given.parent, [SourceVideo(given.name, given)]
        else:
            raise FeatxError(f"{given}: no such file or folder")
        for video in videos:
            reason = _reason_to_refuse(video.path, root, follow_links or given == video.path)
            if reason:
                outcome = "not opened"
                found.refused.append(Failure(video.id, str(video.path), "find", reason, outcome, []))
            else:
                found.videos.append(video)
    found.videos = _without_twins(found.videos)
    return found


def _without_twins(videos: list[SourceVideo]) -> list[SourceVideo]:
    by_id: dict[str, SourceVideo] = {}
    for video in videos:
        first = by_id.setdefault(video.id, video)
        if first.path.resolve() != video.path.resolve():
            raise FeatxError(
                f"{first.path} and {video.path} would both be stored as '{video.id}'; give a folder that "
                "holds both"
            )
    return list(by_id.values())


def _reason_to_refuse(path: Path, root: Path, follow_links: bool) -> str:
    """Says why a file must not be opened: a fifo or a device would never end, a link may lead anywhere."""
    if not path.exists():
        return "no such file"
    if not path.is_file():
        return "not a regular file"
    if not follow_links and path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        return "a symbolic link that leads out of the folder; --follow-links takes it"
    return ""


def _search(folder: Path) -> tuple[list[SourceVideo], list[SourceVideo]]:
    """Returns the videos below a folder, and the links to folders, which are not entered: they may lead in circles."""

    def refuse(error: OSError) -> None:
        raise FeatxError(f"{error.filename}: cannot read the folder ({error.strerror})") from error

    videos, linked = [], []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        links = [path for name in folders if (path := Path(parent, name)).is_symlink()]
        linked += [SourceVideo(path.relative_to(folder).as_posix(), path) for path in links]
        for name in sorted(files):
            path = Path(parent, name)
            if path.suffix.lower() in ENDINGS:
                videos.append(SourceVideo(path.relative_to(folder).as_posix(), path))
    if not videos and not linked:
        raise FeatxError(f"{folder}: no video in this folder (looked for {', '.join(sorted(ENDINGS))})")
    return videos, linked
