"""What is odd about segments: official files have some, and they are kept, since results depend on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from featx.manifest.videos import Video


def segment_notes(videos: Iterable[Video]) -> list[str]:
    """Returns for each split how many segments there are, and how many are odd; nothing if no video has any.

    Counted are segments that end after the video (where its duration is known; counted from 0), that repeat an earlier one of their video
    exactly, and that have no length.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for video in videos:
        of_split = counts[video.split or "(none)"]
        seen: set[tuple[str, float, float]] = set()
        of_split["videos"] += bool(video.segments)
        of_split["without"] += not video.segments
        of_split["ambiguous"] += len(video.ambiguous)
        for segment in video.segments:
            key = (segment.label, segment.start_s, segment.end_s)
            of_split["segments"] += 1
            of_split["repeat an earlier one"] += key in seen
            of_split["have no length"] += segment.start_s == segment.end_s
            if video.duration_s is not None:
                of_split["end after their video"] += segment.end_s > video.duration_s
            seen.add(key)
    if not any(of_split["segments"] for of_split in counts.values()):
        return []
    return [_note(split, of_split) for split, of_split in counts.items()]


def _note(split: str, counts: Counter[str]) -> str:
    if not counts["segments"]:
        return f"{split}: no video has segments, so it cannot be scored"
    parts = [f"{split}: {counts['segments']:,} segments in {counts['videos']:,} videos"]
    parts += [
        f"{counts[odd]:,} {odd}"
        for odd in ("end after their video", "repeat an earlier one", "have no length")
        if counts[odd]
    ]
    if counts["ambiguous"]:
        parts.append(f"{counts['ambiguous']:,} ambiguous intervals")
    if counts["without"]:
        parts.append(f"{counts['without']:,} videos have no segment")
    return ", ".join(parts)
