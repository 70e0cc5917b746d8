"""What has become of a folder's files since a store was made of them: new, changed, moved, touched, gone.

Files are told apart by size and time of last change, as make and rsync do; what differs in those is compared by
content, where the store knows its hash, before anything is computed again. Nothing here changes the store.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from featx.errors import FeatxError
from featx.store.index import StoreIndex
from featx.store.source_files import (
    IMPORTED,
    FileState,
    content_sha256,
    is_gone,
    is_there,
    recorded_file,
)

MANY_FILES = 100  # of which it is said that they are read


class FoundFile(NamedTuple):
    """A file that is there now.

    Attributes:
        id: Under which its features are stored.
        file: To open it.
        path: Its path below ``root``.
        root: Absolute path of the folder.
        state: Its size and time; None if there is no file.
        is_refused: Whether it must not be opened.
    """

    id: str
    file: Path
    path: str
    root: str | None
    state: FileState | None
    is_refused: bool = False


class StoredFile(NamedTuple):
    """A file whose features are in the store, as it was then; ``complete`` if all of them are."""

    id: str
    path: str
    root: str | None
    state: FileState
    complete: bool
    content_sha256: str | None

    @property
    def file(self) -> Path:
        """Where it was."""
        return Path(os.path.normpath(recorded_file(self)))


@dataclass
class FolderChanges:
    """What has become of the files, and what to say of it in the store.

    Attributes:
        new: Ids that are not in the store.
        changed: Ids whose file is another one now; what is stored is no longer true.
        moved: Ids of files that the store knew elsewhere.
        touched: Ids of files with another time, but the same content.
        unchanged: Ids of files that are as they were.
        gone: Ids in the store, of the same folders, whose files are no longer there.
        drops: For `StoreWriter.amend`.
        updates: Likewise.
        root_moves: Likewise.
    """

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    drops: list[str] = field(default_factory=list)
    updates: dict[str, dict[str, Any]] = field(default_factory=dict)
    root_moves: list[tuple[str, str]] = field(default_factory=list)


def stored_files(index: StoreIndex) -> dict[str, StoredFile]:
    """Returns the files of a store by their ids; the index must have the information about them (`FILE_INFO`)."""
    video_info = index.video_info
    return {
        video_id: StoredFile(video_id, path, root, FileState(size, time), complete, sha256)
        for video_id, path, root, size, time, complete, sha256 in zip(
            index.ids,
            video_info["path"],
            video_info["root"],
            video_info["size_bytes"],
            video_info["mtime_ns"],
            video_info["complete"],
            video_info["content_sha256"],
            strict=True,
        )
    }


def compare(
    found: Iterable[FoundFile],
    stored: Mapping[str, StoredFile],
    folders: Collection[str] = (),
    check_content: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> FolderChanges:
    """Finds out what has become of a store's files.

    Args:
        found: The files that are there, of different ids.
        stored: The files that the store knows, by id.
        folders: Absolute paths of the folders that were searched: what the store has of those and is not on the disk
            any more is gone.
        check_content: Whether files are read although size and time are as they were.
        say: Takes a line when many files have to be read.

    Raises:
        FeatxError: If two files that are both there have one id, or the disk does not say what is there.
    """
    comparison = _Comparison({each.id: each for each in found}, stored, check_content, say)
    comparison.by_state()
    comparison.by_content()
    return comparison.result(folders)


class _Comparison:
    def __init__(
        self,
        found: dict[str, FoundFile],
        stored: Mapping[str, StoredFile],
        check_content: bool,
        say: Callable[[str], None],
    ) -> None:
        self._say = say
        self._found = found
        self._stored = stored
        self._check_content = check_content
        self._changes = FolderChanges()
        self._rest: list[FoundFile] = []  # files that are not as they were
        self._taken: set[str] = set()  # ids of stored files that were found again
        self._again: set[str] = set()  # ids of files that are such, whatever their time, name and folder
        self._hashes: dict[str, str] = {}  # by id of a file that is there

    def by_state(self) -> None:
        """Recognises files by id, size and time."""
        known = [(each, self._stored[each.id]) for each in self._found.values() if each.id in self._stored]
        if self._check_content:
            self._read(found for found, stored in known if stored.content_sha256 and not found.is_refused)
        for found, stored in known:
            hashes = {self._hashes.get(found.id), stored.content_sha256} if self._check_content else set()
            same = stored.state == found.state and len(hashes - {None}) < 2
            if same or _features_came_from_elsewhere(found, stored) or self._is_copy(found, stored):
                self._taken.add(found.id)
                moved = same and self._has_moved(found, stored)
                (self._changes.moved if moved else self._changes.unchanged).append(found.id)
                if moved:
                    self._changes.updates[found.id] = {"root": found.root, "path": found.path}
        self._rest = [each for each in self._found.values() if each.id not in self._taken]

    def by_content(self) -> None:
        """Recognises files of another time, name or folder by their content."""
        rest = [each for each in self._rest if each.state is not None and not each.is_refused]
        sizes = {each.state.size_bytes for each in rest if each.state}
        candidates = [each for each in self._stored.values() if self._may_be_elsewhere(each, sizes)]
        sizes = {stored.state.size_bytes for stored in candidates}
        self._read(each for each in rest if each.state and each.state.size_bytes in sizes)
        free: dict[str | None, list[str]] = {}  # ids by content
        for stored in candidates:
            free.setdefault(stored.content_sha256, []).append(stored.id)
        for each in rest:
            if each.id in free.get(self._hashes.get(each.id), ()):
                self._find_again(each, each.id, free)
        for each in rest:
            if each.id not in self._again and (ids := free.get(self._hashes.get(each.id))):
                self._find_again(each, ids[0], free)

    def result(self, folders: Collection[str]) -> FolderChanges:
        """Returns what was found out, with what is new, changed and gone."""
        changes = self._changes
        for each in self._rest:
            if each.id not in self._again:
                (changes.changed if each.id in self._stored else changes.new).append(each.id)
            # What was stored under this id is of a file that is not there any more, unless it was found elsewhere.
            if each.id in self._stored and each.id not in self._taken:
                changes.drops.append(each.id)
        changes.gone = [
            each.id
            for each in self._stored.values()
            if each.root in folders
            and each.id not in self._found
            and each.id not in self._taken
            and is_gone(each.file)
        ]
        self._move_roots()
        return changes

    def _is_copy(self, found: FoundFile, stored: StoredFile) -> bool:
        """Tells whether a file is a copy of a stored one of the same id, which is still there in another folder.

        Raises:
            FeatxError: If it is in another folder, and is not the same.
        """
        # Within one folder it is a manifest that gives the id to another file now.
        if found.root == stored.root or _same_place(found, stored) or is_gone(stored.file):
            return False
        if found.is_refused:
            return True  # it does not take the place of the other one
        self._read([found])
        if found.id in self._hashes and self._hashes[found.id] == stored.content_sha256:
            return True
        raise FeatxError(
            f"{stored.file} and {found.file} would both be stored as '{found.id}'; give a folder that holds both, another "
            "--to, or remove the first with featx store remove"
        )

    def _has_moved(self, found: FoundFile, stored: StoredFile) -> bool:
        return bool(found.root and stored.root) and not _same_place(found, stored) and is_gone(stored.file)

    def _may_be_elsewhere(self, stored: StoredFile, sizes: set[int]) -> bool:
        """Tells whether a stored file is not where it was, and may be one of those of these sizes."""
        if stored.id in self._taken or stored.state.size_bytes not in sizes:
            return False
        if not stored.complete or stored.content_sha256 is None or stored.root is None:
            return False
        # A folder that is missing as a whole may be of a disk that is not mounted: its files are not gone.
        return stored.id in self._found or (is_there(Path(stored.root)) and is_gone(stored.file))

    def _find_again(self, found: FoundFile, stored_id: str, free: dict[str | None, list[str]]) -> None:
        free[self._hashes[found.id]].remove(stored_id)
        self._taken.add(stored_id)
        self._again.add(found.id)
        assert found.state is not None
        now = {"root": found.root, "path": found.path, "mtime_ns": found.state.mtime_ns}
        if stored_id == found.id:
            self._changes.touched.append(found.id)
        else:
            self._changes.moved.append(found.id)
            now["id"] = found.id
        self._changes.updates[stored_id] = now

    def _move_roots(self) -> None:
        """Says of a folder that has moved as a whole only that: one line instead of one a video."""
        of_root = Counter(each.root for each in self._stored.values())
        moved: dict[tuple[str, str], list[str]] = {}
        for video_id, now in self._changes.updates.items():
            stored = self._stored[video_id]
            if set(now) == {"root", "path"} and now["path"] == stored.path and stored.root:
                moved.setdefault((stored.root, now["root"]), []).append(video_id)
        for (before, after), ids in moved.items():
            if len(ids) == of_root[before] > 1:
                self._changes.root_moves.append((before, after))
                for video_id in ids:
                    del self._changes.updates[video_id]

    def _read(self, files: Iterable[FoundFile]) -> None:
        """Learns the hashes of files; one that cannot be read has none."""
        wanted = [each for each in files if each.id not in self._hashes]

        if len(wanted) >= MANY_FILES:
            gigabytes = sum(each.state.size_bytes for each in wanted if each.state) / 1e9
            self._say(
                f"the content of {len(wanted):,} files ({gigabytes:,.1f} GB) is compared with what the store knows"
            )

        def read(found: FoundFile) -> str | None:
            try:
                return content_sha256(found.file)
            except OSError:
                return None

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for found, sha256 in zip(wanted, pool.map(read, wanted), strict=True):
                if sha256 is not None:
                    self._hashes[found.id] = sha256


def _features_came_from_elsewhere(found: FoundFile, stored: StoredFile) -> bool:
    """Tells whether the store has imported features of a video: nobody knows the file that they were made of."""
    return stored.path.endswith(IMPORTED) != found.path.endswith(IMPORTED)


def _same_place(found: FoundFile, stored: StoredFile) -> bool:
    return (found.root, found.path) == (stored.root, stored.path) or os.path.realpath(
        found.file
    ) == os.path.realpath(stored.file)
