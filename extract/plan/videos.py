"""Which videos to extract: folders, files and manifests to a list of ids and paths."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError, printable
from featx.manifest.videos import read_manifest
from featx.store.failures import Failure
from featx.store.folder_changes import FoundFile
from featx.store.source_files import state_of
from featx.video.folder import reason_to_refuse, search_folder

MANIFEST_ENDING = ".jsonl"
LINK_WAY = "--follow-links takes it"
HIDDEN_WAY = "--hidden takes them"
ENDING_WAY = "--also .xyz takes an ending too, and a file that is named is always taken"


@dataclass(frozen=True)
class SourceVideo:
    """A video file and the id under which its features are stored.

    Attributes:
        id: The id.
        path: The file, to open it.
        root: Absolute path of the folder that was given; None if nobody knows.
        below: The file's path below that folder.
    """

    id: str
    path: Path
    root: str | None = None
    below: str = ""

    @property
    def recorded_path(self) -> str:
        """What the store notes as its path: below the folder, so that it stays true when the folder moves."""
        return str(self.path) if self.root is None else self.below

    def found(self) -> FoundFile:
        """Returns the file as it is now."""
        return FoundFile(self.id, self.path, self.recorded_path, self.root, state_of(self.path))


@dataclass
class FoundVideos:
    """What was found.

    Attributes:
        videos: Those to extract.
        refused: Files that are refused before anything opens them.
        folders: Absolute paths of all folders that were searched, or that a manifest's videos are in.
        left_out: What was not looked at in the folders, as lines for the user.
    """

    videos: list[SourceVideo] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)


def find_videos(
    inputs: list[Path], follow_links: bool = False, hidden: bool = False, also: Collection[str] = ()
) -> FoundVideos:
    """Lists the videos of folders (recursively), files, and manifests (``.jsonl``).

    A video's id is its path relative to the folder that was given, with the ending; for a single file its name;
    for a manifest the id that stands there.

    Args:
        inputs: Folders, files and manifests.
        follow_links: Whether a file may lie, through a symbolic link, outside the folder that was given.
        hidden: Whether hidden files and folders are taken; see `search_folder`.
        also: Further endings of videos in folders.

    Raises:
        FeatxError: If an input does not exist or holds no video, or two videos would get the same id.
    """
    found = FoundVideos()
    for given in inputs:
        if given.is_dir():
            root = given
            below = search_folder(given, hidden, also)
            left_out = below.left_out(HIDDEN_WAY, ENDING_WAY)
            if not below.videos and not below.linked_folders:
                raise FeatxError("; ".join([f"{given}: no video in this folder", *left_out]))
            found.left_out += [f"{printable(given)}: {line}" for line in left_out]
            absolute = os.path.realpath(root)
            found.folders.add(absolute)
            videos = [SourceVideo(path, given / path, absolute, path) for path in below.videos]
            reason = "a symbolic link to a folder; give that folder itself"
            for path in below.linked_folders:
                found.refused.append(_refusal(SourceVideo(path, given / path, absolute, path), reason))
        elif given.suffix == MANIFEST_ENDING and given.is_file():
            manifest = read_manifest(given)
            # The manifest's author chose the paths; only its links are looked at.
            root = manifest.root
            # Parts of one video are extracted once, as a whole.
            absolute = os.path.realpath(root)
            found.folders.add(absolute)
            videos = [SourceVideo(v.stored_id, root / v.path, absolute, v.path) for v in manifest.videos]
        elif given.exists():
            root = given.parent
            videos = [SourceVideo(given.name, given, os.path.realpath(root), given.name)]
        else:
            raise FeatxError(f"{given}: no such file or folder")
        for video in videos:
            reason = reason_to_refuse(video.path, root, follow_links or given == video.path, LINK_WAY)
            if reason:
                found.refused.append(_refusal(video, reason))
            else:
                found.videos.append(video)
    found.videos = _without_twins(found.videos)
    return found


def _refusal(video: SourceVideo, reason: str) -> Failure:
    size_bytes, mtime_ns = state_of(video.path) or (None, None)
    return Failure(
        video.id,
        video.recorded_path,
        "find",
        reason,
        "not opened",
        [],
        root=video.root,
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
    )


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
