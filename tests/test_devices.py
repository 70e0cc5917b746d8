"""The device that is taken, and why not: a GPU that cannot be used must never mean the CPU without a word."""

import os
from pathlib import Path

import pytest
import torch

from featx.devices import choose_device, nvidia_gpus, ran_out_of_memory, use_gpu
from featx.errors import FeatxError

no_gpu = pytest.mark.skipif(bool(nvidia_gpus()), reason="is about machines without a GPU")


def put_nvidia_smi(folder: Path, lines: str, patch: pytest.MonkeyPatch) -> None:
    """The program by which a machine shows its GPUs, on a machine that has none that torch could use."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@no_gpu
def test_without_a_gpu_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert choose_device("auto") == "cpu"
    put_nvidia_smi(tmp_path, "echo 'NVIDIA-SMI has failed: no devices'; exit 9", monkeypatch)
    assert choose_device("auto") == "cpu"


@no_gpu
def test_a_gpu_that_torch_cannot_use_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, featx, shape_videos: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    put_nvidia_smi(tmp_path, "echo 'GPU 0: NVIDIA H100 (UUID: GPU-1)'", monkeypatch)
    with pytest.raises(FeatxError, match=r"GPU 0: NVIDIA H100 .*cannot use it: .+--device cpu"):
        choose_device("auto")
    words = ["extract", shape_videos, "--to", tmp_path / "s", "--model", "tiny"]
    outcome = featx(*words)
    assert outcome.code == 2 and "NVIDIA H100" in outcome.err and "--device cpu" in outcome.err
    assert outcome.err.count("\n") == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(FeatxError, match="CUDA_VISIBLE_DEVICES=7"):
        choose_device("auto")
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert choose_device("auto") == "cpu"


@no_gpu
def test_a_device_that_is_not_there_says_why() -> None:
    why = "built without CUDA" if torch.version.cuda is None else "NVIDIA driver|No CUDA GPUs"
    for device, reason in [("cuda", why), ("cuda:3", why), ("gpu", "[Dd]evice"), ("cuda:x", "[Dd]evice")]:
        with pytest.raises(FeatxError, match=f"^--device {device}: .*({reason})"):
            choose_device(device)
    assert choose_device("cpu") == "cpu"


def test_gpus_are_found_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_gpus(tmp_path) == []
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    assert nvidia_gpus(tmp_path) == [str(tmp_path / "dev/nvidia0"), str(tmp_path / "dev/nvidia1")]


def test_a_full_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch, featx) -> None:
    import featx.store.upkeep.cli as command

    errors = [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee documentation"),
        torch.AcceleratorError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ]
    for error in errors:
        assert ran_out_of_memory(error)

        monkeypatch.setattr(command, "app", app_that_raises(error))
        outcome = featx("store")
        assert outcome.code == 2 and outcome.err.count("\n") == 1 and "--batch-size" in outcome.err, (
            outcome.err
        )
    assert not ran_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def app_that_raises(error: Exception):
    import typer

    app = typer.Typer()

    @app.command()
    def full() -> None:
        raise error

    return app


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_gpu_computes_float32_in_full(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the detector's convolutions would round their inputs to TF32's 10 bits."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = (
        True  # as in NVIDIA's containers
    )
    try:
        assert choose_device(device) == "cuda"
        assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_a_gpu_without_a_number_is_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `set_device` torch wants a number: with ``cuda``, which is what `auto` becomes, every worker ended."""
    with pytest.raises(ValueError, match="index"):
        torch.cuda.set_device("cuda")
    told: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", told.append)
    for device in ("cuda", "cuda:1", "cpu"):
        use_gpu(device)
    assert told == [0, 1]
