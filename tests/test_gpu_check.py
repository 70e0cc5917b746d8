"""`make gpu-check` without a GPU: a CPU stands in for it, so that no line of it runs for the first time on one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from featx.devices import cuda_problem

FILE = Path(__file__).parents[1] / "benchmarks" / "gpu_check.py"


@pytest.fixture
def gpu_check(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(FILE.parent))
    import gpu_check

    return gpu_check


def test_without_a_gpu_it_says_so_and_ends_well() -> None:
    if cuda_problem() is None:
        pytest.skip("there is one")
    done = subprocess.run([sys.executable, str(FILE)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("gpu-check: no GPU that could be checked: ")


def test_one_check_that_fails_does_not_stop_the_others(
    gpu_check, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys, shape_videos: Path
) -> None:
    from gpu_check_place import Finding

    def wrong(place):
        yield Finding("a", "2", "<= 1", False)
        raise ZeroDivisionError("over\nnothing")

    checks = {
        "wrong": wrong,
        "good": lambda place: iter([Finding("b", "0", "<= 1", True, {"n": 0.0})]),
        "measured": lambda place: iter([Finding("c", "5 ms")]),
    }
    monkeypatch.setattr(gpu_check, "checks", lambda: checks)
    words = ["x", "--device", "cpu", "--quick", "--videos", str(shape_videos / "growing")]
    monkeypatch.setattr(sys, "argv", [*words, "--json", str(tmp_path / "f.json")])
    assert gpu_check.main() == 1
    said = capsys.readouterr()
    lines = [line for line in said.out.splitlines() if line.startswith("| ")][1:]
    assert lines == [
        "| a | 2 | <= 1 | FAIL |",
        "| wrong | ZeroDivisionError: over | done | FAIL |",
        "| b | 0 | <= 1 | pass |",
        "| c | 5 ms |  |  |",
    ]
    assert "1 passed, 2 failed" in said.out and "Traceback" in said.err
    findings = json.loads((tmp_path / "f.json").read_text())["findings"]
    assert [finding["passed"] for finding in findings] == [False, False, True, None]
    monkeypatch.setattr(sys, "argv", [*words, "--only", "good,measured"])
    assert gpu_check.main() == 0
    monkeypatch.setattr(gpu_check, "SECONDS", -1.0)
    assert gpu_check.main() == 1 and "not begun" in capsys.readouterr().out


def test_the_figures_that_are_compared_see_what_they_should(gpu_check) -> None:
    import numpy as np
    import torch
    from gpu_check_learn import differences, finds_of, relative
    from gpu_check_place import compare

    rows = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    assert compare({"a": rows}, {"a": rows}) == pytest.approx((1, 0))
    other = rows.copy()
    other[3] *= -1
    assert compare({"a": other}, {"a": rows}) == pytest.approx((-1, 2))
    for wrong in ({"b": rows}, {"a": rows[:4]}, {}):
        with pytest.raises(RuntimeError):
            compare(wrong, {"a": rows})
    right = torch.tensor([3.0, 4.0])
    assert relative(right * 1.5, right) == pytest.approx(0.5)
    assert relative(None, right) == relative(right * torch.nan, right) == float("inf")
    assert differences({"n": [1, {"top": 2}], "date": 1}, {"n": [1, {"top": 3}], "date": 2}) == [".n[1].top"]
    assert finds_of({"q": [{"finds": [{"video": "a", "score": 1}]}]}) == [{"video": "a", "score": 1}]


def test_gradients_stand_in(gpu_check, monkeypatch: pytest.MonkeyPatch, shape_videos: Path, capsys) -> None:
    words = ["x", "--device", "cpu", "--quick", "--videos", str(shape_videos / "growing")]
    monkeypatch.setattr(sys, "argv", [*words, "--only", "gradients"])
    assert gpu_check.main() == 0, capsys.readouterr().out
    assert "2 passed, 0 failed" in capsys.readouterr().out


@pytest.mark.slow
def test_every_check_runs_with_a_cpu_in_the_place_of_a_gpu(shape_videos: Path, tmp_path: Path) -> None:
    words = [
        "--device",
        "cpu",
        "--quick",
        "--videos",
        shape_videos / "growing",
        "--json",
        tmp_path / "f.json",
    ]
    done = subprocess.run(
        [sys.executable, str(FILE), *map(str, words)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout and ", 0 failed" in done.stdout
    findings = json.loads((tmp_path / "f.json").read_text())["findings"]
    assert sum(finding["passed"] is True for finding in findings) == 14
