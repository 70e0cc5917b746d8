"""What is unusual about the videos of a run, counted and said at its end; nothing is taken in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from featx.errors import printable
from featx.store.schema import VideoInfo

from .plan.settings import ExtractSettings

HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
NAMED = 3  # videos of each kind


@dataclass(frozen=True)
class RemarkKind:
    """Something to say of videos: whether it holds, and the words behind their number."""

    holds: Callable[[VideoInfo], bool]
    words: str


def remark_kinds(settings: ExtractSettings) -> list[RemarkKind]:
    """Returns what is worth saying under some settings."""
    kinds = [
        RemarkKind(
            lambda video_info: video_info.transfer in HDR_TRANSFERS,
            "HDR, not mapped to the range of a screen",
        ),
        RemarkKind(
            lambda video_info: bool(video_info.time_jumps), "with times that step back; they go on from there"
        ),
        RemarkKind(
            lambda video_info: video_info.complete and bool(video_info.concealed),
            "not decodable at the beginning or end",
        ),
    ]
    if not settings.square_pixels:
        is_stretched = RemarkKind(
            lambda video_info: video_info.sample_aspect not in (None, "1:1"),
            "with pixels that are not square, taken as stored (--square-pixels stretches them)",
        )
        kinds.append(is_stretched)
    if not settings.deinterlace:
        kinds.append(
            RemarkKind(
                lambda video_info: bool(video_info.interlaced),
                "interlaced, taken as stored (--deinterlace mends them)",
            )
        )
    if settings.stream is None:
        kinds.append(
            RemarkKind(
                lambda video_info: (video_info.streams or 1) > 1,
                "with several video streams, one was chosen (--stream takes another)",
            )
        )
    return kinds


class Remarks:
    """Gathers what is unusual while videos come in."""

    def __init__(self, settings: ExtractSettings) -> None:
        self._kinds = remark_kinds(settings)
        self._ids: list[list[str]] = [[] for _ in self._kinds]
        self._counts = [0] * len(self._kinds)

    def note(self, video_id: str, video_info: VideoInfo) -> None:
        """Looks at a video that was added."""
        for number, kind in enumerate(self._kinds):
            if kind.holds(video_info):
                self._counts[number] += 1
                if len(self._ids[number]) < NAMED:
                    self._ids[number].append(video_id)

    def lines(self) -> list[str]:
        """Returns a line for each kind that was seen."""
        found = []
        for kind, ids, count in zip(self._kinds, self._ids, self._counts, strict=True):
            if count:
                more = ", …" if count > len(ids) else ""
                names = ", ".join(printable(name) for name in ids)
                found.append(f"{count} {'video' if count == 1 else 'videos'} {kind.words}: {names}{more}")
        return found
