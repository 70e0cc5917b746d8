"""A split of a manifest and what a store has of it: what training and evaluation both start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featx.clip.load import LoadedClip, load_clip
from featx.errors import FeatxError
from featx.manifest import Manifest
from featx.store.reader import FeatureStore
from featx.store.schema import Fingerprint


@dataclass(frozen=True)
class LabelledVideos:
    """The videos of a split that have features, and the ids of those that have none.

    Attributes:
        ids: V video ids.
        labels: (V,) int64 class indices, in the manifest's class order.
        rows: (V,) int64, rows of each video in the store.
        missing: Ids of the split's videos that the store lacks.
    """

    ids: list[str]
    labels: np.ndarray
    rows: np.ndarray
    missing: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def choose(self, videos: np.ndarray) -> LabelledVideos:
        """Returns some of the videos, by index; what is missing stays the whole split's."""
        ids = [self.ids[index] for index in videos]
        return LabelledVideos(ids, self.labels[videos], self.rows[videos], self.missing)


def list_labelled(store: FeatureStore, manifest: Manifest, split: str) -> LabelledVideos:
    """Lists a split's videos and labels; videos without features are listed, never silently dropped.

    Raises:
        FeatxError: If a video has no label, or the store has none of the split's videos.
    """
    videos = manifest.split(split)
    unlabelled = [video.id for video in videos if video.label is None]
    if unlabelled:
        raise FeatxError(
            f"{manifest.file}: {len(unlabelled)} videos of split '{split}' have no label, '{unlabelled[0]}' first"
        )
    present = [video for video in videos if video.id in store]
    missing = [video.id for video in videos if video.id not in store]
    if not present:
        raise FeatxError(
            f"{store.path}: has none of the {len(videos)} videos of split '{split}' of {manifest.file}; ids there look "
            f"like '{videos[0].id}', in the store like '{next(iter(store), '(empty store)')}'"
        )
    class_index = {label: index for index, label in enumerate(manifest.labels)}
    labels = np.array([class_index[str(video.label)] for video in present])
    ids = [video.id for video in present]
    return LabelledVideos(ids, labels, np.array([store.rows(video_id) for video_id in ids]), missing)


def load_clip_of(store: FeatureStore, source: str | None) -> LoadedClip:
    """Loads the CLIP that a store's features were made with.

    Args:
        store: The store.
        source: Where to find it, when it is not where the store says.

    Raises:
        FeatxError: If the weights are not those that made the features.
    """
    loaded = load_clip(source or store.header.model_source)
    made_with = store.header.fingerprint
    if loaded.weights_sha256 != made_with.weights_sha256:
        raise FeatxError(
            f"--model {loaded.source}: weights {loaded.weights_sha256[:12]}, but {store.path} was made with "
            f"{made_with.model}, weights {made_with.weights_sha256[:12]}; give that one as --model"
        )
    return loaded


def check_fingerprint(adapter: Fingerprint, store: FeatureStore, adapter_file: object) -> None:
    """Refuses an adapter that was learned on other features.

    Raises:
        FeatxError: Naming every difference.
    """
    differences = adapter.differences(store.header.fingerprint)
    if differences:
        raise FeatxError(
            f"{adapter_file}: learned on other features than {store.path} ({'; '.join(differences)})"
        )
