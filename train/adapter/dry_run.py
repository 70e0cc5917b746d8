"""`featx train --dry-run`: what a run would be, what a step costs, and everything that is missing for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from featx.clip.text_format import TextFormat
from featx.encoders.downloads import NotHere, fetching_nothing
from featx.encoders.families import OPENAI_FAMILY, family_of
from featx.encoders.load import load_model, load_text_format
from featx.encoders.openai import OPENAI, TINY, cached_file
from featx.encoders.text import plan_texts
from featx.errors import FeatxError
from featx.manifest.episodes import read_episodes
from featx.manifest.videos import Manifest, read_manifest
from featx.model.adapter import Adapter
from featx.store.reader import FeatureStore

from .cost import SIZES, TextSize, memory_bytes, temporal_flops, text_flops
from .inputs import choose_seen, config_of, open_own_model
from .settings import TrainSettings

Value = TypeVar("Value")
USUAL = "ViT-B/16"
STAND_IN_SENTENCE = "a person opens the door and walks into room"  # as long as MSR-VTT's
STAND_IN_CLASSES = 51  # HMDB51's, where no manifest says how many


@dataclass
class DryRunReport:
    """What a dry run found.

    Attributes:
        lines: For the user.
        problems: What keeps the run from starting; all of it.
    """

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def attempt(self, work: Callable[[], Value]) -> Value | None:
        """Returns what ``work`` returns, or notes its error.

        Raises:
            NotHere: If something has to be downloaded first, which is no problem of the run.
        """
        try:
            return work()
        except NotHere:
            raise
        except FeatxError as error:
            self.problems.append(str(error))
            return None


@dataclass(frozen=True)
class PlannedEncoder:
    """The text encoder that a run would take: its name, sizes, and how it takes texts."""

    name: str
    size: TextSize
    format: TextFormat


def dry_run(settings: TrainSettings) -> DryRunReport:
    """Says what a run with these settings would be. Nothing is learned or written, and no weights are downloaded."""
    report = DryRunReport()
    for name, value in settings.model_dump(mode="json").items():
        report.lines.append(f"{name} = {json.dumps(value)}")
    store = report.attempt(lambda: FeatureStore(settings.store))
    whole = report.attempt(lambda: read_manifest(settings.manifest))
    manifest = report.attempt(lambda: choose_seen(whole, settings)) if whole else None
    encoder = _encoder(settings, store, report)
    texts = (
        list(manifest.header.classes.values())
        if manifest
        else [f"class {n}" for n in range(STAND_IN_CLASSES)]
    )
    if manifest:
        texts = _check_videos(settings, store, manifest, texts, report)
    else:
        lists = (settings.episodes, settings.class_split, settings.seen_list)
        report.problems += [f"{file}: no such file" for file in lists if file and not file.is_file()]
        stand_in = (
            "short sentences" if settings.task == "retrieval" else f"{STAND_IN_CLASSES} short class names"
        )
        report.lines.append(f"# without the manifest the cost is that of {stand_in}")
    if settings.task == "retrieval":
        texts = _sentences(settings, manifest, encoder, report)
    _cost(settings, encoder, texts[: settings.class_limit], report)
    return report


def _sentences(
    settings: TrainSettings, manifest: Manifest | None, encoder: PlannedEncoder, report: DryRunReport
) -> list[str]:
    """Returns as many sentences as a step has, evenly taken from the training split; notes how many are too long."""
    if manifest is None:
        return [f"{STAND_IN_SENTENCE} {number}" for number in range(settings.batch_size)]
    videos = [video for video in manifest.videos if video.split == settings.train_split]
    texts = list(dict.fromkeys(caption for video in videos for caption in video.captions))
    if not texts:
        report.problems.append(f"{manifest.file}: no video of split '{settings.train_split}' has captions")
        return [STAND_IN_SENTENCE]
    plan = plan_texts(encoder.format, texts, settings.prompts, settings.layout, settings.suffix)
    report.lines.append(
        f"# {len(plan.truncated)} of {len(texts)} sentences cut; the cost is that of {settings.batch_size} sentences of a batch"
    )
    return texts[:: max(len(texts) // settings.batch_size, 1)][: settings.batch_size]


def _encoder(settings: TrainSettings, store: FeatureStore | None, report: DryRunReport) -> PlannedEncoder:
    """Returns the text encoder's name, sizes and format: of a file or the tiny one from the weights, of OpenAI's from the table."""
    source = settings.model or (store.header.model_source if store else USUAL)
    name = store.header.fingerprint.model if store else source
    file = Path(source.removeprefix(OPENAI)).expanduser()
    if family_of(source) != OPENAI_FAMILY or (source not in SIZES and (source == TINY or file.is_file())):
        loaded = None
        try:
            with fetching_nothing():
                loaded = report.attempt(lambda: load_model(source, is_openai=store is not None))
        except NotHere:
            report.lines.append(
                f"# {source} is not here yet: the run downloads it; the cost is that of {USUAL}"
            )
        if loaded:
            blocks = len(loaded.text.weights.blocks)
            size = TextSize(loaded.text_width, loaded.width, blocks)
            return PlannedEncoder(source, size, loaded.text.format)
    elif source not in SIZES:
        report.problems.append(f"--model {source}: not there; say with --model where CLIP's weights are")
    else:
        file = cached_file(source)
        if not file.is_file():
            report.lines.append(f"# CLIP's weights are not here yet: the run downloads {source} to {file}")
    return PlannedEncoder(name, SIZES.get(name, SIZES[USUAL]), load_text_format(USUAL))


def _check_videos(
    settings: TrainSettings,
    store: FeatureStore | None,
    manifest: Manifest,
    texts: list[str],
    report: DryRunReport,
) -> list[str]:
    """Notes which videos have no features; returns the texts of one adapter, which are an episode's where there are some."""
    if settings.episodes:
        file = settings.episodes
        found = report.attempt(lambda: read_episodes(file, manifest))
        if found is None:
            return texts
        ids = list(
            dict.fromkeys(one for episode in found.episodes for one in [*episode.train, *episode.test])
        )
        report.lines.append(f"# {len(found.episodes)} episodes of {len(ids)} videos; the cost is that of one")
        texts = [manifest.header.classes[label] for label in found.episodes[0].classes]
    else:
        videos = report.attempt(lambda: manifest.split(settings.train_split))
        ids = [video.stored_id for video in videos or []]
    if store and ids:
        missing = [video_id for video_id in ids if video_id not in store]
        report.lines.append(f"# {len(ids) - len(missing)} of {len(ids)} videos have features in {store.path}")
        if len(missing) == len(ids):
            report.problems.append(f"{store.path}: has none of the {len(ids)} videos, '{ids[0]}' first")
    return texts


