"""Several processes that learn one adapter: who has which part, and what they exchange.

Every rank draws the same steps, encodes its part of the texts and of the clips, and gathers the features of all.
Each then computes the same loss, and takes back through its own part the gradient of its own features: that is the
gradient of an all-gather, without any more traffic. Only the small gradient of the adapter is summed.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from featx.devices import choose_device, use_gpu
from featx.errors import FeatxError, Interrupted

MEETING = (
    "FEATX_MEETING"  # file through which the ranks of `--devices` find each other; torchrun has its own way
)
PATIENCE = datetime.timedelta(minutes=10)


class LostRank(FeatxError):
    """Another rank is gone: what this one says of it is not the reason."""


def shards(count: int, pieces: int) -> list[slice]:
    """Divides ``count`` things into consecutive parts that differ by one at most, the larger ones first."""
    small, more = divmod(count, pieces)
    bounds = [piece * small + min(piece, more) for piece in range(pieces + 1)]
    return [slice(first, last) for first, last in pairwise(bounds)]


class Ranks:
    """This process's place among those that train together; one process alone exchanges nothing."""

    def __init__(self, rank: int = 0, count: int = 1, device: str = "cpu", neighbours: int = 1) -> None:
        self.rank = rank
        self.count = count
        self.device = device
        self.neighbours = neighbours  # processes on this machine

    @property
    def first(self) -> bool:
        """Whether this rank is the one that writes files."""
        return self.rank == 0

    def shard(self, count: int) -> slice:
        """Returns this rank's part of ``count`` things."""
        return shards(count, self.count)[self.rank]

    def gather(self, own: Tensor, count: int) -> Tensor:
        """Puts the ranks' parts of (count, ...) together again, without a gradient."""
        if self.count == 1:
            return own.detach()
        longest = -(-count // self.count)
        padded = own.new_zeros((longest, *own.shape[1:]))
        padded[: len(own)] = own.detach()
        all_padded = own.new_empty((self.count * longest, *own.shape[1:]))
        with self._contact():
            dist.all_gather_into_tensor(all_padded, padded)
        each = all_padded.split(longest)
        return torch.cat([each[rank][: p.stop - p.start] for rank, p in enumerate(shards(count, self.count))])

    def sum_gradients(self, parameters: Sequence[nn.Parameter], stop: bool) -> bool:
        """Adds up the ranks' gradients, in place; whether any rank wants to stop travels along.

        Returns:
            Whether to stop after this step, the same on every rank.
        """
        if self.count == 1:
            return stop
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flag = torch.tensor([float(stop)], device=own[0].device)
        flat = torch.cat([*(gradient.flatten() for gradient in own), flag])
        with self._contact():
            dist.all_reduce(flat)
        *sums, flag = flat.split([*(p.numel() for p in parameters), 1])
        for parameter, total in zip(parameters, sums, strict=True):
            parameter.grad = total.view_as(parameter)
        return bool(flag.item())

    def broadcast(self, value: Any) -> Any:
        """Returns the first rank's value, on every rank."""
        if self.count == 1:
            return value
        box = [value]
        with self._contact():
            dist.broadcast_object_list(box, src=0, device=torch.device(self.device))
        return box[0]

    @contextmanager
    def _contact(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise LostRank(
                f"rank {self.rank} of {self.count}: lost contact with another rank "
                f"({str(error).splitlines()[0]}); run the same command again to go on from the last checkpoint"
            ) from error


@contextmanager
def join_ranks(device: str) -> Iterator[Ranks]:
    """Finds the other ranks, if `torchrun` or `--devices` started this process as one of several.

    Args:
        device: The setting; with several ranks each takes the GPU of its own number on its machine.

    Raises:
        FeatxError: If there are not enough GPUs.
        LostRank: If the other ranks do not come.
        Interrupted: That of the code within, after which all ranks stop.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        device = choose_device(device)
        use_gpu(device)
        yield Ranks(device=device)
        return
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    neighbours = int(os.environ["LOCAL_WORLD_SIZE"])
    own_device = device_of_rank(device, local, neighbours)
    use_gpu(own_device)
    meeting = os.environ.get(MEETING)
    try:
        dist.init_process_group(
            "gloo" if own_device == "cpu" else "nccl",
            init_method=f"file://{meeting}" if meeting else "env://",
            rank=rank,
            world_size=count,
            timeout=PATIENCE,
        )
    except (RuntimeError, ValueError) as error:
        raise LostRank(
            f"rank {rank} of {count}: the others did not come ({str(error).splitlines()[0]})"
        ) from error
    try:
        yield Ranks(rank, count, own_device, neighbours)
    except Interrupted:  # all ranks stop after the same step
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()  # not after errors: it may wait for ranks that are gone, and this process ends anyway


def device_of_rank(device: str, local_rank: int, neighbours: int) -> str:
    """Returns the device of one of ``neighbours`` ranks on this machine.

    Raises:
        FeatxError: If a single GPU was asked for, or there are not enough.
    """
    if choose_device(device) == "cpu":
        return "cpu"
    if device not in ("auto", "cuda"):
        raise FeatxError(
            f"--device {device}: with several processes say cuda or auto; each takes a GPU of its own"
        )
    there = torch.cuda.device_count()
    if there < neighbours:
        raise FeatxError(f"--devices {neighbours}: this machine has {there} GPUs; or use --device cpu")
    return f"cuda:{local_rank}"
