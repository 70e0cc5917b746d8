"""What can be scored: a folder with an adapter that was trained, or with a baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from featx.devices import choose_device
from featx.encoders.load import load_text_format
from featx.encoders.text import TextTower
from featx.errors import FeatxError
from featx.features.clips import ClipSampling
from featx.features.dataset import LabelledVideos, StoredParts, load_model_of
from featx.features.mean_features import mean_features
from featx.features.sources import RowSpans, open_parts
from featx.manifest.class_lists import as_read
from featx.model.adapter import ADAPTER_FILE, Adapter, AdapterHeader, load_adapter, read_header
from featx.model.learned_file import check_settings
from featx.scoring.clip_scores import pool_videos, score_videos
from featx.scoring.results import Method, read_results
from featx.store.reader import FeatureStore

from .baseline_file import BASELINE_FILE, BaselineHeader, read_baseline
from .baseline_methods import linear_scores, nearest_scores, zero_shot_adapter
from .settings import ScoreSettings
from .text_cache import cached_text, text_key
from .texts import count_truncated, encode_templates

TEXTS_AT_ONCE = 1024  # that the text encoder takes together


class Run(Protocol):
    """A run's folder, opened."""

    @property
    def file(self) -> Path:
        """What was learned."""
        ...

    @property
    def method(self) -> Method:
        """How."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """Goes into the results."""
        ...

    @property
    def learned_parameters(self) -> int:
        """How many numbers were learned."""
        ...

    @property
    def header(self) -> AdapterHeader | BaselineHeader:
        """The features that it belongs to, classes, settings of the command that made it, where CLIP was found."""
        ...

    @property
    def uses_clips(self) -> bool:
        """Whether it looks at clips; else at the mean of all rows."""
        ...

    @property
    def task(self) -> str:
        """What it is about: recognition, localisation or retrieval."""
        ...

    def score(
        self, store: FeatureStore, classes: dict[str, str], videos: LabelledVideos, settings: ScoreSettings
    ) -> np.ndarray:
        """Returns (V, C) probabilities of the videos' classes."""
        ...

    def truncated(self, classes: dict[str, str]) -> int:
        """Returns how many class texts are too long and are cut."""
        ...

    def clip_sampling(self, clips: int) -> ClipSampling:
        """Returns the clips that it was trained with, so many of each video."""
        ...


@dataclass(frozen=True)
class AdapterRun:
    """A folder that `featx train` made; ``model`` is where its image-text model is."""

    file: Path
    adapter: Adapter
    header: AdapterHeader
    model: str
    uses_clips: bool = True

    @property
    def task(self) -> str:
        """What was learned."""
        return self.header.config.task

    @property
    def method(self) -> Method:
        """Without anything learned, and without a module of one's own, it is zero-shot CLIP."""
        return "adapter" if self.learned_parameters or self.header.config.model_code else "zero-shot"

    @cached_property
    def config(self) -> dict[str, Any]:
        """Prompts, layers and so on."""
        return self.header.config.for_results()

    @cached_property
    def learned_parameters(self) -> int:
        """Numbers of prompts and Transformer."""
        return self.adapter.parameter_count()

    def text(
        self, classes: dict[str, str], store: FeatureStore, settings: ScoreSettings, device: str
    ) -> Tensor:
        """Returns (C, D) text features of classes, encoded once."""

        def encode(tower: TextTower, texts: list[str]) -> Tensor:
            return self.adapter.encode_texts(tower, self.adapter.plan(tower.format, texts).to(device))

        self.adapter.to(device)
        return _encoded_once(self.file, classes, store, settings, device, encode)

    def score(
        self, store: FeatureStore, classes: dict[str, str], videos: LabelledVideos, settings: ScoreSettings
    ) -> np.ndarray:
        """Returns (V, C) probabilities: clips against the texts of the classes."""
        device = choose_device(settings.device)
        text = self.text(classes, store, settings, device)
        sampling = self.clip_sampling(settings.clips)
        return _score(self.adapter, text, store, videos, settings, sampling)

    def pool(self, store: FeatureStore, videos: StoredParts, settings: ScoreSettings) -> np.ndarray:
        """Returns (V, D) features of videos, of unit length, that sentences are compared with."""
        return _pool(self.adapter, store, videos, settings, self.clip_sampling(settings.clips))

    def truncated(self, classes: dict[str, str]) -> int:
        """Returns how many class texts are too long and are cut."""
        return len(self.adapter.plan(load_text_format(self.model), list(classes.values())).truncated)

    def clip_sampling(self, clips: int) -> ClipSampling:
        """Returns the clips that it was trained with, so many of each video."""
        return _clip_sampling(self.file, self.header.config.clip_frames, self.header.settings, clips)