def _cost(settings: TrainSettings, encoder: PlannedEncoder, texts: list[str], report: DryRunReport) -> None:
    known, size = len(report.problems), encoder.size
    own = report.attempt(lambda: open_own_model(settings, size.feature_width))
    if len(report.problems) > known:
        return
    config = config_of(settings, own)
    positions = encoder.format.positions
    adapter = report.attempt(lambda: Adapter(config, size.width, size.feature_width, own, positions))
    if adapter is None:
        return
    plan, learned = adapter.plan(encoder.format, texts), adapter.parameter_count()
    text = text_flops(plan, size) if settings.prompts else 0
    temporal = temporal_flops(settings.batch_size, settings.clip_frames, size.feature_width, settings.layers)
    clips = -(-settings.batch_size // settings.accumulate)
    memory = memory_bytes(adapter, plan, size, clips)
    report.lines += [
        f"# {encoder.name}: W = {size.width}, D = {size.feature_width}; {len(texts)} texts, {len(plan.packed.inputs)} rows "
        f"in the text encoder, {len(plan.truncated)} texts cut",
        f"# {learned:,} learned parameters",
        *_of_own(adapter),
        f"# a step: {(text + temporal) / 1e9:.1f} GFLOP (text encoder {text / 1e9:.1f}, temporal Transformer "
        f"{temporal / 1e9:.1f}); about {memory / 2**20:,.0f} MiB beside the features",
    ]


def _of_own(adapter: Adapter) -> list[str]:
    """Returns what is said of a temporal model of one's own: featx cannot count its operations."""
    code = adapter.config.model_code
    if code is None or adapter.temporal is None:
        return []
    own = sum(one.numel() for one in adapter.temporal.parameters() if one.requires_grad)
    return [
        f"# {own:,} of them are of {code.label} ({code.file}, sha256 {code.sha256}), whose operations and memory are not counted"
    ]
