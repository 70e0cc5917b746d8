"""One step's gradient: the frozen text encoder runs once, the clips go through in as many parts as memory needs.

The features of texts and clips are cut off from what made them, the loss is computed on them, and d(loss)/d(features)
goes back through each side once (docs/training.md, savings 7 and 8). That is exact: features are all that the loss sees.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from featx.encoders.text import TextPlan, TextTower
from featx.model.adapter import Adapter

from ..engine.ranks import Ranks
from ..engine.stopwatch import Stopwatch
from .loader import Batch
from .losses import Objective, loss_of

MOST_FIXED_TEXTS = (
    4096  # without prompts texts never change: so many are encoded once, and of more those of each step
)
TEXTS_AT_ONCE = 1024


class TextSide:
    """The features of the texts (of classes, or sentences), each rank encoding its part of them."""

    def __init__(
        self, adapter: Adapter, tower: TextTower, plan: TextPlan, feature_width: int, ranks: Ranks
    ) -> None:
        self._adapter = adapter
        self._tower = tower
        self._plan = plan
        self._count = len(plan)
        self._own_of_all = self._choose(np.arange(self._count)[ranks.shard(self._count)])
        self._width = feature_width
        self._ranks = ranks
        self._fixed: Tensor | None = None
        self._own: Tensor | None = None

    def forward(self, texts: np.ndarray) -> Tensor:
        """Returns the (C, D) features of some texts, where the loss's gradient is to be collected."""
        if self._adapter.prompt_table is None:
            if self._count > MOST_FIXED_TEXTS:
                return self.features(self._adapter, texts)
            if self._fixed is None:
                self._fixed = self.all_features(self._adapter)
            return self._fixed[torch.from_numpy(texts).to(self._fixed.device)]
        self._own = self._encode(self._adapter, texts)
        return self._ranks.gather(self._own, len(texts)).requires_grad_()

    def backward(self, features: Tensor) -> None:
        """Takes the gradient that ``features`` have collected back to the prompts, through this rank's part."""
        if self._own is not None and self._own.requires_grad:
            assert features.grad is not None
            self._own.backward(features.grad[self._ranks.shard(len(features))])
        self._own = None

    @torch.no_grad()
    def all_features(self, adapter: Adapter) -> Tensor:
        """Returns the (C, D) features of all texts for an adapter (the one that learns, or its running mean)."""
        return self.features(adapter, np.arange(self._count))

    @torch.no_grad()
    def features(self, adapter: Adapter, texts: np.ndarray) -> Tensor:
        """Returns the (C, D) features of some texts, however many, without a gradient."""
        if len(texts) <= TEXTS_AT_ONCE:
            return self._ranks.gather(self._encode(adapter, texts), len(texts))
        parts = [texts[first : first + TEXTS_AT_ONCE] for first in range(0, len(texts), TEXTS_AT_ONCE)]
        return torch.cat([self._ranks.gather(self._encode(adapter, part), len(part)) for part in parts])

    def _encode(self, adapter: Adapter, texts: np.ndarray) -> Tensor:
        own = texts[self._ranks.shard(len(texts))]
        if not len(own):  # more ranks than texts
            return torch.zeros(0, self._width, device=self._ranks.device)
        plan = self._own_of_all if len(texts) == self._count else self._choose(own)
        return adapter.encode_texts(self._tower, plan)

    def _choose(self, texts: np.ndarray) -> TextPlan:
        return self._plan.choose(texts)


class AdapterStep:
    """Computes gradients; it has no state of its own."""

    def __init__(
        self, adapter: Adapter, text_side: TextSide, ranks: Ranks, objective: Objective, watch: Stopwatch
    ) -> None:
        self._adapter = adapter
        self._text_side = text_side
        self._ranks = ranks
        self._objective = objective
        self._watch = watch

    def gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Leaves in ``adapter.parameters()`` this rank's part of the gradient of the whole step's loss.

        Returns:
            The loss of the step, and the share of its clips that are nearest to their own text.
        """
        with self._watch.phase("text"):
            text = self._text_side.forward(batch.draw.texts)  # (C, D)
        with self._watch.phase("temporal"):
            draw, device = batch.draw, self._ranks.device
            targets = torch.from_numpy(draw.targets).to(device)  # (B,)
            ignored = None if draw.ignored is None else torch.from_numpy(draw.ignored).to(device)  # (B, C)
            # The loss over texts is a sum over clips and may be taken part by part; the one over clips may not.
            together = len(batch.clips) if self._objective.needs_all_clips else 1
            loss, right = torch.zeros(2, device=self._ranks.device)
            for first in range(0, len(batch.clips), together):
                parts = range(first, min(first + together, len(batch.clips)))
                one = self._backward_clips(batch, parts, text, targets, ignored)
                loss, right = loss + one[0], right + one[1]
        with self._watch.phase("text"):
            self._text_side.backward(text)
        return loss, right / len(targets)

    def clip(self, norm: float) -> None:
        """Makes the gradient no longer than ``norm``."""
        torch.nn.utils.clip_grad_norm_(self._adapter.parameters(), norm)

    def _backward_clips(
        self,
        batch: Batch,
        parts: range,
        text: Tensor,
        targets: Tensor,
        ignored: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Gradients of a group of parts; with more than one, each is encoded twice and only one is kept at a time."""
        slices = [batch.slices[part] for part in parts]
        sizes = [s.stop - s.start for s in slices]
        keep = len(parts) == 1
        with torch.set_grad_enabled(keep):
            own = [self._encode(batch, part) for part in parts]  # each (b, D)
        video = torch.cat([self._ranks.gather(one, size) for one, size in zip(own, sizes, strict=True)])
        video.requires_grad_()  # (B of the group, D)
        group = slice(slices[0].start, slices[-1].stop)
        of_group = None if ignored is None else ignored[group]
        loss, right = loss_of(video, text, targets[group], len(targets), self._objective, of_group)
        loss.backward()
        assert video.grad is not None
        if not self._adapter.learns_time:  # as the plain mean
            return loss.detach(), right
        for one, size, part, gradient in zip(own, sizes, parts, video.grad.split(sizes), strict=True):
            again = one if keep else self._encode(batch, part)
            again.backward(gradient[self._ranks.shard(size)])
        return loss.detach(), right

    def _encode(self, batch: Batch, part: int) -> Tensor:
        """Returns the (b, D) features of this rank's clips of a part; the same however often it is called."""
        whole, draw = batch.slices[part], batch.draw
        own = self._ranks.shard(whole.stop - whole.start)
        return encode_training_clips(
            self._adapter, batch.clips[part], draw.videos[whole][own], draw.rows[whole][own]
        )


def encode_training_clips(adapter: Adapter, clips: Tensor, videos: np.ndarray, rows: np.ndarray) -> Tensor:
    """Encodes clips; the random numbers of a module of one's own (dropout) are a function of what the clips are.

    So a part that is encoded twice is the same twice, and a run goes on without a saved random state.

    Args:
        adapter: That learns.
        clips: (b, T, D).
        videos: (b,) index of each clip's video.
        rows: (b, T) rows in it.

    Returns:
        (b, D) features of unit length.
    """
    if adapter.draws_numbers:
        torch.manual_seed(zlib.crc32(rows.tobytes(), zlib.crc32(videos.tobytes())))
    return adapter.encode_clips(clips, rows)
