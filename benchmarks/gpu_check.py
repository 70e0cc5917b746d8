"""Checks on a machine with a GPU that featx computes there what it computes on a CPU, and how fast.

    make gpu-check
    .venv/bin/python benchmarks/gpu_check.py --videos FOLDER --json gpu-check.json

Ten minutes at most, without a network. Without a GPU it says so and ends well. Every check goes its own way: one that
fails, or that cannot even be done, does not keep the others from running. Exit code 1 if one failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

SECONDS = 540.0  # after so many no further check is begun


def main() -> int:
    """Runs the checks, prints their table, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--videos", type=Path, help="folder of clips (default: FEATX_SHARED's, else generated)"
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu stands in, to try the checks")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the checks")
    parser.add_argument("--only", default="", help="checks to run, such as features,search")
    parser.add_argument("--json", type=Path, help="write the findings here too")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    from featx.devices import cuda_problem

    if options.device != "cpu" and (reason := cuda_problem()):
        print(f"gpu-check: no GPU that could be checked: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="featx-gpu-check-") as scratch:
        return run(options, Path(scratch))


def run(options: argparse.Namespace, folder: Path) -> int:
    """Runs the checks that were asked for."""
    from gpu_check_place import Finding, Place, machine

    clips = videos_of(options.videos, folder)
    place = Place(options.device, folder, tuple(clips), options.quick)
    about = machine(options.device)
    print(f"{about}; {len(clips)} clips\n\n| what | figures | must be | |\n|---|---|---|---|", flush=True)
    findings: list[Finding] = []
    problems: list[str] = []
    began = time.monotonic()
    asked = options.only.split(",") if options.only else list(checks())
    for name in asked:
        if time.monotonic() - began > SECONDS:
            findings.append(Finding(name, f"not begun after {SECONDS:.0f} s", "done in time", False))
            print(findings[-1].line, flush=True)
            continue
        try:
            for finding in checks()[name](place):
                findings.append(finding)
                print(finding.line, flush=True)
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            findings.append(Finding(name, f"{type(error).__name__}: {first}", "done", False))
            problems.append(f"\n{name}:\n{traceback.format_exc()}")
            print(findings[-1].line, flush=True)
    print("".join(problems), file=sys.stderr, end="")
    failed = sum(finding.passed is False for finding in findings)
    passed = sum(finding.passed is True for finding in findings)
    print(f"\n{passed} passed, {failed} failed, {time.monotonic() - began:.0f} s")
    if options.json:
        content = {"machine": about, "findings": [finding.as_json() for finding in findings]}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


def checks() -> dict[str, Callable[..., Iterator]]:
    """Returns the checks by their names, in turn."""
    import gpu_check_extract as extraction
    import gpu_check_learn as learning

    return {
        "features": extraction.features,
        "two-workers": extraction.two_workers,
        "pictures": extraction.pictures,
        "decoding": extraction.decoding,
        "gradients": learning.gradients,
        "evaluation": learning.evaluation,
        "prediction": learning.prediction,
        "search": learning.search,
        "speed": extraction.speed,
        "step-speed": learning.step_speed,
    }


def videos_of(given: Path | None, folder: Path) -> list[Path]:
    """Returns the clips of a folder, of FEATX_SHARED's, or generated ones.

    Raises:
        SystemExit: If the given folder holds no clip.
    """
    from featx.video.files import ENDINGS

    shared = os.environ.get("FEATX_SHARED")
    home = given or (Path(shared) / "videos" if shared else None)
    if given is not None or (home is not None and home.is_dir()):
        assert home is not None
        found = sorted(path for path in home.iterdir() if path.suffix.lower() in ENDINGS)
        if not found:
            raise SystemExit(f"--videos {home}: no clip in this folder")
        return found
    from bench_extract import generated

    (folder / "clips").mkdir()
    return generated(folder / "clips")


if __name__ == "__main__":
    sys.exit(main())