@dataclass(frozen=True)
class BaselineRun:
    """A folder that `featx baseline` made; ``model`` is where its image-text model is."""

    file: Path
    header: BaselineHeader
    tensors: dict[str, np.ndarray]
    model: str

    @property
    def task(self) -> str:
        """What it was made for."""
        return self.header.task

    @property
    def method(self) -> Method:
        """Which baseline."""
        return self.header.method

    @property
    def uses_clips(self) -> bool:
        """Zero-shot does, to be like an adapter."""
        return self.method == "zero-shot"

    @property
    def config(self) -> dict[str, Any]:
        """The templates of zero-shot, the regularisation of a linear probe."""
        if self.method == "zero-shot":
            return {"templates": self.header.templates}
        return {"c": self.header.settings["c"]} if self.method == "linear-probe" else {}

    @property
    def learned_parameters(self) -> int:
        """Numbers of the classifier."""
        return sum(tensor.size for tensor in self.tensors.values())

    def text(
        self, classes: dict[str, str], store: FeatureStore, settings: ScoreSettings, device: str
    ) -> Tensor:
        """Returns (C, D) text features of classes, averaged over the templates, encoded once."""

        def encode(tower: TextTower, texts: list[str]) -> Tensor:
            return encode_templates(tower, self.header.templates, texts)

        return _encoded_once(self.file, classes, store, settings, device, encode)

    def score(
        self, store: FeatureStore, classes: dict[str, str], videos: LabelledVideos, settings: ScoreSettings
    ) -> np.ndarray:
        """Returns (V, C) probabilities.

        Raises:
            FeatxError: If a class is asked for that a probe or nearest mean has not learned.
        """
        if self.method == "zero-shot":
            device = choose_device(settings.device)
            text = self.text(classes, store, settings, device)
            sampling = self.clip_sampling(settings.clips)
            return _score(self._mean_of_frames, text, store, videos, settings, sampling)
        columns = self._columns(classes)
        features = mean_features(store, videos)
        if self.method == "nearest-mean":
            return nearest_scores(features, self.tensors["means"][columns])
        return linear_scores(features, self.tensors["weight"][columns], self.tensors["bias"][columns])

    def pool(self, store: FeatureStore, videos: StoredParts, settings: ScoreSettings) -> np.ndarray:
        """Returns (V, D) features of videos, of unit length, that sentences are compared with (zero-shot)."""
        return _pool(self._mean_of_frames, store, videos, settings, self.clip_sampling(settings.clips))

    @property
    def _mean_of_frames(self) -> Adapter:
        return zero_shot_adapter(self.header.fingerprint.width, self.header.settings["clip_frames"])

    def truncated(self, classes: dict[str, str]) -> int:
        """Returns how many texts, class by template, are too long and are cut."""
        return count_truncated(load_text_format(self.model), self.header.templates, list(classes.values()))

    def clip_sampling(self, clips: int) -> ClipSampling:
        """Returns the clips that zero-shot was made with, so many of each video."""
        made_with = self.header.settings
        return _clip_sampling(self.file, made_with["clip_frames"], made_with, clips)

    def _columns(self, classes: dict[str, str]) -> list[int]:
        own = list(self.header.classes)
        by_text = {as_read(text): label for label, text in self.header.classes.items()}
        known = {
            label: label if label in self.header.classes else by_text.get(as_read(text))
            for label, text in classes.items()
        }
        strange = [label for label, there in known.items() if there is None]
        if strange:
            raise FeatxError(
                f"{self.file.parent}: a {self.method} baseline knows only the classes that it has learned, and "
                f"'{strange[0]}' is none of them ({len(strange)} such classes); use --classes seen, or zero-shot"
            )
        return [own.index(there) for there in known.values() if there is not None]


