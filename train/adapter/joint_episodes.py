"""Several few-shot episodes learned together: one pass of the frozen text encoder serves all their prompts.

Each has an adapter, a sampler and a loss of its own, so the outcome is that of learning them one by one, but for
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from featx.encoders.text import TextPlan, TextTower, group_plans
from featx.model.adapter import Adapter
from featx.model.temporal import TemporalTransformer

from ..engine.stopwatch import Stopwatch
from .loader import Batch
from .losses import Objective, loss_of, video_to_text
from .sampler import ClipDraw, StepSampler
from .step import encode_training_clips


@dataclass
class JointSampler:
    """Draws E episodes' steps, one after another in a batch of E B clips.

    Attributes:
        samplers: Of each episode.
        places: Of each episode, (V,) the place of its videos among all that are held.
    """

    samplers: Sequence[StepSampler]
    places: list[np.ndarray]

    @property
    def batch(self) -> int:
        """E B, clips of a step."""
        return sum(sampler.batch for sampler in self.samplers)

    def draw(self, step: int) -> ClipDraw:
        """Returns what step 1, 2, … sees; targets and texts count within each episode."""
        draws = [sampler.draw(step) for sampler in self.samplers]
        videos = [place[draw.videos] for place, draw in zip(self.places, draws, strict=True)]
        return ClipDraw(
            np.concatenate(videos),
            np.concatenate([draw.rows for draw in draws]),
            draws[0].texts,
            np.concatenate([draw.targets for draw in draws]),
        )


class JointStep:
    """Computes the gradients of E adapters, each from its own clips and C texts."""

    def __init__(
        self,
        adapters: nn.ModuleList,
        plans: list[TextPlan],
        tower: TextTower,
        objective: Objective,
        watch: Stopwatch,
    ) -> None:
        """Lays out the texts of all episodes.

        Args:
            adapters: E adapters of equal configuration.
            plans: Of each episode's C texts.
            tower: The frozen text encoder.
            objective: What is made small.
            watch: Measures.
        """
        self._adapters = [adapter for adapter in adapters if isinstance(adapter, Adapter)]
        tables = [adapter.prompt_table for adapter in self._adapters]
        self._tables: list[Tensor] = [table for table in tables if table is not None]
        self._plan = group_plans(plans, len(self._tables[0]) if self._tables else 0)
        self._tower = tower
        self._objective = objective
        temporal = [adapter.temporal for adapter in self._adapters if adapter.temporal is not None]
        plain = [one for one in temporal if isinstance(one, TemporalTransformer) and not len(one.blocks)]
        self._positions = [one.positions for one in plain if one.positions is not None]
        self._linear = objective.kind == "video-to-text" and len(plain) == len(temporal)
        self._watch = watch
        self._fixed: Tensor | None = None

    def gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Leaves in every adapter the gradient of its episode's own loss.

        Returns:
            The mean loss of the episodes, and the share of clips that are nearest to their own text.
        """
        count = len(self._adapters)
        with self._watch.phase("text"):
            encoded = self._texts()
            text = encoded.detach().requires_grad_()  # (E C, D); the graph is cut here, as in `train.step`
        with self._watch.phase("temporal"):
            targets = torch.from_numpy(batch.draw.targets).to(text.device)
            learn = self._learn_at_once if self._linear else self._learn_in_turn
            loss, right = learn(batch, targets, text)
        with self._watch.phase("text"):
            if encoded.requires_grad:
                encoded.backward(text.grad)
        return loss / count, right / len(targets)

    def _learn_in_turn(self, batch: Batch, targets: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of one episode after the other; returns the sum of their losses, and how many clips are right."""
        count = len(self._adapters)
        losses, right = torch.zeros(2, device=text.device)
        (clips,), draw = batch.clips, batch.draw
        seen = zip(clips.chunk(count), np.split(draw.videos, count), np.split(draw.rows, count), strict=True)
        parts = zip(self._adapters, seen, targets.chunk(count), text.chunk(count), strict=True)
        for adapter, own_seen, own_targets, own_text in parts:
            video = encode_training_clips(adapter, *own_seen)  # (B, D)
            loss, one_right = loss_of(video, own_text, own_targets, len(own_targets), self._objective)
            loss.backward()
            losses, right = losses + loss.detach(), right + one_right
        return losses, right

    def _learn_at_once(self, batch: Batch, targets: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """The same where an adapter adds positions at most: the mean over time is taken before."""
        count = len(self._adapters)
        (clips,) = batch.clips
        means = clips.float().mean(dim=1).unflatten(0, (count, -1))  # (E, B, D)
        if self._positions:
            offsets = torch.stack([position.mean(dim=0) for position in self._positions])  # (E, D)
            means = means + offsets[:, None]
        video = functional.normalize(means, dim=-1)
        logits = video @ text.unflatten(0, (count, -1)).mT / self._objective.temperature  # (E, B, C)
        loss = video_to_text(logits.flatten(0, 1), targets) / means.shape[1]
        loss.backward()
        return loss.detach(), (logits.detach().argmax(dim=-1).flatten() == targets).sum()

    def clip(self, norm: float) -> None:
        """Makes each episode's gradient no longer than ``norm``."""
        for adapter in self._adapters:
            torch.nn.utils.clip_grad_norm_(adapter.parameters(), norm)

    def _texts(self) -> Tensor:
        if self._tables:
            return functional.normalize(self._tower.encode(self._plan, torch.cat(self._tables)), dim=-1)
        if self._fixed is None:  # plain texts never change
            with torch.no_grad():
                self._fixed = functional.normalize(self._tower.encode(self._plan), dim=-1)
        return self._fixed
