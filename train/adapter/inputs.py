"""What a run starts from, read and checked; what several runs of one process share is made once."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from featx.clip.choices import Precision
from featx.clip.text_format import TextFormat
from featx.encoders.load import load_text_format
from featx.encoders.model import ImageTextModel
from featx.encoders.text import TextPlan, TextTower
from featx.errors import FeatxError
from featx.features.dataset import (
    CaptionedVideos,
    LabelledVideos,
    StoredParts,
    list_captioned,
    list_labelled,
    load_model_of,
)
from featx.features.sources import PartSource, Source, open_source
from featx.manifest.class_lists import named_class_split, read_labels
from featx.manifest.videos import Manifest, read_manifest
from featx.model.adapter import Adapter
from featx.model.adapter_config import AdapterConfig, AdapterParts
from featx.model.code.check import PlannedUse, check_own
from featx.model.code.own_temporal import OwnModel, open_own
from featx.model.code.source import find_source
from featx.store.reader import FeatureStore

from ..engine.ranks import Ranks
from ..engine.settings import LearnSettings
from .captions import CaptionSampler
from .loader import Loader
from .losses import Objective
from .sampler import ClassSampler, ClipStream, StepSampler, keep_back
from .segments import list_training_segments
from .settings import TrainSettings

BACKGROUND_TEXT = "background"


class SharedResources:
    """Store, manifest, CLIP, text tower and resident features: what a run needs and the next one can use again."""

    def __init__(self, settings: TrainSettings) -> None:
        """Opens store and manifest.

        Raises:
            FeatxError: If one of them cannot be read, the class split does not fit, or a temporal model of one's own does
                not do what it must.
        """
        self._model = settings.model
        self.store = FeatureStore(settings.store)
        self.own_model = open_own_model(settings, self.store.header.fingerprint.width)
        self.whole = read_manifest(settings.manifest)
        self.manifest = choose_seen(self.whole, settings)
        self._towers: dict[tuple[object, ...], TextTower] = {}
        self._held: tuple[Source, dict[str, int]] | None = None

    def for_classes(self, settings: TrainSettings) -> SharedResources:
        """Returns the same for other seen classes: all that is open is shared.

        Raises:
            FeatxError: If the class split does not fit.
        """
        other = copy.copy(self)
        other.manifest = choose_seen(self.whole, settings)
        return other

    @cached_property
    def loaded(self) -> ImageTextModel:
        """The CLIP of the store's features."""
        return load_model_of(self.store, self._model)

    @property
    def text_format(self) -> TextFormat:
        """How its text encoder takes texts."""
        return load_text_format(self._model or self.store.header.model_source)

    def tower(
        self, device: str, precision: Precision = "fp32", compile: bool = False, recompute: bool = False
    ) -> TextTower:
        """Returns the frozen text encoder."""
        key = (device, precision, compile, recompute)
        if key not in self._towers:
            self._towers[key] = TextTower(
                self.loaded.text.to(device), precision, compile, checkpoint=recompute
            )
        return self._towers[key]

    def hold(self, ids: list[str], settings: TrainSettings, ranks: Ranks) -> None:
        """Opens the features of all of the store's videos that the runs to come are about."""
        rows = np.array([self.store.rows(video_id) for video_id in ids], dtype=np.int64)
        source = open_source(
            self.store, ids, rows, ranks.device, settings.feature_memory_gib, ranks.neighbours
        )
        self._held = source, {video_id: place for place, video_id in enumerate(ids)}

    def source(self, videos: StoredParts, settings: TrainSettings, ranks: Ranks) -> Source:
        """Returns the features of some videos, whose indices there are their places in ``videos``."""
        if self._held is None:
            self.hold(list(dict.fromkeys(videos.stored)), settings, ranks)
        assert self._held is not None
        whole, place = self._held
        places = np.array([place[video_id] for video_id in videos.stored], dtype=np.int64)
        return PartSource(whole, places, videos.first_rows)


@dataclass(frozen=True)
class AdapterInputs:
    """All that a run starts from, read and checked; nothing is written yet.

    Attributes:
        shared: What other runs may share.
        manifest: Labels, captions and splits; its classes are those that are learned.
        videos: The training split.
        kept_back: (V,) bool, the videos that validate.
        adapter: Untrained.
        plan: Where the texts (of classes, or sentences) and prompts go.
    """

    shared: SharedResources
    manifest: Manifest
    videos: LabelledVideos | CaptionedVideos
    kept_back: np.ndarray
    adapter: Adapter
    plan: TextPlan

    @property
    def classes(self) -> dict[str, str]:
        """Label to text of the classes that are learned; none where sentences are matched."""
        return {} if isinstance(self.videos, CaptionedVideos) else self.manifest.header.classes

    @property
    def texts(self) -> list[str]:
        """What clips are compared with."""
        return texts_of(self.videos, self.manifest, self.adapter.config)

    @property
    def truncated(self) -> list[str]:
        """Texts that were cut because they were too long."""
        texts = self.texts
        return [texts[index] for index in self.plan.truncated]


def texts_of(
    videos: LabelledVideos | CaptionedVideos, manifest: Manifest, config: AdapterConfig
) -> list[str]:
    """Returns what clips are compared with: sentences, or the texts of classes (and of the background)."""
    return videos.texts if isinstance(videos, CaptionedVideos) else config.texts_of(manifest.header.classes)