def open_run(run: Path, trust_code: bool = False, model: str | None = None) -> AdapterRun | BaselineRun:
    """Opens a run.

    Args:
        run: Its folder, or an adapter file.
        trust_code: Whether a temporal model that is not featx's may run without asking.
        model: Where its image-text model is now, if not where the run says.

    Raises:
        FeatxError: If it holds neither an adapter nor a baseline, or its temporal model may not run.
    """
    file = _file_of(run)
    if file.name == BASELINE_FILE:
        baseline, tensors = read_baseline(file)
        return BaselineRun(file, baseline, tensors, model or baseline.model_source)
    adapter, header = load_adapter(file, trust_code)
    needed = {"strides": list, "stride_weights": list}
    check_settings(file, header.settings, needed, "make it again with featx train")
    return AdapterRun(file, adapter.eval(), header, model or header.model_source)


def _file_of(run: Path) -> Path:
    """Returns the file of what was learned.

    Raises:
        FeatxError: If a folder holds something else.
    """
    if run.suffix == ".safetensors":
        return run
    if (run / BASELINE_FILE).exists() and not (run / ADAPTER_FILE).exists():
        return run / BASELINE_FILE
    if not (run / ADAPTER_FILE).exists() and any(run.glob("results-*.json")):
        from ..report.kinds import kind_of

        raise FeatxError(
            f"{run}: has results, but no adapter or baseline of its own to score (episodes or a sweep); show them with: "
            f"featx table {kind_of(read_results(run)[0])} {run}"
        )
    if not (run / ADAPTER_FILE).exists() and any(run.glob(f"*/{ADAPTER_FILE}")):
        raise FeatxError(f"{run}: is no run, but holds runs; score them with: featx eval {run}/*")
    return run / ADAPTER_FILE


def _clip_sampling(file: Path, frames: int, made_with: Mapping[str, Any], clips: int) -> ClipSampling:
    try:
        return ClipSampling(frames, made_with["strides"], made_with["stride_weights"], clips)
    except (TypeError, ValueError) as error:
        raise FeatxError(f"{file}: its header says no clips that can be taken: {error}") from error


def one_task(runs: list[Path]) -> str:
    """Returns the task that several runs are about.

    Raises:
        FeatxError: If they are about different ones: one table cannot show them.
    """
    tasks = {_task_of(_file_of(run)): run for run in runs}
    if len(tasks) > 1:
        several = ", ".join(f"{run} ({task})" for task, run in tasks.items())
        raise FeatxError(f"{several}: one table is about one task; score them one after the other")
    return next(iter(tasks))


def _task_of(file: Path) -> str:
    return read_baseline(file)[0].task if file.name == BASELINE_FILE else read_header(file).config.task


def _encoded_once(
    file: Path,
    classes: dict[str, str],
    store: FeatureStore,
    settings: ScoreSettings,
    device: str,
    encode: Callable[[TextTower, list[str]], Tensor],
) -> Tensor:
    if settings.model:
        load_model_of(store, settings.model)  # a wrong --model is an error, whatever is cached

    texts = list(classes.values())

    def load_and_encode() -> Tensor:
        tower = TextTower(load_model_of(store, settings.model).text.to(device), settings.precision)
        parts = [texts[first : first + TEXTS_AT_ONCE] for first in range(0, len(texts), TEXTS_AT_ONCE)]
        with torch.no_grad():
            return torch.cat([encode(tower, part) for part in parts])

    key = text_key(file, texts, store.header.fingerprint.weights_sha256)
    key += "" if settings.precision == "fp32" else f"-{settings.precision}"
    return cached_text(file.parent, key, load_and_encode).to(device)  # (C, D)


def config_of(run: Run, settings: ScoreSettings) -> dict[str, Any]:
    """Returns what goes into the results of a run: what it consists of, and the precision where it was reduced."""
    return run.config | ({} if settings.precision == "fp32" else {"precision": settings.precision})


def _score(
    adapter: Adapter,
    text: Tensor,
    store: FeatureStore,
    videos: LabelledVideos,
    settings: ScoreSettings,
    sampling: ClipSampling,
) -> np.ndarray:
    device = str(text.device)
    adapter.precision = settings.precision
    source, spans = open_parts(store, videos, device), RowSpans.whole(videos.rows)
    return score_videos(adapter.to(device), text, source, spans, sampling, settings.batch_size)


def _pool(
    adapter: Adapter,
    store: FeatureStore,
    videos: StoredParts,
    settings: ScoreSettings,
    sampling: ClipSampling,
) -> np.ndarray:
    device = choose_device(settings.device)
    adapter.precision = settings.precision
    source, spans = open_parts(store, videos, device), RowSpans.whole(videos.rows)
    pooled = pool_videos(adapter.to(device), source, spans, sampling, device)
    return pooled.cpu().numpy()
