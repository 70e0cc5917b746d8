"""Where nothing can be written, every command that makes or scores runs ends with one line that names the place."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import make_episodes

from featx.manifest.videos import read_manifest

LEARNS = [
    "train",
    "--prompts",
    1,
    "--layers",
    0,
    "--steps",
    3,
    "--batch-size",
    4,
    "--log-every",
    1,
    "--device",
    "cpu",
]
# Commands in one process whose files may not grow, as on a full disk; Python ignores the signal that comes with it.
PROGRAM = """
import json, resource, sys
from featx.cli import main
for size, words in json.load(sys.stdin):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    sys.argv, code = ["featx", *words], 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    print(f"ended {code}", file=sys.stderr, flush=True)
"""


def outcomes(cases: list[tuple[int, list[object]]]) -> list[tuple[int, list[str]]]:
    """Returns the exit code of each command, and its lines on standard error."""
    said = json.dumps([(size, [str(word) for word in words]) for size, words in cases])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=said, capture_output=True, text=True, timeout=300
    )
    found: list[tuple[int, list[str]]] = []
    lines: list[str] = []
    for line in done.stderr.splitlines():
        if line.startswith("ended "):
            found.append((int(line.removeprefix("ended ")), lines))
            lines = []
        else:
            lines.append(line)
    assert not lines and len(found) == len(cases), done.stderr
    return found


@pytest.fixture
def run(class_data: Path, tmp_path: Path, featx) -> Path:
    given = ["--store", class_data / "features", "--manifest", class_data / "manifest.jsonl"]
    assert featx(*LEARNS, *given, "--to", tmp_path / "run").code == 0
    assert featx("eval", tmp_path / "run", "--device", "cpu").code == 0
    return tmp_path / "run"


def test_a_full_disk(class_data: Path, tmp_path: Path, run: Path, featx) -> None:
    given = ["--store", class_data / "features", "--manifest", class_data / "manifest.jsonl"]
    episodes, recipe, to = tmp_path / "episodes.jsonl", tmp_path / "recipe.toml", tmp_path / "new"
    make_episodes(read_manifest(class_data / "manifest.jsonl"), episodes, 1, 2, 2)
    recipe.write_text("steps = 2\nbatch = 4\nlayers = 0\ndevice = 'cpu'\n")
    commands = [
        ([*LEARNS, *given, "--to", to], to),
        ([*LEARNS, *given, "--episodes", episodes, "--to", to], to),
        (["baseline", "nearest-mean", *given, "--to", to], to),
        (["sweep", recipe, *given, "--grid", "prompts=0", "--to", to], to),
        (["eval", run, "--device", "cpu"], run),
        (["diagnose", run, "--device", "cpu"], run),
    ]
    cases = [(size, words, place) for size in (0, 400) for words, place in commands]
    for (_, words, place), (code, lines) in zip(cases, outcomes([case[:2] for case in cases]), strict=True):
        assert code == 2 and "Traceback" not in "".join(lines), (words, lines)
        assert lines[-1].startswith(f"featx: {place}") and "File too large" in lines[-1], (words, lines)
    outcome = featx("eval", run, "--device", "cpu")  # room again; the results of before were not spoiled
    assert outcome.code == 0, outcome.err


def test_a_place_where_nothing_may_be_made(class_data: Path, tmp_path: Path, featx) -> None:
    given = ["--store", class_data / "features", "--manifest", class_data / "manifest.jsonl"]
    recipe, to = tmp_path / "recipe.toml", Path("/proc/featx")
    recipe.write_text("steps = 2\n")
    for words in (LEARNS, ["baseline", "zero-shot"], ["sweep", recipe, "--grid", "prompts=0"]):
        outcome = featx(*words, *given, "--to", to)
        assert outcome.code == 2 and outcome.err.startswith(f"featx: {to}"), (words, outcome.err)
        assert outcome.err.count("\n") == 1


def test_standard_output_that_takes_nothing(run: Path) -> None:
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "featx", "table", "closed-set", str(run)]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "featx: standard output, or an open file: No space left on device; the disk is full: make room and give the same command again"
    ]
