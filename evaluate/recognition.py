"""Scoring a recognition adapter: clips of each video against the texts of all classes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from featx.clip.text import TextTower
from featx.clips import even_clips
from featx.dataset import LabelledVideos, check_fingerprint, load_clip_of, load_labelled
from featx.devices import choose_device
from featx.errors import FeatxError
from featx.evaluate.results import Results, Videos
from featx.evaluate.settings import EvalSettings
from featx.manifest import read_manifest
from featx.metrics.recognition import mean_class_accuracy, top_k
from featx.model.adapter import ADAPTER_FILE, TEMPERATURE, Adapter, AdapterHeader, load_adapter, read_header
from featx.store.reader import FeatureStore


def evaluate(run: Path, settings: EvalSettings) -> Results:
    """Scores one run.

    Args:
        run: The folder that `featx train` made.
        settings: On what.

    Returns:
        The metrics, and how many videos they are about.

    Raises:
        FeatxError: If the adapter does not belong to the store, or store and manifest do not belong together.
    """
    header = read_header(run / ADAPTER_FILE)
    store_path = settings.store or _trained_with(header, "store", run)
    manifest_path = settings.manifest or _trained_with(header, "manifest", run)
    store, manifest = FeatureStore(store_path), read_manifest(manifest_path)
    check_fingerprint(header.fingerprint, store, run / ADAPTER_FILE)
    videos = load_labelled(store, manifest, settings.split)
    loaded = load_clip_of(store, settings.model)
    device = choose_device(settings.device)
    adapter, _ = load_adapter(run / ADAPTER_FILE, loaded.text_width)
    texts = list(manifest.header.classes.values())
    scores = score(
        adapter.to(device), TextTower(loaded.model.to(device)), texts, videos, header, settings, device
    )
    return Results(
        task=header.config.task,
        run=str(run),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        data_set=manifest.header.name,
        manifest=str(manifest_path),
        store=str(store_path),
        split=settings.split,
        clips=settings.clips,
        config=header.config.model_dump(),
        classes=len(texts),
        classes_as_trained=manifest.header.classes == header.classes,
        learned_parameters=adapter.parameter_count(),
        fingerprint=header.fingerprint.model_dump(),
        videos=Videos(scored=len(videos.ids), missing=videos.missing),
        metrics={
            "top1": top_k(scores, videos.labels, 1),
            "top5": top_k(scores, videos.labels, 5),
            "mean_class": mean_class_accuracy(scores, videos.labels),
        },
    )


@torch.inference_mode()
def score(
    adapter: Adapter,
    tower: TextTower,
    class_texts: list[str],
    videos: LabelledVideos,
    header: AdapterHeader,
    settings: EvalSettings,
    device: str,
) -> np.ndarray:
    """Returns (V, C) class probabilities of videos: the softmax of each clip, averaged over the clips."""
    text = adapter.eval().encode_texts(tower, adapter.plan(class_texts).to(device))  # (C, D)
    strides, weights = (header.settings[key] for key in ("strides", "stride_weights"))
    clip_frames = adapter.config.clip_frames
    scores = []
    for start in range(0, len(videos.ids), settings.batch):
        batch = np.arange(start, min(start + settings.batch, len(videos.ids)))
        rows = np.concatenate(
            [even_clips(n, clip_frames, settings.clips, strides, weights) for n in videos.rows[batch]]
        )  # (B * clips, T)
        clips = videos.gather(np.repeat(batch, settings.clips), rows).to(device)  # (B * clips, T, D)
        logits = adapter.encode_clips(clips) @ text.T / TEMPERATURE  # (B * clips, C)
        chances = logits.softmax(dim=1).view(len(batch), settings.clips, -1).mean(dim=1)
        scores.append(chances.double().cpu().numpy())
    return np.concatenate(scores)


def _trained_with(header: AdapterHeader, name: str, run: Path) -> Path:
    path = Path(header.settings[name])
    if not path.exists():
        raise FeatxError(
            f"{run}: was trained with {name} {path}, which is not there (relative paths count from the current "
            f"folder); say where it is with --{name}"
        )
    return path
