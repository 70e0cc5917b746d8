"""A GPU that torch cannot use is explained in words; on a machine with one, it has computed."""

from pathlib import Path

import pytest
from programs import program

from featx.devices import cuda_problem, nvidia_gpus
from featx.doctor.check import State
from featx.doctor.gpu import check_compiler, check_gpus, driver_version, what_to_do

# What torch says, word for word (torch/csrc/cuda and c10/cuda).
OLD = "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver"
MISSING = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"
KERNELS = "CUDA error: no kernel image is available for execution on the device"


@pytest.mark.parametrize(
    ("reason", "torch_cuda", "advice"),
    [
        (OLD, "13.2", "the driver knows CUDA up to 12.2, this torch needs 13.2"),
        (MISSING, "13.2", "--gpus all"),
        (KERNELS, "13.2", "no kernels for this kind of GPU"),
        ("this torch (2.15.0) is built without CUDA", None, "built for CPUs only"),
        ("CUDA driver initialization failed", "13.2", "nvidia-smi shows"),
    ],
)
def test_each_mismatch_has_its_advice(reason: str, torch_cuda: str | None, advice: str) -> None:
    assert advice in what_to_do(reason, torch_cuda)


def test_the_versions_of_drivers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "version"
    file.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)\n"
    )
    assert driver_version(file) == "570.86.15"
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 2023\n")
    assert driver_version(file) == "535.104.05"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver_version(tmp_path / "none") is None
    program(tmp_path / "nvidia-smi", "echo 550.54.14; echo 550.54.14")
    assert driver_version(tmp_path / "none") == "550.54.14"
    program(
        tmp_path / "nvidia-smi", "echo Failed to initialize NVML: Driver/library version mismatch; exit 18"
    )
    assert driver_version(tmp_path / "none") is None


def test_a_gpu_that_torch_cannot_use_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose nvidia-smi shows a GPU, and whose driver torch does not find."""
    if cuda_problem() is None or nvidia_gpus():
        pytest.skip("has a GPU")
    program(tmp_path / "nvidia-smi", 'case "$1" in -L) echo "GPU 0: NVIDIA H100";; *) echo 570.86.15;; esac')
    monkeypatch.setenv("PATH", str(tmp_path))
    (check,) = check_gpus()
    assert check.state is State.FAILURE and "H100" in check.found and check.advice
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [each.state for each in check_gpus()] == [State.OK]


def test_a_gpu_computes() -> None:
    if cuda_problem() is not None:
        pytest.skip("has no GPU")
    first, *_, kernels = check_gpus()
    assert first.name == "GPU cuda:0" and first.state is not State.FAILURE and "computes" in first.found
    assert kernels.name == "GPU kernels"


def test_a_missing_compiler_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = check_compiler()
    assert check.state is State.WARNING and "no C compiler" in check.found and "install gcc" in check.advice
    program(tmp_path / "gcc", "")
    assert check_compiler().state is State.OK
    monkeypatch.setenv("CC", "/no/such/compiler")
    assert "CC=/no/such/compiler" in check_compiler().found
