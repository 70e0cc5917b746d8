"""Type-checks tests, benchmarks and tools, which import featx as it is installed: the four stages inside `featx`.

    .venv/bin/python tools/type_check_tests.py

No folder looks like that before it is installed, so one is made of links. Types of arguments are not compared: tests
hand over what a user might, and what does not fit. What is asked is whether everything they name exists.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALLED = ROOT / ".mypy_cache" / "installed"
STAGES = ("extract", "train", "evaluate", "data_manifests")
NOT_COMPARED = (
    "arg-type", "assignment", "call-overload", "func-returns-value", "has-type", "index", "list-item", "misc",
    "operator", "type-var", "union-attr", "var-annotated",
)  # fmt: skip


def link_packages() -> None:
    """Makes a folder `featx` of links that holds what an installed one does."""
    package = INSTALLED / "featx"
    package.mkdir(parents=True, exist_ok=True)
    wanted = {entry.name: entry for entry in (ROOT / "featx").iterdir() if entry.name != "__pycache__"}
    wanted |= {stage: ROOT / stage for stage in STAGES}
    for link in package.iterdir():
        link.unlink()
    for name, place in wanted.items():
        (package / name).symlink_to(place)


def main() -> int:
    """Returns mypy's exit code."""
    link_packages()
    files = [
        str(file) for top in ("tests", "benchmarks", "tools") for file in sorted((ROOT / top).rglob("*.py"))
    ]
    words = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "tools" / "mypy-tests.ini")]
    words += [f"--disable-error-code={code}" for code in NOT_COMPARED]
    places = [INSTALLED, ROOT / "tests" / "support", ROOT / "benchmarks"]
    return subprocess.run(
        [*words, *files], cwd=ROOT, env=os.environ | {"MYPYPATH": os.pathsep.join(map(str, places))}
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
