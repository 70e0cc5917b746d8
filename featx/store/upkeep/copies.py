"""New stores out of stores: merged, or in another format or type. One shard is in memory at a time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from featx.errors import FeatxError
from featx.store.failures import FailureList
from featx.store.reader import FeatureStore
from featx.store.schema import Fingerprint
from featx.store.writing.new_folder import made_whole
from featx.store.writing.writer import StoreWriter


def merge(stores: list[Path], to: Path, format: str | None = None) -> int:
    """Makes one store out of several that have no video in common.

    Args:
        stores: What to merge; all must have one fingerprint.
        to: The new store.
        format: Its format; by default that of the first.

    Returns:
        How many videos it has.

    Raises:
        FeatxError: Naming what differs, or the videos that are in two stores.
    """
    sources = [FeatureStore(path) for path in stores]
    first = sources[0]
    owner: dict[str, Path] = {}
    for source in sources:
        differences = source.header.fingerprint.differences(first.header.fingerprint)
        if differences:
            raise FeatxError(
                f"{source.path}: not made as {first.path} was ({'; '.join(differences)}); only stores with equal "
                "fingerprints can be merged"
            )
        if source.header.featx_store != first.header.featx_store:
            old, new = sorted((first, source), key=lambda store: store.header.featx_store)
            raise FeatxError(
                f"{old.path}: its times count from the start of each video, those of {new.path} are the files' own; "
                "extract the videos of the first anew, or keep the two apart"
            )
        common = [video_id for video_id in source if video_id in owner]
        if common:
            raise FeatxError(
                f"{source.path}: {len(common)} of its videos are in {owner[common[0]]} too, '{common[0]}' first; only "
                "stores of different videos can be merged"
            )
        owner.update(dict.fromkeys(source, source.path))
    return _copy(sources, to, first.header.fingerprint, format or first.header.format)


def convert(
    source: Path, to: Path, format: str | None = None, dtype: Literal["float16", "float32"] | None = None
) -> int:
    """Copies a store into another format or type; another type is another fingerprint.

    Returns:
        How many videos it has.

    Raises:
        FeatxError: If a value does not fit the type.
    """
    store = FeatureStore(source)
    fingerprint = store.header.fingerprint
    if dtype is not None:
        fingerprint = fingerprint.model_copy(update={"dtype": dtype})
    return _copy([store], to, fingerprint, format or store.header.format)


def _copy(sources: list[FeatureStore], to: Path, fingerprint: Fingerprint, format: str) -> int:
    header = sources[0].header
    names = {name for source in sources for name in source.header.versions}
    versions = {
        name: ", ".join(dict.fromkeys(s.header.versions[name] for s in sources if name in s.header.versions))
        for name in sorted(names)
    }
    with made_whole(to) as partial:
        with StoreWriter(
            partial,
            fingerprint,
            format,
            header.model_source,
            versions=versions,
            schema_version=header.featx_store,
        ) as writer:
            failures = FailureList(partial)
            for source in sources:
                for video_id, video, video_info in source.videos():
                    with np.errstate(over="ignore"):  # the writer says which video and row
                        features = video.features.astype(fingerprint.dtype, copy=False)
                    writer.add(
                        video_id, dataclasses.replace(video, features=features), video_info, as_stored=True
                    )
                failures.take(FailureList(source.path, source.index.failures))
            writer.commit()
            failures.tidy({video_id for video_id, complete in writer.done.items() if complete})
        return len(writer.done)
