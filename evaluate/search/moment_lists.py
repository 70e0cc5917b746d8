"""Lists of found moments that players and editing programs open: SubRip subtitles and CMX 3600 edit lists."""

from __future__ import annotations

import math
from collections.abc import Mapping

from featx.errors import FeatxError, printable
from featx.output.clock import subtitle_time, time_code

from .answers import Answer
from .exact.search import Hit
from .places import Place

LONGEST_REEL = 8  # characters of CMX 3600
MOST_EVENTS = 999


def subtitles(answers: list[Answer], places: Mapping[str, Place]) -> str:
    """Returns SubRip subtitles: a cue for each hit, from its start to its end as a player counts.

    Raises:
        FeatxError: If hits lie in several videos, or times are not known.
    """
    hits = [(hit, answer.query) for answer in answers for hit in answer.hits]
    ids = sorted({hit.video for hit, _ in hits})
    if len(ids) > 1:
        raise FeatxError(
            f"--format srt: subtitles are of one video, and results lie in {len(ids)}; choose one with --video ID"
        )
    _check_times(hits, "srt")
    cues = []
    for number, (hit, query) in enumerate(sorted(hits, key=lambda one: one[0].start_s), start=1):
        begin_s = places[hit.video].begin_s
        times = f"{subtitle_time(hit.start_s - begin_s)} --> {subtitle_time(hit.end_s - begin_s)}"
        text = printable(query).replace("-->", "->")
        cues.append(f"{number}\n{times}\n{text} ({hit.score:.3f})\n")
    return "\n".join(cues)


def edit_list(answers: list[Answer], places: Mapping[str, Place], title: str, fps: int) -> str:
    """Returns a CMX 3600 edit list: the hits one after another, the best first, with the path of each one's file.

    Args:
        answers: What was found.
        places: Of the videos.
        title: Of the list.
        fps: Frames a second of the time codes, which count from the beginning of each file.

    Raises:
        FeatxError: If times are not known, or there are more hits than a list may have.
    """
    hits = [(hit, answer.query) for answer in answers for hit in answer.hits]
    _check_times(hits, "edl")
    if len(hits) > MOST_EVENTS:
        raise FeatxError(
            f"--format edl: an edit list has at most {MOST_EVENTS} events, and {len(hits):,} were found; take less "
            "--top"
        )
    reels: dict[str, str] = {}
    lines = [f"TITLE: {printable(title)}", "FCM: NON-DROP FRAME", ""]
    record = 0
    for number, (hit, query) in enumerate(hits, start=1):
        place = places[hit.video]
        reel = reels.setdefault(hit.video, f"V{len(reels) + 1:0{LONGEST_REEL - 1}}")
        start = max(round((hit.start_s - place.begin_s) * fps), 0)
        frames = max(round((hit.end_s - place.begin_s) * fps) - start, 1)
        span = [time_code(one, fps) for one in (start, start + frames, record, record + frames)]
        lines += [
            f"{number:03}  {reel} V     C        {' '.join(span)}",
            f"* FROM CLIP NAME: {printable(hit.video)}",
            f"* SOURCE FILE: {printable(place.shown)}",
            f"* COMMENT: {printable(query)} ({hit.score:.3f})",
            "",
        ]
        record += frames
    return "\n".join(lines).rstrip("\n")


def _check_times(hits: list[tuple[Hit, str]], format: str) -> None:
    unknown = next((hit.video for hit, _ in hits if math.isnan(hit.start_s)), None)
    if unknown is not None:
        raise FeatxError(
            f"--format {format}: needs times, and the store does not know when the rows of '{unknown}' are shown; "
            "take --format csv"
        )
