"""Temporal models as a user writes them, each in a file of its own."""

from pathlib import Path

GRU = """\
import torch
from torch import nn


class MyGRU(nn.Module):
    def __init__(self, width: int, hidden: int = 256, dropout: float = 0.0):
        super().__init__()
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(2 * hidden, width)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        states, _ = self.gru(clips)
        return clips.mean(dim=1) + self.out(self.dropout(states.mean(dim=1)))
"""

MEAN = """\
from torch import nn


class Mean(nn.Module):
    def __init__(self, width):
        super().__init__()

    def forward(self, clips):
        return clips.mean(dim=1)
"""

OTHERS = '''\
import torch
from torch import nn

from featx.model.temporal import TemporalTransformer


class Transformer(TemporalTransformer):
    """featx's own, given as somebody's."""

    def __init__(self, width, layers=1, heads=8, clip_frames=16):
        super().__init__(width, layers, heads, clip_frames)


class MaskedMean(nn.Module):
    def __init__(self, width):
        super().__init__()

    def forward(self, clips, mask):
        return (clips * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


class WithBatchNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, clips):
        return self.norm(clips.mean(dim=1))


class PartlyFrozen(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.frozen = nn.Linear(width, width).requires_grad_(False)
        self.learned = nn.Linear(width, width)

    def forward(self, clips):
        return self.learned(self.frozen(clips.mean(dim=1)))
'''


def write_models(folder: Path) -> Path:
    """Writes ``my_gru.py``, ``mean.py`` and ``others.py``, and returns their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("my_gru", GRU), ("mean", MEAN), ("others", OTHERS)):
        (folder / f"{name}.py").write_text(text)
    return folder
