"""Where the tokens and prompt vectors of many texts go, and which of them have to be computed.

A text of n tokens becomes ``SOT, k prompts, n tokens, k prompts, EOT`` (method: Ju et al. 2022, section 3).
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

CONTEXT_LENGTH = 77
NOT_A_PROMPT = -1
BUCKETS = {"rows": 256, "slots": 8, "texts": 16}  # what sizes are rounded up to, where they must be few


@dataclass(frozen=True)
class PackedTexts:
    """C texts as N rows without padding: the P positions that all share, then each text's own rows in turn.

    Only attention needs the texts beside each other: a grid of C x S slots, S the most own rows of a text. Texts in
    G groups share the P positions within their group alone: the first G P rows are the groups' in turn.

    Attributes:
        token_ids: (U,) int64, the token of each distinct input (of equal token or prompt, and position).
        prompt_rows: (U,) int64, the row of the prompt table, 0 where no prompt stands.
        is_prompt: (U, 1) bool.
        positions: (U,) int64.
        inputs: (N,) int64, the distinct input of each row.
        slots: (N - G P,) int64, the slot of the grid that each own row fills.
        eot: (C,) int64, the row of each text's EOT, its last.
        mask: (S, P + S) bool, what the own row in a slot sees: the shared rows, and own ones up to itself.
        eot_mask: (C, 1, 1, P + S) bool, what each text's EOT sees.
        groups: G; each group has C / G texts.
    """

    token_ids: Tensor
    prompt_rows: Tensor
    is_prompt: Tensor
    positions: Tensor
    inputs: Tensor
    slots: Tensor
    eot: Tensor
    mask: Tensor
    eot_mask: Tensor
    groups: int = 1

    def to(self, device: torch.device | str) -> PackedTexts:
        """Returns the same on another device."""
        there: dict[str, Any] = {
            name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        return PackedTexts(**there)


@dataclass(frozen=True)
class TextPlan:
    """Where each token and each prompt vector of C texts goes, trimmed to the longest text (L positions).

    Attributes:
        token_ids: (C, L) int64; 0 where a prompt vector stands and after EOT.
        prompt_rows: (C, L) int64, row of the prompt table, or `NOT_A_PROMPT`.
        eot: (C,) int64, position of EOT.
        prefix: P, how many first positions are the same in all texts (of a group).
        truncated: Indices of the texts that were cut because they were too long.
        device: Where the tower is to compute; the tables above are small and stay on the CPU.
        groups: G, groups of C / G texts that each have prompts of their own; see `group_plans`.
        in_buckets: Whether sizes are rounded up (`padded`), because texts are chosen anew in every step and a compiled
            text encoder wants to see few sizes.
    """

    token_ids: Tensor
    prompt_rows: Tensor
    eot: Tensor
    prefix: int
    truncated: tuple[int, ...]
    device: torch.device | str = "cpu"
    groups: int = 1
    in_buckets: bool = False

    def __len__(self) -> int:
        """Returns C."""
        return len(self.eot)

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
            eot=self.eot[rows],
            truncated=cut,
        )

    @cached_property
    def packed(self) -> PackedTexts:
        """What a step gathers, on the plan's device."""
        with torch.inference_mode(False):  # what evaluation asked for first must serve training too
            return self._pack()

    def _pack(self) -> PackedTexts:
        prefix = self.prefix
        own_lengths = self.eot + 1 - prefix  # (C,)
        longest = int(own_lengths.max())
        is_own = torch.arange(longest) < own_lengths[:, None]  # (C, S)

        def rows_of(table: Tensor) -> Tensor:
            shared = table[:: len(self) // self.groups, :prefix].flatten()  # (G P,)
            return torch.cat([shared, table[:, prefix : prefix + longest][is_own]])  # (N,)

        positions = rows_of(torch.arange(self.token_ids.shape[1]).expand_as(self.token_ids))
        inputs = torch.stack([positions, rows_of(self.prompt_rows), rows_of(self.token_ids)])  # (3, N)
        (positions, prompt_rows, token_ids), which = torch.unique(inputs, dim=1, return_inverse=True)
        seen = torch.ones(longest, prefix + longest, dtype=torch.bool).tril(prefix)
        packed = PackedTexts(
            token_ids=token_ids,
            prompt_rows=prompt_rows.clamp(min=0),
            is_prompt=(prompt_rows != NOT_A_PROMPT)[:, None],
            positions=positions,
            inputs=which,
            slots=is_own.flatten().nonzero()[:, 0],
            eot=self.groups * prefix + own_lengths.cumsum(0) - 1,
            mask=seen,
            eot_mask=seen[own_lengths - 1][:, None, None],
            groups=self.groups,
        )
        return (padded(packed) if self.in_buckets else packed).to(self.device)


def padded(packed: PackedTexts) -> PackedTexts:
    """Returns the same texts with all sizes rounded up to `BUCKETS`; the first C of the features are theirs.

    Further rows fill slots behind a text's EOT, where nobody sees them, and slots of texts that are not there.
    """
    assert packed.groups == 1
    slots, texts = len(packed.mask), len(packed.eot)
    prefix, rows = packed.mask.shape[1] - slots, len(packed.inputs)
    wide_slots, wide_texts = _up(slots, "slots"), _up(texts, "texts")
    filled = packed.slots // slots * wide_slots + packed.slots % slots
    is_empty = torch.ones(wide_texts * wide_slots, dtype=torch.bool).index_fill(0, filled, False)
    empty = is_empty.nonzero()[: _up(rows, "rows") - rows, 0]
    seen = torch.ones(wide_slots, prefix + wide_slots, dtype=torch.bool).tril(prefix)
    last_slots = packed.eot_mask[:, 0, 0].sum(dim=1) - prefix - 1  # (C,) the slot of each EOT
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
        eot=pad(packed.eot, wide_texts - texts),
        mask=seen,
        eot_mask=seen[pad(last_slots, wide_texts - texts)][:, None, None],
    )


