"""Each check finds what it is for, on a machine that is really so."""

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featx.doctor.check import State
from featx.doctor.ffmpeg import check_ffmpeg
from featx.doctor.machine import check_cores, check_memory, check_shared_memory, check_temporary
from featx.doctor.place import check_place
from featx.doctor.weights import check_weights
from featx.video.ffmpeg import ffmpeg_path


def program(file: Path, lines: str) -> Path:
    file.write_text(f"#!/bin/sh\n{lines}\n")
    file.chmod(0o755)
    return file


def test_the_bundled_ffmpeg_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATX_FFMPEG", raising=False)
    assert check_ffmpeg().state is State.OK


# Runs the real one with further options before the last word, which is the output.
WRAPPED = """exec {python} -c 'import os, sys; real, *words = sys.argv[1:]
os.execv(real, [real, *words[:-1], *"{options}".split(), words[-1]])' {real} "$@"
"""


@pytest.mark.parametrize(
    ("lines", "options", "found"),
    [
        ("echo broken on purpose >&2; exit 1", "", "broken on purpose"),
        ("exit 3", "", "ended with code 3"),
        (WRAPPED, "-frames:v 2", "came back as others"),
        (WRAPPED, "-vf eq=brightness=0.3", "came back as others"),
    ],
)
def test_an_ffmpeg_that_does_not_work_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, options: str, found: str
) -> None:
    monkeypatch.delenv("FEATX_FFMPEG", raising=False)
    lines = lines.format(python=sys.executable, options=options, real=ffmpeg_path())
    monkeypatch.setenv("FEATX_FFMPEG", str(program(tmp_path / "ffmpeg", lines)))
    check = check_ffmpeg()
    assert check.state is State.FAILURE and found in check.found and "FEATX_FFMPEG" in check.advice


def test_a_missing_ffmpeg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATX_FFMPEG", "/no/such/ffmpeg")
    assert check_ffmpeg().state is State.FAILURE and "/no/such/ffmpeg" in check_ffmpeg().found


def test_the_limits_of_a_container_count(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{2**31}\n")
    (tmp_path / "memory.current").write_text(f"{2**30}\n")
    cores = check_cores(tmp_path)
    assert cores.state is State.WARNING and "0.5 cores" in cores.found and "--decoders 1" in cores.advice
    memory = check_memory(tmp_path)
    assert memory.state is State.WARNING and "1.0 GiB free (of the container's 2.0 GiB)" in memory.found
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert check_cores(tmp_path).state is State.OK
    assert check_cores(tmp_path / "none").state is State.OK


def test_missing_shared_memory_is_a_warning(tmp_path: Path) -> None:
    assert check_shared_memory(tmp_path / "shm").state is State.WARNING
    assert check_temporary(tmp_path).found.endswith(str(tmp_path))


def test_few_open_files_are_a_warning() -> None:
    script = "from featx.doctor.machine import check_open_files as c; print(c().state, c().advice)"

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))

    done = subprocess.run([sys.executable, "-c", script], preexec_fn=lower, capture_output=True, text=True)
    assert done.stdout == "warning ulimit -n 300 allows more\n"


def test_damaged_weights_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import clip

    content = np.random.default_rng(0).bytes(1000)
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(clip.clip._MODELS, "whole", f"https://example.org/{digest}/whole.pt")
    (tmp_path / "whole.pt").write_bytes(content)
    (tmp_path / "ViT-B-16.pt").write_bytes(content)
    checks = {check.name: check for check in check_weights(tmp_path)}
    assert checks["weights whole"].state is State.OK
    assert (
        checks["weights ViT-B/16"].state is State.FAILURE and checks["weights ViT-B/16"].advice == "delete it"
    )
    (tmp_path / "ViT-B-16.pt").unlink()
    missing = {check.name: check for check in check_weights(tmp_path)}["weights ViT-B/16"]
    assert missing.state is State.WARNING and "https://" in missing.found and str(tmp_path) in missing.found


def test_a_place_is_tried(tmp_path: Path) -> None:
    checks = check_place(str(tmp_path / "store"))
    assert [check.name for check in checks] == ["room for the store", "place of the store"]
    assert checks[-1].state is State.OK
    refused = check_place("ftp://somewhere/x")
    assert [check.state for check in refused] == [State.FAILURE] and "ftp://" in refused[0].found


def doctor(**variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "featx", "doctor", "--json"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_gpu_that_torch_cannot_use_is_a_failure(tmp_path: Path) -> None:
    """A machine whose nvidia-smi shows a GPU, and whose driver torch does not find."""
    import torch

    if torch.cuda.is_available() or list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("has a GPU")
    program(tmp_path / "nvidia-smi", "echo 'GPU 0: NVIDIA H100 (UUID: GPU-1)'")
    code, out, err = doctor(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (gpu,) = (one for one in json.loads(out) if one["name"] == "GPU")
    assert gpu["state"] == "failure" and "H100" in gpu["found"] and gpu["advice"]
    assert code == 4 and "checks failed: " in err and "GPU" in err


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    code, out, err = doctor(HOME=str(tmp_path), CUDA_VISIBLE_DEVICES="")
    checks = json.loads(out)
    assert (code, err) == (0, "") and {one["name"] for one in checks} >= {
        "ffmpeg",
        "GPU",
        "CPU cores",
        "memory",
    }
    assert any(one["state"] == "warning" and one["name"] == "weights ViT-B/16" for one in checks)


def test_versions_name_what_matters(featx) -> None:
    import torch

    lines = dict(line.split(maxsplit=1) for line in featx("--version", "--verbose").out.splitlines())
    assert lines["torch"] == torch.__version__.split("+")[0] or lines["torch"] == torch.__version__
    assert {"featx", "Python", "numpy", "zarr", "ffmpeg", "clip-anytorch"} <= set(lines)
    assert "--version" in featx("--verbose", "doctor").err
