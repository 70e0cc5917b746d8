"""The command: its lines, its exit code, its JSON, and that a broken check is a finding too."""

import json
import os
import subprocess
import sys
from pathlib import Path

from programs import program

from featx.doctor.check import Check, State, looked
from featx.doctor.cli import LOOKS


def doctor(*words: str, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "featx", "doctor", *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    code, out, err = doctor(
        "--json", "--store", str(tmp_path / "s"), HOME=str(tmp_path), CUDA_VISIBLE_DEVICES=""
    )
    checks = json.loads(out)
    assert (code, err) == (0, "")
    assert all(set(one) == {"name", "state", "found", "advice"} for one in checks)
    names = [one["name"] for one in checks]
    assert {name for name, _ in LOOKS} - {"weights"} <= set(names) and names[-1] == "store: writers"
    assert any(one["state"] == "warning" and one["name"] == "weights ViT-B/16" for one in checks)
    assert all(one["advice"] for one in checks if one["state"] != "ok")


def test_a_failure_has_its_line_its_advice_and_its_code(tmp_path: Path) -> None:
    file = program(tmp_path / "ffmpeg", "exit 3")
    code, out, err = doctor(HOME=str(tmp_path), FEATX_FFMPEG=str(file), CUDA_VISIBLE_DEVICES="")
    lines = out.splitlines()
    (number,) = (number for number, line in enumerate(lines) if line.startswith("failure"))
    assert lines[number].split()[1] == "ffmpeg" and lines[number + 1].strip().startswith(
        "→ unset FEATX_FFMPEG"
    )
    assert code == 4 and err.startswith("featx: 1 of ") and err.endswith(" checks failed: ffmpeg\n")


def test_a_check_that_breaks_is_a_failure() -> None:
    def broken() -> Check:
        raise ImportError("libcudnn.so.9: cannot open shared object file\nmore")

    (check,) = looked("GPU", broken)
    assert check.state is State.FAILURE and "libcudnn" in check.found and "more" not in check.found


def test_an_environment_without_torch_is_examined_too(tmp_path: Path) -> None:
    """A torch that does not import stands before the real one."""
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cuda.so: undefined symbol')")
    code, out, _ = doctor("--json", HOME=str(tmp_path), PYTHONPATH=str(tmp_path))
    states = {one["name"]: one["state"] for one in json.loads(out)}
    assert code == 4 and states["packages"] == states["GPU"] == "failure" and states["ffmpeg"] == "ok"
