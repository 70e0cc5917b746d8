"""Runs the Dockerfile's steps one by one on this machine, below a folder: for where there is no Docker.

.venv/bin/python tools/run_dockerfile.py --root FOLDER [-- WORDS OF FEATX]

Absolute paths of the file (/opt/featx, /src, /home/featx, /work) become paths below the folder. The base image is this
machine, so what only the image has is not tested. At the end ENTRYPOINT is run with the words.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[1]
PATHS = re.compile(r"(?<![\w.$/}])/(opt|src|home|work)\b")


class Step(NamedTuple):
    """An instruction and its words."""

    name: str
    words: str


def steps_of(text: str) -> list[Step]:
    """Returns the instructions of a Dockerfile, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def run_steps(root: Path, words: list[str]) -> int:
    """Runs all steps and then the entry point; returns its exit code."""
    # How pip reaches its packages here is this machine's matter.
    variables = {
        name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("PIP_")
    }
    variables["HOME"] = str(root)
    folder, entry = root, []

    def moved(text: str) -> str:
        return PATHS.sub(lambda found: f"{root}/{found[1]}", text)

    for name in ("opt", "home"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for step in steps_of((REPOSITORY / "Dockerfile").read_text()):
        print(f"{step.name} {step.words}", flush=True)
        if step.name == "ENV":
            for pair in step.words.split():
                name, _, value = pair.partition("=")
                variables[name] = os.path.expandvars(moved(value).replace("${PATH}", variables["PATH"]))
        elif step.name == "ARG":
            name, _, value = step.words.partition("=")
            variables[name] = value
        elif step.name == "WORKDIR":
            folder = Path(moved(step.words))
            folder.mkdir(parents=True, exist_ok=True)
        elif step.name == "COPY":
            *sources, target = step.words.split()
            for source in sources:
                _copy(REPOSITORY / source, folder / target / (source if target == "./" else ""))
        elif step.name == "RUN":
            subprocess.run(["sh", "-ec", moved(step.words)], cwd=folder, env=variables, check=True)
        elif step.name == "ENTRYPOINT":
            entry = json.loads(step.words)
    return subprocess.run([*entry, *words], cwd=folder, env=variables).returncode


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def main() -> None:
    """Runs them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="an empty folder; it takes some 6 GB")
    parser.add_argument("words", nargs="*", default=["--help"])
    arguments = parser.parse_args()
    sys.exit(run_steps(arguments.root.resolve(), arguments.words))


if __name__ == "__main__":
    main()