def _up(size: int, what: str) -> int:
    return -(-size // BUCKETS[what]) * BUCKETS[what]


def prompt_table_rows(prompts: int, layout: Layout, suffix: bool = True) -> int:
    """Returns how many vectors are learned: k + k (k without suffix), or one for each of the 77 positions."""
    return (2 if suffix else 1) * prompts if layout == "sequence" else CONTEXT_LENGTH


def plan_texts(
    texts: list[str], prompts: int = 0, layout: Layout = "sequence", suffix: bool = True
) -> TextPlan:
    """Tokenises texts and lays out the prompts around them.

    Args:
        texts: C class names or sentences.
        prompts: k, the number of prompt vectors before and again after the text.
        layout: `sequence`: the i-th prompt is the same vector whatever the text's length (the paper);
            `positional`: a vector belongs to an absolute position (the authors' released code).
        suffix: Whether prompts stand after the text too: `k+X+k`, or else `k+X+0`, which is cheaper.

    Returns:
        The plan. Texts that do not fit into 77 positions are cut before EOT and listed in ``truncated``.
    """
    import clip

    tokenizer = clip.clip._tokenizer
    sot, eot = tokenizer.encoder["<|startoftext|>"], tokenizer.encoder["<|endoftext|>"]
    after_text = prompts if suffix else 0
    room = CONTEXT_LENGTH - 2 - prompts - after_text
    encoded = [tokenizer.encode(text) for text in texts]
    truncated = tuple(index for index, tokens in enumerate(encoded) if len(tokens) > room)
    encoded = [tokens[:room] for tokens in encoded]
    length = 2 + prompts + after_text + max(len(tokens) for tokens in encoded)
    token_ids = torch.zeros(len(texts), length, dtype=torch.long)
    prompt_rows = torch.full((len(texts), length), NOT_A_PROMPT)
    for row, tokens in enumerate(encoded):
        after = 1 + prompts + len(tokens)  # the first position of the second half of the prompts
        ids = [sot, *[0] * prompts, *tokens, *[0] * after_text, eot]
        token_ids[row, : len(ids)] = torch.tensor(ids)
        positions = torch.tensor(
            [*range(1, 1 + prompts), *range(after, after + after_text)], dtype=torch.long
        )
        prompt_rows[row, positions] = positions if layout == "positional" else torch.arange(len(positions))
    eots = 1 + prompts + after_text + torch.tensor([len(tokens) for tokens in encoded])
    return TextPlan(token_ids, prompt_rows, eots, _common_prefix(token_ids, prompt_rows, eots), truncated)


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
        torch.cat([plan.eot for plan in plans]),
        min(plan.prefix for plan in plans),
        tuple(
            int(first) + index for first, plan in zip(firsts, plans, strict=True) for index in plan.truncated
        ),
        plans[0].device,
        len(plans),
    )


def _common_prefix(token_ids: Tensor, prompt_rows: Tensor, eot: Tensor) -> int:
    """Returns how many first positions are equal in all texts: SOT, the prompts, words of a template.

    EOT never counts: it is where a text is read.
    """
    alike = ((token_ids == token_ids[0]) & (prompt_rows == prompt_rows[0])).all(dim=0)  # (L,)
    return min(int(alike.long().cumprod(0).sum()), int(eot.min()))
