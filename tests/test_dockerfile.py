"""The Dockerfile copies what featx is made of, and its steps run one after another."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
from run_dockerfile import steps_of  # noqa: E402

STEPS = steps_of((ROOT / "Dockerfile").read_text())
COPIED = {word for step in STEPS if step.name == "COPY" for word in step.words.split()[:-1]}


def test_all_packages_are_copied_and_not_ignored() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    places = project["tool"]["setuptools"]["package-dir"].values()
    needed = {*places, "pyproject.toml", "constraints.txt", project["project"]["readme"]}
    needed |= set(project["project"]["license-files"])
    assert needed == COPIED and all((ROOT / name).exists() for name in needed)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == COPIED


def test_what_is_installed_is_constrained_and_no_user_is_root() -> None:
    installs = [step.words for step in STEPS if step.name == "RUN" and "pip install" in step.words]
    assert installs and all("-c constraints.txt" in words for words in installs)
    assert [step.words for step in STEPS if step.name == "USER"] == ["1000"]
    assert [step.name for step in STEPS][-2:] == ["ENTRYPOINT", "CMD"]


def test_steps_are_read_as_docker_reads_them() -> None:
    text = '# a comment\nFROM x\n\nRUN one \\\n    && two\n# between\nCMD ["a"]\n'
    assert [tuple(step) for step in steps_of(text)] == [
        ("FROM", "x"),
        ("RUN", "one      && two"),
        ("CMD", '["a"]'),
    ]


@pytest.mark.slow
def test_the_steps_run_one_by_one_in_a_fresh_folder(tmp_path: Path) -> None:
    """Downloads some 3 GB."""
    words = [sys.executable, ROOT / "tools" / "run_dockerfile.py", "--root", tmp_path, "--"]
    done = subprocess.run([*words, "--version", "--verbose"], capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    assert "Python          3." in done.stdout and str(tmp_path / "opt" / "featx") in done.stdout
