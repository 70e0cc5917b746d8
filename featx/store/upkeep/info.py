"""What a store is, in figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from featx.store.failures import FailureList
from featx.store.index import StoreIndex, read_header
from featx.store.mirror import local_folder
from featx.store.schema import array_layout


def describe(path: Path) -> dict[str, Any]:
    """Returns a store's figures, ready for JSON.

    Raises:
        FeatxError: If it is not a store, or its index is damaged.
    """
    path = local_folder(path)
    header = read_header(path)
    index = StoreIndex(path, header, ("complete", "duration_s"))
    rows = index.rows.tolist()
    durations = index.video_info["duration_s"]
    shards = [shard for shard in index.shards if shard.videos]
    failures = FailureList(path, index.failures)
    dropped_rows = sum(shard.rows for shard in shards) - sum(rows)
    row_bytes = sum(
        dtype.itemsize * math.prod(row_shape)
        for name, (dtype, row_shape) in array_layout(header.fingerprint).items()
        if name != "offsets"
    )
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
        "bytes": sum(size for shard in shards for size in shard.size_of.values()),
        "shards": len(shards),
        "dropped_shards": len(index.shards) - len(shards),
        "dropped_videos": int(index.dropped.sum()),
        "dropped_bytes": dropped_rows * row_bytes,
        "renamed_videos": len(index.live.recorded_ids),
        "hours": sum(seconds for seconds in durations if seconds is not None) / 3600,
        "videos_of_unknown_duration": durations.count(None),
        "incomplete_videos": [
            video_id
            for video_id, complete in zip(index.ids, index.video_info["complete"], strict=True)
            if not complete
        ],
        "failed_videos": len(failures.ids),
        "accepted_failures": len(failures.accepted),
    }


def _spread(rows: list[int]) -> dict[str, float]:
    if not rows:
        return {}
    return {"min": min(rows), "median": float(np.median(rows)), "max": max(rows)}
