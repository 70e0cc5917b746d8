"""Small stores that several tests make."""

from pathlib import Path

import numpy as np

from featx.store.schema import Fingerprint, VideoFeatures, VideoInfo
from featx.store.writing.writer import StoreWriter

FORMATS = ["zarr", "hdf5"]


def fingerprint(width: int = 8, **changes: str) -> Fingerprint:
    return Fingerprint(model="m", weights_sha256="0" * 64, input_size=64, width=width, **changes)


def video(rows: int, seed: int, width: int = 8) -> VideoFeatures:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, width)).astype(np.float16)
    return VideoFeatures(features, np.arange(rows) / 25, np.arange(rows, dtype=np.int32))


def video_info(name: str) -> VideoInfo:
    return VideoInfo(name, 1, 2, 320, 240, 1.5)


def make_store(
    path: Path, videos: dict[str, VideoFeatures], format: str = "zarr", shard_bytes: int = 2**26, **changes
) -> Path:
    width = next(iter(videos.values())).features.shape[1] if videos else 8
    with StoreWriter(path, fingerprint(width, **changes), format, shard_bytes=shard_bytes) as writer:
        for name, one in videos.items():
            writer.add(name, one, video_info(name))
    return path


def numbered(lengths: list[int]) -> dict[str, VideoFeatures]:
    return {f"folder/{index}.mp4": video(rows, index) for index, rows in enumerate(lengths)}


def assert_equal(one: VideoFeatures, other: VideoFeatures) -> None:
    for name in ("features", "pts", "frame_index"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