def list_videos(
    settings: TrainSettings, store: FeatureStore, manifest: Manifest, split: str
) -> LabelledVideos | CaptionedVideos:
    """Lists what is learned from: videos, segments of them, or videos and their captions.

    Raises:
        FeatxError: If the manifest does not say it, or the store has nothing of it.
    """
    if settings.task == "localisation":
        return list_training_segments(store, manifest, split, settings)
    return (list_captioned if settings.task == "retrieval" else list_labelled)(store, manifest, split)


def prepare(
    settings: TrainSettings, shared: SharedResources, manifest: Manifest, split: str
) -> AdapterInputs:
    """Reads and checks what a run starts from.

    Args:
        settings: Of the run.
        shared: What it may share with others.
        manifest: What is learned, all of ``shared.manifest`` or an episode of it.
        split: That is learned from.

    Raises:
        FeatxError: If store, manifest and CLIP do not belong together.
    """
    videos = list_videos(settings, shared.store, manifest, split)
    kept_back = _keep_back(videos, settings)
    if settings.validation and not kept_back.any():
        where = (
            f"no class of split '{split}' has"
            if settings.task == "recognition"
            else f"split '{split}' has not"
        )
        raise FeatxError(f"--validation {settings.validation}: {where} two videos; leave it out")
    loaded = shared.loaded
    torch.manual_seed(settings.seed)  # the start values are the only numbers that torch draws
    config = config_of(settings, shared.own_model)
    if settings.own_scale:
        _check_bias(settings, loaded)
        config.temperature = 1 / loaded.logit_scale
    adapter = Adapter(
        config,
        loaded.text_width,
        loaded.width,
        shared.own_model,
        loaded.text.format.positions,
    )
    plan = adapter.plan(shared.text_format, texts_of(videos, manifest, adapter.config))
    return AdapterInputs(shared, manifest, videos, kept_back, adapter, plan)


def _check_bias(settings: TrainSettings, loaded: ImageTextModel) -> None:
    """Refuses the sigmoid loss with the bias of a model that has none.

    Raises:
        FeatxError: With the way out.
    """
    if settings.loss == "sigmoid" and not loaded.logit_bias:
        raise FeatxError(
            f"--own-scale: {loaded.name} was not trained with the sigmoid loss and has no bias of its own; give --logit-bias in "
            "its place, or another --loss"
        )


def objective_of(settings: TrainSettings, inputs: AdapterInputs) -> Objective:
    """Returns what a run makes small.

    Args:
        settings: Of the run.
        inputs: What it starts from.
    """
    bias = 0.0
    if settings.loss == "sigmoid":
        bias = inputs.shared.loaded.logit_bias if settings.own_scale else settings.logit_bias
    return Objective(settings.loss, inputs.adapter.config.temperature, bias)


def make_loader(settings: TrainSettings, inputs: AdapterInputs, source: Source, ranks: Ranks) -> Loader:
    """Returns what gives each step its batch, on the device."""
    return Loader(make_sampler(settings, inputs), source, ranks, settings.accumulate, settings.workers)


def make_sampler(settings: TrainSettings, inputs: AdapterInputs) -> StepSampler:
    """Returns what says which clips and texts each step sees."""
    videos = inputs.videos
    learned = np.flatnonzero(~inputs.kept_back)
    clips = ClipStream(settings.seed, settings.batch_size, learned, videos.rows, settings.clip_sampling)
    if isinstance(videos, CaptionedVideos):
        return CaptionSampler(clips, videos)
    return ClassSampler(clips, videos.labels, len(inputs.plan), settings.class_limit)


def _keep_back(videos: LabelledVideos | CaptionedVideos, settings: TrainSettings) -> np.ndarray:
    """Returns (V,) bool, what validates: a share of each class's videos, or of all where they have no class of their own.

    Segments go with their video: those of one video look alike.
    """
    if settings.task == "recognition":
        assert isinstance(videos, LabelledVideos)
        return keep_back(videos.labels, settings.validation, settings.seed)
    whole, video = np.unique(videos.stored, return_inverse=True)
    return keep_back(np.zeros(len(whole)), settings.validation, settings.seed)[video]


def open_own_model(settings: TrainSettings, width: int) -> OwnModel | None:
    """Runs and tries the code of ``--model-code``: who gives it has agreed to it.

    Args:
        settings: Of the run.
        width: D.

    Raises:
        FeatxError: If it is not there, or is no temporal model that can be learned, saved and scored.
    """
    if settings.model_code is None:
        return None
    own = open_own(find_source(settings.model_code), settings.model_option or {})
    parts = settings.accumulate > 1 or settings.devices > 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1
    check_own(own, width, PlannedUse(settings.clip_frames, parts, averaged=settings.ema > 0))
    return own


def config_of(settings: TrainSettings, own: OwnModel | None) -> AdapterConfig:
    """Returns what the adapter is made of.

    Args:
        settings: Of the run.
        own: The module that stands in the place of the temporal Transformer, if one does.
    """
    parts = {name: getattr(settings, name) for name in AdapterParts.model_fields}
    config = AdapterConfig(**parts, model_code=own.record if own else None)
    if settings.proposals and not config.background:
        config.background = BACKGROUND_TEXT
    return config


def choose_seen(manifest: Manifest, settings: LearnSettings) -> Manifest:
    """Returns the part of a manifest that may be learned from: with a class split its seen classes, else all of it.

    Raises:
        FeatxError: If split or list do not fit the manifest.
    """
    if settings.class_split:
        split = named_class_split(settings.class_split, settings.class_split_name, manifest)
        return manifest.only(split.seen)
    if settings.seen_list:
        return manifest.only(read_labels(settings.seen_list, manifest, "--seen-list"))
    return manifest
