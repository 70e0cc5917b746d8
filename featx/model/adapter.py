"""The adapter: everything that is learned (prompts and temporal Transformer), and its file.

An adapter file is safetensors: the learned tensors only, and a header that says what they belong to. CLIP's own
weights are never in it. See docs/adapter.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn

from featx.clip.choices import Precision
from featx.clip.text_format import TextFormat
from featx.encoders.text import REDUCED, TextPlan, TextTower, plan_texts, prompt_table_rows
from featx.errors import FeatxError
from featx.model.adapter_config import AdapterConfig
from featx.model.code.own_temporal import OwnModel, OwnTemporal, open_own, own_rows
from featx.model.code.trust import find_trusted
from featx.model.learned_file import FileKind, give_tensors, read_learned, write_learned
from featx.model.temporal import TemporalTransformer
from featx.store.schema import Fingerprint

SCHEMA_VERSION = 1
WITH_MODEL_CODE = (
    2  # schema version of adapters with a module that is not featx's: a featx of before refuses them
)
PROMPT_STD = 0.01
CLIP_POSITIONS = 77
ADAPTER_FILE = "adapter.safetensors"


class AdapterHeader(BaseModel):
    """What is written beside the tensors; ``data_set`` is the name of the manifest that was learned from."""

    model_config = ConfigDict(extra="forbid")

    featx_adapter: int = SCHEMA_VERSION
    config: AdapterConfig
    fingerprint: Fingerprint
    model_source: str
    classes: dict[str, str]
    data_set: str = ""
    settings: dict[str, Any]

    @model_validator(mode="after")
    def _version_fits(self) -> AdapterHeader:
        if (self.featx_adapter == WITH_MODEL_CODE) != (self.config.model_code is not None):
            raise ValueError(
                f"schema version {self.featx_adapter} does not fit: {WITH_MODEL_CODE} is for model_code alone"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _as_it_was(cls, content: Any) -> Any:
        """Fills in what files of before ``positions`` do not say: they were learned wherever anything was."""
        config = content.get("config")
        if not isinstance(config, dict) or config.get("positions") is not None:
            return content
        learned = bool(config.get("prompts") or config.get("layers"))
        settings = content.get("settings") or {}
        return content | {
            "config": config | {"positions": learned},
            "settings": settings | {"positions": learned} if "layers" in settings else settings,
        }


class Adapter(nn.Module):
    """Prompts (or a template) on the text side, a temporal model (or a plain mean) on the video side.

    The temporal model is featx's Transformer or somebody's own module.
    """

    def __init__(
        self,
        config: AdapterConfig,
        text_width: int,
        feature_width: int,
        own: OwnModel | None = None,
        positions: int = CLIP_POSITIONS,
    ) -> None:
        """Makes an untrained adapter.

        Args:
            config: What it consists of.
            text_width: W, the width of CLIP's text encoder.
            feature_width: D, the width of CLIP's features.
            own: The module of ``config.model_code``, which the user has allowed to run.
            positions: How many the text encoder has, of which each has a vector in the positional layout.

        Raises:
            FeatxError: If the heads do not divide the width, or the module cannot be made.
            ValueError: If ``own`` is not what the configuration says.
        """
        super().__init__()
        if config.model_code != (own.record if own else None):
            raise ValueError("own must be the module of config.model_code")
        if own is None and feature_width % config.heads:
            raise FeatxError(f"heads={config.heads}: does not divide the feature width {feature_width}")
        self.config = config
        self.feature_width = feature_width
        self.precision: Precision = "fp32"  # of `encode_clips`' matrix products: evaluation may reduce it
        rows = prompt_table_rows(config.prompts, config.layout, config.suffix, positions)
        self.prompt_table = (
            nn.Parameter(PROMPT_STD * torch.randn(rows, text_width)) if config.prompts else None
        )
        # Without layers and positions the video is the plain mean; without prompts too, nothing is learned: zero-shot CLIP.
        self.temporal: TemporalTransformer | OwnTemporal | None = None
        if own:
            self.temporal = own.build(feature_width)
        elif config.layers or config.positions:
            self.temporal = TemporalTransformer(
                feature_width, config.layers, config.heads, config.clip_frames, bool(config.positions)
            )

    def plan(self, form: TextFormat, class_texts: list[str]) -> TextPlan:
        """Lays out the texts of C classes for a text encoder."""
        texts = [self.config.text_of(text) for text in class_texts]
        return plan_texts(form, texts, self.config.prompts, self.config.layout, self.config.suffix)

    def encode_texts(self, tower: TextTower, plan: TextPlan) -> Tensor:
        """Returns (C, D) text features of unit length."""
        return nn.functional.normalize(tower.encode(plan, self.prompt_table), dim=-1)

    @property
    def draws_numbers(self) -> bool:
        """Whether encoding may draw random numbers, as a module of one's own with dropout does in training."""
        return isinstance(self.temporal, OwnTemporal)

    @property
    def learns_time(self) -> bool:
        """Whether the temporal model has something to learn: a plain mean has not."""
        return self.temporal is not None and any(p.requires_grad for p in self.temporal.parameters())

    def encode_clips(self, clips: Tensor, rows: np.ndarray | None = None) -> Tensor:
        """Turns (B, T, D) frame features into (B, D) video features of unit length.

        Args:
            clips: The features.
            rows: (B, T) rows of the clips in their videos, for a module that asks for a ``mask``; without them all rows are
                taken to be the video's own.
        """
        clips = clips.to(torch.promote_types(clips.dtype, torch.float32))  # float64 stays what it is
        if self.temporal is None:
            return nn.functional.normalize(clips.mean(dim=1), dim=-1)
        reduced = REDUCED.get(self.precision)
        with torch.autocast(clips.device.type, reduced, enabled=reduced is not None):
            if isinstance(self.temporal, OwnTemporal):
                mask = None
                if self.temporal.wants_mask and rows is not None:
                    mask = torch.from_numpy(own_rows(rows)).to(clips.device)
                video = self.temporal(clips, mask).to(clips.dtype)
            else:
                video = self.temporal(clips).to(clips.dtype)
        return nn.functional.normalize(video, dim=-1)

    def parameter_count(self) -> int:
        """Returns how many numbers are learned."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


def save_adapter(file: Path, adapter: Adapter, header: AdapterHeader) -> None:
    """Writes an adapter file, whole or not at all."""
    write_learned(file, adapter.state_dict(), header)


def read_header(file: Path) -> AdapterHeader:
    """Reads what an adapter file says of itself.

    Raises:
        FeatxError: If the file is missing, not an adapter, or damaged.
    """
    return _read(file)[0]


def load_adapter(file: Path, trust_code: bool = False) -> tuple[Adapter, AdapterHeader]:
    """Reads an adapter file.

    Args:
        file: The safetensors file.
        trust_code: Whether the module of an adapter that was trained with ``--model-code`` may run. Otherwise the user is
            asked, or the environment has to say it.

    Raises:
        FeatxError: If the file is not an adapter, is damaged, or its tensors do not fit; if its module is not there, is another
            one than it was trained with, or may not run.
    """
    header, tensors = _read(file)
    table = tensors.get("prompt_table")
    text_width = header.fingerprint.width if table is None else table.shape[-1]
    positions = CLIP_POSITIONS if table is None else len(table)  # read in the positional layout alone
    code, own = header.config.model_code, None
    if code:
        own = open_own(find_trusted(code, file, trust_code), code.options)
        header.config.model_code = own.record  # where it lies now
    try:
        adapter = Adapter(header.config, text_width, header.fingerprint.width, own, positions)
    except FeatxError as error:
        raise FeatxError(f"{file}: header: {error}") from error
    give_tensors(file, adapter, tensors)
    return adapter, header


def _read(file: Path) -> tuple[AdapterHeader, dict[str, Tensor]]:
    versions = (SCHEMA_VERSION, WITH_MODEL_CODE)
    return read_learned(file, FileKind(AdapterHeader, "featx_adapter", versions, "adapter", "featx train"))
