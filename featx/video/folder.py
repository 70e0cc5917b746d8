"""The one walk through a folder of videos: what is taken, and what is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from featx.errors import FeatxError, printable
from featx.video.files import ending_of, is_video

# What network drives and operating systems put beside people's files, without a dot before the name: previews,
# deleted files, snapshots. In small letters.
SYSTEM_FOLDERS = frozenset(
    {
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "lost+found", "__macosx"),
        *("$recycle.bin", "recycler", "system volume information", "network trash folder", "temporary items"),
    }
)
NAMED = 8  # endings that a message names


@dataclass(frozen=True)
class VideoFolder:
    """What lies below a folder. Everything is a path within it, with `/`, and sorted.

    Attributes:
        videos: Video files; the paths are the ids that `featx extract FOLDER` gives.
        others: Files that are not taken as video. Nothing but their names was looked at.
        hidden: Hidden files that would be videos, and hidden folders (with a `/` at the end), which were not entered.
        linked_folders: Symbolic links to folders, which are not entered: they may lead in circles.
    """

    videos: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    linked_folders: list[str] = field(default_factory=list)

    @property
    def unnameable(self) -> list[str]:
        """Videos whose name is not UTF-8 and so cannot stand in a manifest."""
        return [path for path in self.videos if not _is_utf8(path)]

    def left_out(self, hidden_way: str = "", ending_way: str = "") -> list[str]:
        """Returns a line for each kind of thing that was left out without a look at it; none if nothing was.

        Args:
            hidden_way: What to do to have hidden files, for the message.
            ending_way: What to do to have files of other endings, for the message.
        """
        lines = []
        if self.others:
            ways = f" ({ending_way})" if ending_way else ""
            lines.append(f"{_count(self.others, 'file')} not taken as video: {_by_ending(self.others)}{ways}")
        if self.hidden:
            ways = f" ({hidden_way})" if hidden_way else ""
            first = ", ".join(f"'{printable(path)}'" for path in self.hidden[:3])
            more = f" and {len(self.hidden) - 3:,} more" if len(self.hidden) > 3 else ""
            count = _count(self.hidden, "hidden file or folder", "hidden files and folders")
            lines.append(f"{count} left out: {first}{more}{ways}")
        return lines


def search_folder(folder: Path, hidden: bool = False, also: Collection[str] = ()) -> VideoFolder:
    """Walks once through a folder.

    Args:
        folder: The folder; it may itself be hidden.
        hidden: Whether hidden files and folders are taken: those whose name begins with a dot, and what network
            drives and operating systems keep for themselves.
        also: Further endings of videos, with the dot and in small letters.

    Raises:
        FeatxError: If a folder cannot be read: without it, its videos would seem to be gone.
    """

    def refuse(error: OSError) -> None:
        raise FeatxError(f"{error.filename}: cannot read the folder ({error.strerror})") from error

    found = VideoFolder()
    start = str(folder)
    for parent, folders, files in os.walk(start, onerror=refuse):
        within = os.path.relpath(parent, start).replace(os.sep, "/") + "/" if parent != start else ""
        entered = []
        for name in folders:
            if not hidden and is_hidden(name):
                found.hidden.append(f"{within}{name}/")
            elif os.path.islink(f"{parent}/{name}"):  # noqa: PTH114 a Path for each of 600,000 is slow
                found.linked_folders.append(within + name)
            else:
                entered.append(name)
        folders[:] = entered
        for name in files:
            video = ending_of(name) in also or is_video(f"{parent}/{name}")
            if not hidden and is_hidden(name):
                if video:
                    found.hidden.append(within + name)
            else:
                (found.videos if video else found.others).append(within + name)
    for paths in (found.videos, found.others, found.hidden, found.linked_folders):
        paths.sort()
    return found


def reason_to_refuse(path: Path, root: Path, follow_links: bool, link_way: str) -> str:
    """Says why a file must not be opened: a pipe or a device would never end, a link may lead anywhere.

    Args:
        path: The file.
        root: The folder that it was found in.
        follow_links: Whether it may lie, through a symbolic link, outside that folder.
        link_way: What to do to have it then, for the message.
    """
    if not path.exists():
        return "no such file"
    if not path.is_file():
        return "not a regular file"
    if not follow_links and path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        return f"a symbolic link that leads out of the folder; {link_way}"
    return ""


def is_hidden(name: str) -> bool:
    """Says by its name whether a file or folder is hidden, or is not the user's own."""
    return name.startswith(".") or name.casefold() in SYSTEM_FOLDERS


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _count(things: list[str], one: str, many: str = "") -> str:
    return f"1 {one} is" if len(things) == 1 else f"{len(things):,} {many or one + 's'} are"


def _by_ending(paths: list[str]) -> str:
    counts = Counter(map(ending_of, paths)).most_common()
    counts.sort(key=lambda item: (-item[1], item[0]))
    named = [f"{count:,} {printable(ending) or 'without ending'}" for ending, count in counts[:NAMED]]
    rest = counts[NAMED:]
    if rest:
        named.append(f"{sum(count for _, count in rest):,} with {len(rest):,} other endings")
    return ", ".join(named)
