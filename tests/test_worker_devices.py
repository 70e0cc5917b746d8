"""Where workers compute. No GPU is needed: what would show only on one is asked of the workers that a run starts."""

import sys
from multiprocessing.connection import Connection

from featx.extract.crew import worker_context


def report(connection: Connection) -> None:
    preloaded = [name for name in ("torch", "torchvision", "clip") if name in sys.modules]
    import torch

    from featx.clip.load import load_clip

    load_clip("tiny")
    connection.send((preloaded, torch._C._cuda_isInBadFork()))


def test_a_worker_can_use_a_gpu() -> None:
    """In a process forked from one that has asked for CUDA nothing on a GPU works."""
    context = worker_context()
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=report, args=(theirs,))
        process.start()
        theirs.close()
        preloaded, bad_fork = ours.recv()
        process.join()
        assert not bad_fork
        assert preloaded == ["torch", "torchvision"]  # imported once, for all workers


def test_the_error_of_a_missing_gpu_is_not_the_forks(shape_videos, tmp_path, featx) -> None:
    outcome = featx("extract", shape_videos, "--to", tmp_path / "s", "--model", "tiny", "--device", "cuda:99")
    assert outcome.code == 2 and outcome.err.startswith("featx: --device cuda:99: ")
    assert "fork" not in outcome.err, outcome.err
