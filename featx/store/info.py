"""What a store is, in figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from featx.store.failures import FailureList
from featx.store.index import read_header, read_records


def describe(path: Path) -> dict[str, Any]:
    """Returns a store's figures, ready for JSON.

    Raises:
        FeatxError: If it is not a store, or its index is damaged.
    """
    header = read_header(path)
    rows: list[int] = []
    incomplete: list[str] = []
    shards = dropped = size_bytes = unknown_durations = 0
    seconds = 0.0
    for record in read_records(path, header):
        if not record.ids:
            dropped += 1
            continue
        shards += 1
        size_bytes += sum(size for size, _ in record.files.values())
        rows += record.rows
        for video_id, complete, duration in zip(
            record.ids, record.facts["complete"], record.facts["duration_s"], strict=True
        ):
            if not complete:
                incomplete.append(video_id)
            if duration is None:
                unknown_durations += 1
            else:
                seconds += duration
    return {
        "store": str(path),
        "format": header.format,
        "created": header.created,
        "fingerprint": header.fingerprint.model_dump(),
        "model_source": header.model_source,
        "versions": header.versions,
        "videos": len(rows),
        "rows": sum(rows),
        "rows_per_video": _spread(rows),
        "bytes": size_bytes,
        "shards": shards,
        "dropped_shards": dropped,
        "hours": seconds / 3600,
        "videos_of_unknown_duration": unknown_durations,
        "incomplete_videos": incomplete,
        "failed_videos": len(FailureList(path).ids),
    }


def _spread(rows: list[int]) -> dict[str, float]:
    if not rows:
        return {}
    return {"min": min(rows), "median": float(np.median(rows)), "max": max(rows)}
