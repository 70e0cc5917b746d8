"""What a store holds, as the pages show it: figures, videos with the state of their files, failures, annotations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from featx.store.failures import FailureList
from featx.store.reader import FeatureStore
from featx.store.source_files import source_file, state_of
from featx.store.upkeep.info import describe

from .engine import Engine
from .requests import Listing

MOST_NAMED = 1000  # failures, and ids that a manifest has and the store lacks
MOST_FOLDERS = 200


def of_store(engine: Engine) -> dict[str, Any]:
    """Returns figures of a store, its folders, its failures with their reasons, and its coverage of the manifest."""
    store = engine.store
    failures = FailureList(store.path, store.index.failures)
    folders = Counter(video_id.rpartition("/")[0] for video_id in store if "/" in video_id)
    failed = [failures[video_id] for video_id in list(failures.ids)[:MOST_NAMED]]
    content = describe(Path(store)) | {
        "folders": [
            {"folder": name, "videos": count} for name, count in sorted(folders.items())[:MOST_FOLDERS]
        ],
        "failures": [
            {"id": one.id, "path": one.path, "stage": one.stage, "error": one.error, "outcome": one.outcome}
            for one in failed
        ],
    }
    if engine.manifest is not None:
        wanted = dict.fromkeys(video.stored_id for video in engine.manifest.videos)
        missing = [video_id for video_id in wanted if video_id not in store]
        content["coverage"] = {
            "manifest": engine.manifest.header.name,
            "videos": len(wanted),
            "missing": len(missing),
            "missing_ids": missing[:MOST_NAMED],
        }
        content["classes"] = engine.manifest.header.classes
    return content


def listed(engine: Engine, asked: Listing) -> dict[str, Any]:
    """Returns a page of the list of videos, each with the state of its file."""
    store = engine.store
    found = sorted(video_id for video_id in store if asked.find.casefold() in video_id.casefold())
    ids = found[asked.offset : asked.offset + asked.limit]
    return {"videos": _described(engine, store, ids), "total": len(found), "offset": asked.offset}


def of_video(engine: Engine, video_id: str) -> dict[str, Any]:
    """Returns what is known of a video, and what the manifest says of it, on the store's timeline."""
    store = engine.store
    (known,) = _described(engine, store, [video_id])
    pts = store.pts(video_id)
    segments, labels, captions = [], [], []
    for video in engine.annotations(video_id):
        labels += [video.label] if video.label else []
        captions += video.captions
        begin_s = video.part_start_s
        segments += [
            {"label": one.label, "start_s": begin_s + one.start_s, "end_s": begin_s + one.end_s}
            for one in video.segments
        ]
    return known | {
        "file": engine.place(video_id).shown,
        "begin_s": engine.place(video_id).begin_s,
        "first_s": float(pts[0]) if pts[0] == pts[0] else None,
        "last_s": float(pts[-1]) if pts[-1] == pts[-1] else None,
        "labels": labels,
        "captions": captions,
        "segments": segments,
    }


def _described(engine: Engine, store: FeatureStore, ids: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "video": video_id,
            "rows": store.rows(video_id),
            "duration_s": one.duration_s,
            "width": one.width,
            "height": one.height,
            "complete": one.complete,
            "state": _state(engine, video_id, one),
        }
        for video_id, one in store.video_info(ids).items()
    ]


def _state(engine: Engine, video_id: str, info: Any) -> str:
    """Returns whether a video's file is there and as it was when its features were made."""
    state = state_of(source_file(video_id, info, engine.settings.videos))
    if state is None:
        return "missing"
    return "there" if state.size_bytes == info.size_bytes else "changed"
