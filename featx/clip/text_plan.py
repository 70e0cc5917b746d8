"""Where the tokens and prompt vectors of many texts go, and which of them have to be computed.

A text of n tokens becomes ``SOT, k prompts, n tokens, k prompts, EOT`` (method: Ju et al. 2022, section 3); other
encoders than CLIP have other marks, masks and places where the feature is taken (`featx.clip.text_format`).
Everything that depends on the texts alone is decided here, once, so that a training step only gathers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from featx.clip.choices import Layout
from featx.clip.text_format import Mask, TextFormat
from featx.errors import FeatxError

NOT_A_PROMPT = -1
BUCKETS = {"rows": 256, "slots": 8, "texts": 16}  # what sizes are rounded up to, where they must be few


@dataclass(frozen=True)
class PackedTexts:
    """C texts as N rows without padding: the P positions that all share, then each text's own rows in turn.

    Only attention needs the texts beside each other: a grid of C x S slots, S the most own rows of a text. Texts in
    G groups share the P positions within their group alone: the first G P rows are the groups' in turn. P is 0 where a
    position sees what follows it.

    Attributes:
        token_ids: (U,) int64, the token of each distinct input (of equal token or prompt, and position).
        prompt_rows: (U,) int64, the row of the prompt table, 0 where no prompt stands.
        is_prompt: (U, 1) bool.
        positions: (U,) int64.
        inputs: (N,) int64, the distinct input of each row.
        slots: (N - G P,) int64, the slot of the grid that each own row fills.
        feature_rows: (C,) int64, the row of each text where its feature is taken.
        mask: What an own row sees, bool. Causal: (S, P + S) by its slot, the shared rows and own ones up to itself; else
            (C, 1, 1, S) by its text, all rows of the text.
        feature_mask: (C, 1, 1, P + S) bool, what the row of each text's feature sees.
        groups: G; each group has C / G texts.
    """

    token_ids: Tensor
    prompt_rows: Tensor
    is_prompt: Tensor
    positions: Tensor
    inputs: Tensor
    slots: Tensor
    feature_rows: Tensor
    mask: Tensor
    feature_mask: Tensor
    groups: int = 1

    @property
    def texts(self) -> int:
        """C."""
        return len(self.feature_rows)

    @property
    def prefix(self) -> int:
        """P."""
        return (len(self.inputs) - len(self.slots)) // self.groups

    @property
    def slots_per_text(self) -> int:
        """S."""
        return self.mask.shape[-1] - self.prefix

    def to(self, device: torch.device | str) -> PackedTexts:
        """Returns the same on another device."""
        there: dict[str, Any] = {
            name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        return PackedTexts(**there)


@dataclass(frozen=True)
class TextPlan:
    """Where each token and each prompt vector of C texts goes, in L positions: where possible only the longest text's.

    Attributes:
        token_ids: (C, L) int64; 0 where a prompt vector stands, and padding behind a text.
        prompt_rows: (C, L) int64, row of the prompt table, or `NOT_A_PROMPT`.
        lengths: (C,) int64, how many first positions are computed: to the end of the text, or all of them.
        feature_at: (C,) int64, the position where the feature is taken, such as EOT.
        prefix: P, how many first positions are the same in all texts (of a group) and can be computed once.
        truncated: Indices of the texts that were cut because they were too long.
        mask: What a position sees.
        device: Where the tower is to compute; the tables above are small and stay on the CPU.
        groups: G, groups of C / G texts that each have prompts of their own; see `group_plans`.
        in_buckets: Whether sizes are rounded up (`padded`), because texts are chosen anew in every step and a compiled
            text encoder wants to see few sizes.
    """

    token_ids: Tensor
    prompt_rows: Tensor
    lengths: Tensor
    feature_at: Tensor
    prefix: int
    truncated: tuple[int, ...]
    mask: Mask = "causal"
    device: torch.device | str = "cpu"
    groups: int = 1
    in_buckets: bool = False

    def __len__(self) -> int:
        """Returns C."""
        return len(self.lengths)

    @property
    def prompt_count(self) -> int:
        """How many vectors the prompt table must have."""
        return int(self.prompt_rows.max()) + 1

    def to(self, device: torch.device | str) -> TextPlan:
        """Returns the plan for another device."""
        return replace(self, device=device)

    def choose(self, classes: np.ndarray) -> TextPlan:
        """Returns the plan of some of the texts.

        Args:
            classes: Indices into this plan's texts, in the order wanted; of several groups none can be left out.
        """
        if np.array_equal(classes, np.arange(len(self))):
            return self  # what was packed before stays
        assert self.groups == 1
        rows = torch.from_numpy(classes)
        cut = tuple(np.flatnonzero(np.isin(classes, self.truncated)).tolist())
        return replace(
            self,
            token_ids=self.token_ids[rows],
            prompt_rows=self.prompt_rows[rows],
            lengths=self.lengths[rows],
            feature_at=self.feature_at[rows],
            truncated=cut,
        )

    @cached_property
    def packed(self) -> PackedTexts:
        """What a step gathers, on the plan's device."""
        with torch.inference_mode(False):  # what evaluation asked for first must serve training too
            return self._pack()

    def _pack(self) -> PackedTexts:
        prefix = self.prefix
        own_lengths = self.lengths - prefix  # (C,)
        longest = int(own_lengths.max())
        is_own = torch.arange(longest) < own_lengths[:, None]  # (C, S)

        def rows_of(table: Tensor) -> Tensor:
            shared = table[:: len(self) // self.groups, :prefix].flatten()  # (G P,)
            return torch.cat([shared, table[:, prefix : prefix + longest][is_own]])  # (N,)

        positions = rows_of(torch.arange(self.token_ids.shape[1]).expand_as(self.token_ids))
        inputs = torch.stack([positions, rows_of(self.prompt_rows), rows_of(self.token_ids)])  # (3, N)
        (positions, prompt_rows, token_ids), which = torch.unique(inputs, dim=1, return_inverse=True)
        mask, feature_mask = _masks(self.mask, own_lengths, prefix, longest)
        packed = PackedTexts(
            token_ids=token_ids,
            prompt_rows=prompt_rows.clamp(min=0),
            is_prompt=(prompt_rows != NOT_A_PROMPT)[:, None],
            positions=positions,
            inputs=which,
            slots=is_own.flatten().nonzero()[:, 0],
            feature_rows=(self.groups - 1) * prefix + (own_lengths.cumsum(0) - own_lengths) + self.feature_at,
            mask=mask,
            feature_mask=feature_mask,
            groups=self.groups,
        )
        return (padded(packed, self.mask) if self.in_buckets else packed).to(self.device)


def _masks(mask: Mask, own_lengths: Tensor, prefix: int, slots: int) -> tuple[Tensor, Tensor]:
    """Returns `PackedTexts.mask` and its `feature_mask`.

    Args:
        mask: What a position sees.
        own_lengths: (C,) rows of each text behind the shared ones.
        prefix: P.
        slots: S.
    """
    whole = (torch.arange(prefix + slots) < prefix + own_lengths[:, None])[:, None, None]
    if mask == "causal":
        return torch.ones(slots, prefix + slots, dtype=torch.bool).tril(prefix), whole
    return whole, whole


def padded(packed: PackedTexts, mask: Mask) -> PackedTexts:
    """Returns the same texts with all sizes rounded up to `BUCKETS`; the first C of the features are theirs.

    Further rows fill slots behind a text's end, where nobody sees them, and slots of texts that are not there.
    """
    assert packed.groups == 1
    slots, texts, prefix, rows = packed.slots_per_text, packed.texts, packed.prefix, len(packed.inputs)
    wide_slots, wide_texts = _up(slots, "slots"), _up(texts, "texts")
    filled = packed.slots // slots * wide_slots + packed.slots % slots
    is_empty = torch.ones(wide_texts * wide_slots, dtype=torch.bool).index_fill(0, filled, False)
    empty = is_empty.nonzero()[: _up(rows, "rows") - rows, 0]
    own_lengths = packed.feature_mask[:, 0, 0].sum(dim=1) - prefix  # (C,)
    own_lengths = torch.cat([own_lengths, own_lengths.new_ones(wide_texts - texts)])
    seen, seen_by_feature = _masks(mask, own_lengths, prefix, wide_slots)
    inputs = _up(len(packed.token_ids), "rows") - len(packed.token_ids)

    def pad(table: Tensor, more: int) -> Tensor:
        return torch.cat([table, table.new_zeros((more, *table.shape[1:]))])

    return PackedTexts(
        token_ids=pad(packed.token_ids, inputs),
        prompt_rows=pad(packed.prompt_rows, inputs),
        is_prompt=pad(packed.is_prompt, inputs),
        positions=pad(packed.positions, inputs),
        inputs=pad(packed.inputs, len(empty)),
        slots=torch.cat([filled, empty]),
        feature_rows=pad(packed.feature_rows, wide_texts - texts),
        mask=seen,
        feature_mask=seen_by_feature,
    )


def _up(size: int, what: str) -> int:
    return -(-size // BUCKETS[what]) * BUCKETS[what]


def prompt_table_rows(prompts: int, layout: Layout, suffix: bool = True, positions: int = 77) -> int:
    """Returns how many vectors are learned: k + k (k without suffix), or one for each of the encoder's positions."""
    return (2 if suffix else 1) * prompts if layout == "sequence" else positions


def plan_texts(
    form: TextFormat, texts: list[str], prompts: int = 0, layout: Layout = "sequence", suffix: bool = True
) -> TextPlan:
    """Tokenises texts and lays out the prompts around them.

    Args:
        form: How the encoder takes texts.
        texts: C class names or sentences.
        prompts: k, the number of prompt vectors before and again after the text.
        layout: `sequence`: the i-th prompt is the same vector whatever the text's length (the paper);
            `positional`: a vector belongs to an absolute position (the authors' released code).
        suffix: Whether prompts stand after the text too: `k+X+k`, or else `k+X+0`, which is cheaper.

    Returns:
        The plan. Texts that do not fit into the encoder's positions are cut before the end mark and listed in
        ``truncated``.

    Raises:
        FeatxError: If the prompts leave no room for a text.
    """
    room = form.room(prompts, suffix)
    if room < 1:
        raise FeatxError(
            f"prompts={prompts}: this text encoder has {form.positions} positions, in which they leave no room for a name; "
            f"give at most {form.most_prompts(suffix)}"
        )
    after_text = prompts if suffix else 0
    encoded = [form.tokenize(text) for text in texts]
    truncated = tuple(index for index, tokens in enumerate(encoded) if len(tokens) > room)
    rows = [[*form.start, *[0] * prompts, *tokens[:room], *[0] * after_text, *form.end] for tokens in encoded]
    lengths = torch.tensor([len(ids) for ids in rows])
    length = form.positions if form.mask == "none" else int(lengths.max())
    token_ids = torch.full((len(texts), length), form.padding)
    prompt_rows = torch.full((len(texts), length), NOT_A_PROMPT)
    before = len(form.start)
    for row, ids in enumerate(rows):
        token_ids[row, : len(ids)] = torch.tensor(ids)
        after = len(ids) - len(form.end) - after_text  # the first position of the second half of the prompts
        positions = torch.tensor(
            [*range(before, before + prompts), *range(after, after + after_text)], dtype=torch.long
        )
        prompt_rows[row, positions] = positions if layout == "positional" else torch.arange(len(positions))
    places = {
        "end": lengths - 1,
        "first": torch.zeros_like(lengths),
        "last": torch.full_like(lengths, length - 1),
    }
    feature_at = places[form.feature_at]
    computed = torch.full_like(lengths, length) if form.mask == "none" else lengths
    prefix = _common_prefix(token_ids, prompt_rows, feature_at) if form.mask == "causal" else 0
    return TextPlan(token_ids, prompt_rows, computed, feature_at, prefix, truncated, form.mask)


def group_plans(plans: list[TextPlan], table_rows: int) -> TextPlan:
    """Puts plans of equally many texts together, each a group whose prompts are its own.

    Args:
        plans: G plans of C / G texts each.
        table_rows: Rows of each group's prompt table; the groups' tables lie one after another.
    """
    length = max(plan.token_ids.shape[1] for plan in plans)

    def wide(table: Tensor, value: int) -> Tensor:
        return torch.nn.functional.pad(table, (0, length - table.shape[1]), value=value)

    prompt_rows = [wide(plan.prompt_rows, NOT_A_PROMPT) for plan in plans]
    firsts = np.cumsum([0, *(len(plan) for plan in plans[:-1])])
    return TextPlan(
        torch.cat([wide(plan.token_ids, 0) for plan in plans]),
        torch.cat(
            [rows.where(rows < 0, rows + group * table_rows) for group, rows in enumerate(prompt_rows)]
        ),
        torch.cat([plan.lengths for plan in plans]),
        torch.cat([plan.feature_at for plan in plans]),
        min(plan.prefix for plan in plans),
        tuple(
            int(first) + index for first, plan in zip(firsts, plans, strict=True) for index in plan.truncated
        ),
        plans[0].mask,
        plans[0].device,
        len(plans),
    )


def _common_prefix(token_ids: Tensor, prompt_rows: Tensor, feature_at: Tensor) -> int:
    """Returns how many first positions are equal in all texts: SOT, the prompts, words of a template.

    Where a text is read (EOT) never counts.
    """
    alike = ((token_ids == token_ids[0]) & (prompt_rows == prompt_rows[0])).all(dim=0)  # (L,)
    return min(int(alike.long().cumprod(0).sum()), int(feature_at.min()))
