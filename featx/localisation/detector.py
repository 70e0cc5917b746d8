"""The detector of proposals: a pyramid of local attention, and at each of its points a score and two distances.

One class, "something happens": what it is, the prompted texts say later. After ActionFormer (Zhang, Wu, Li, "ActionFormer:
Localizing Moments of Actions with Transformers", ECCV 2022), without what needs a compiled extension.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from featx.localisation.detector_config import DetectorConfig
from featx.localisation.local_attention import Convolution, LocalBlock
from featx.model.learned_file import FileKind, give_tensors, read_learned, write_learned
from featx.store.schema import Fingerprint

SCHEMA_VERSION = 1
DETECTOR_FILE = "detector.safetensors"
EMBEDDING_LAYERS = 2
HEAD_LAYERS = 2
PRIOR = 0.01  # score that every point starts with: nearly all points are background (Lin et al., ICCV 2017)


class DetectorHeader(BaseModel):
    """What is written beside the tensors.

    Attributes:
        featx_detector: Schema version.
        config: What it is made of.
        fingerprint: Of the features that it was learned on.
        classes: Those whose instances it was taught, label to text.
        data_set: Name of the manifest.
        settings: Of the run.
    """

    model_config = ConfigDict(extra="forbid")

    featx_detector: int = SCHEMA_VERSION
    config: DetectorConfig
    fingerprint: Fingerprint
    classes: dict[str, str]
    data_set: str = ""
    settings: dict[str, Any]


@dataclass(frozen=True)
class Level:
    """What a detector says at the points of one level.

    Attributes:
        logits: (B, P) of the score.
        distances: (B, P, 2) from a point back to the begin and on to the end of its segment, in strides.
        mask: (B, P) which points there are.
        stride: Steps from one point to the next; point p stands at step p * stride.
    """

    logits: Tensor
    distances: Tensor
    mask: Tensor
    stride: int


class Head(nn.Module):
    """Convolutions that all levels share."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Convolution(width, width) for _ in range(HEAD_LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(HEAD_LAYERS))
        self.last = Convolution(width, outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, P, outputs)."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = functional.relu(norm(layer(x, mask))) * mask[..., None]
        outputs: Tensor = self.last(x, mask)
        return outputs


class Detector(nn.Module):
    """Features on a grid to scores and distances at the points of a pyramid."""

    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, config: DetectorConfig, feature_width: int) -> None:
        """Makes an untrained detector.

        Args:
            config: What it consists of.
            feature_width: D.
        """
        super().__init__()
        self.config = config
        width, half = config.width, config.window // 2
        widths = [feature_width, *[width] * EMBEDDING_LAYERS]
        self.register_buffer("feature_mean", torch.zeros(feature_width))
        self.register_buffer("feature_deviation", torch.ones(feature_width))
        self.embedding = nn.ModuleList(Convolution(a, b) for a, b in pairwise(widths))
        self.embedding_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(EMBEDDING_LAYERS))
        self.stem = nn.ModuleList(LocalBlock(width, config.heads, half) for _ in range(config.stem))
        self.down = nn.ModuleList(Convolution(width, width, stride=2) for _ in range(config.levels - 1))
        self.blocks = nn.ModuleList(
            LocalBlock(width, config.heads, None if config.full_last and level == config.levels - 1 else half)
            for level in range(1, config.levels)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.levels))
        self.score = Head(width, 1)
        self.distance = Head(width, 2)
        self.scales = nn.Parameter(torch.ones(config.levels))
        bias = self.score.last.convolve.bias
        assert bias is not None
        nn.init.constant_(bias, -math.log(1 / PRIOR - 1))

    @property
    def branches(self) -> int:
        """How many residual branches stochastic depth may leave out."""
        return 2 * (len(self.stem) + len(self.blocks))

    @property
    def margin(self) -> int:
        """Steps on either side of a point on which its outputs depend at most, rounded up to whole strides.

        Raises:
            ValueError: If its last level sees everything.
        """
        if self.config.full_last:
            raise ValueError("every step depends on all others")
        near = 1 + self.config.window // 2  # neighbours that are mixed, then attention
        strides = self.config.strides
        steps = EMBEDDING_LAYERS + near * len(self.stem) + (HEAD_LAYERS + 1) * strides[-1]
        steps += sum(strides[level - 1] + near * strides[level] for level in range(1, len(strides)))
        return -(-steps // strides[-1]) * strides[-1]

    def forward(self, features: Tensor, mask: Tensor, keep: Tensor | None = None) -> list[Level]:
        """Looks at a batch of sequences.

        Args:
            features: (B, T, D).
            mask: (B, T) which steps there are; they stand at the front.
            keep: (branches, B) factors of stochastic depth; None for 1.

        Returns:
            The levels, the finest first.
        """
        x = features.to(self.scales.dtype)
        if self.config.normalise == "length":
            x = functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5
        elif self.config.normalise == "standard":
            x = (x - self.feature_mean) / self.feature_deviation
        x = x * mask[..., None]
        for layer, norm in zip(self.embedding, self.embedding_norms, strict=True):
            x = functional.relu(norm(layer(x, mask))) * mask[..., None]  # (B, T, C)
        pairs = iter([None] * self.branches if keep is None else torch.unflatten(keep, 0, (-1, 2)))
        for block in self.stem:
            x = block(x, mask, next(pairs))
        levels = [self._look(0, x, mask)]
        for level, (down, block) in enumerate(zip(self.down, self.blocks, strict=True), start=1):
            mask = mask[:, ::2]
            x = block(down(x, mask), mask, next(pairs))  # (B, P, C)
            levels.append(self._look(level, x, mask))
        return levels

    def _look(self, level: int, x: Tensor, mask: Tensor) -> Level:
        x = self.norms[level](x) * mask[..., None]
        distances = functional.softplus(self.distance(x, mask) * self.scales[level])
        return Level(self.score(x, mask)[..., 0], distances, mask, self.config.strides[level])

    def parameter_count(self) -> int:
        """Returns how many numbers are learned."""
        return sum(parameter.numel() for parameter in self.parameters())


def save_detector(file: Path, detector: Detector, header: DetectorHeader) -> None:
    """Writes a detector file, whole or not at all."""
    write_learned(file, detector.state_dict(), header)


def read_detector_header(file: Path) -> DetectorHeader:
    """Reads what a detector file says of itself.

    Raises:
        FeatxError: If the file is missing, not a detector, or damaged.
    """
    return _read(file)[0]


def load_detector(file: Path) -> tuple[Detector, DetectorHeader]:
    """Reads a detector file.

    Raises:
        FeatxError: If the file is not a detector, is damaged, or its tensors do not fit.
    """
    header, tensors = _read(file)
    detector = Detector(header.config, header.fingerprint.width)
    give_tensors(file, detector, tensors)
    return detector.eval(), header


def _read(file: Path) -> tuple[DetectorHeader, dict[str, Tensor]]:
    command = "featx train --task proposals"
    return read_learned(
        file, FileKind(DetectorHeader, "featx_detector", (SCHEMA_VERSION,), "detector", command)
    )
