"""Which of one's own videos the names in somebody's file mean: one rule for detections, proposals and lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from featx.errors import FeatxError
from featx.video.files import without_ending

LEAST_SHARE = 0.5  # of the videos that are asked for; with fewer in a file, its names most likely mean others


class NameFinder:
    """Finds the id that a name in somebody's file means: the id itself, without folder and ending, without one `v_`."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = list(dict.fromkeys(ids))
        self._by_name: dict[str, str | None] = {}
        for forms in zip(*map(_forms, self._ids), strict=True):
            # an exact name goes before a shorter one; a name that two ids share means neither
            level: dict[str, str | None] = {}
            for name, video_id in zip(forms, self._ids, strict=True):
                level[name] = video_id if level.get(name, video_id) == video_id else None
            self._by_name = level | self._by_name

    def find(self, name: str) -> str | None:
        """Returns the id, or None if there is no such video or more than one."""
        for form in _forms(name):
            if form in self._by_name:
                return self._by_name[form]
        return None


def _forms(name: str) -> tuple[str, str, str]:
    bare = without_ending(name.rsplit("/", 1)[-1])
    return name, bare, bare.removeprefix("v_")


def find_videos(
    names: Iterable[str], asked: Sequence[str], others: Iterable[str], place: str
) -> dict[str, str]:
    """Returns those names of a file that mean a video that is asked for, with its id, in the order of the file.

    Args:
        names: What the file calls its videos.
        asked: Ids that are looked for.
        others: Ids of further videos that the file may name: such a name means none of those.
        place: Flag and file, for messages.

    Raises:
        FeatxError: If two names mean one video.
    """
    finder = NameFinder([*asked, *others])
    wanted = set(asked)
    name_of: dict[str, str] = {}
    for name in names:
        video_id = finder.find(name)
        if video_id not in wanted or video_id is None:
            continue
        if video_id in name_of:
            raise FeatxError(f"{place}: '{name_of[video_id]}' and '{name}' both mean video '{video_id}'")
        name_of[video_id] = name
    return {name: video_id for video_id, name in name_of.items()}


def refuse_few(found: Mapping[str, str], asked: Sequence[str], names: Iterable[str], place: str) -> None:
    """Refuses a file that has less than half of the videos that are asked for.

    Args:
        found: By `find_videos`.
        asked: Ids that are looked for.
        names: What the file calls its videos.
        place: Flag and file, for messages.

    Raises:
        FeatxError: With a name of the file and an id that it lacks.
    """
    if len(found) >= LEAST_SHARE * len(asked):
        return
    there = set(found.values())
    lacking = next(video_id for video_id in asked if video_id not in there)
    strange = next((name for name in names if name not in found), None)
    has = f"only {len(found)}" if found else "none"
    looks = f" and names '{strange}', which is none of them" if strange is not None else ""
    raise FeatxError(
        f"{place}: has {has} of the {len(asked)} videos that are asked for, which is less than half: it lacks '{lacking}'"
        f"{looks}; list a video in which nothing was found with nothing"
    )
