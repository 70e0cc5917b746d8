"""The folder of a run: what is cleared, what is listed there, and whether it holds what is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.localisation.detector import DETECTOR_FILE
from featx.model.adapter import ADAPTER_FILE
from featx.settings import MAY_CHANGE

from .checkpoint import Checkpoints
from .run_identity import differing, may_go_further, some_of
from .settings import LearnSettings

VALIDATION_LIST = "validation.txt"
EPISODES_FILE = "episodes.json"  # says that a folder holds a run over episodes, and which
MISSING_LIST = "missing-train.txt"


def last_of(file: str) -> str:
    """Returns the name of the file with the last step's numbers, beside the one with the best step's."""
    return file.replace(".", "-last.", 1)


def clear(run: Path) -> None:
    """Removes what a run wrote into its folder, and nothing else."""
    Checkpoints(run).clear()
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    learned = [name for file in (ADAPTER_FILE, DETECTOR_FILE) for name in (file, last_of(file))]
    for name in (*learned, "log.jsonl", "summary.json", VALIDATION_LIST, MISSING_LIST):
        (run / name).unlink(missing_ok=True)


def write_ids(file: Path, ids: list[str]) -> None:
    """Writes ids, one a line; no file where there are none."""
    if ids:
        write_atomically(file, "".join(f"{video_id}\n" for video_id in ids).encode())
    else:
        file.unlink(missing_ok=True)


def check_finished(run: Path, then: dict[str, Any], settings: LearnSettings) -> bool:
    """Refuses a folder that holds a finished run with other settings; tells whether it is to be given more steps.

    It can be given more where it has kept what it can go on from.

    Args:
        run: The folder.
        then: Settings that its run had.
        settings: Those that are asked for.

    Raises:
        FeatxError: Naming the differences.
    """
    ignored = settings.marked(MAY_CHANGE)
    before, now = (
        {name: value for name, value in some.items() if name not in ignored}
        for some in (settings.with_current_names(then), settings.model_dump(mode="json"))
    )
    differences = differing(before, now)
    if differences == differing({"steps": before.get("steps")}, {"steps": now["steps"]}) and (
        may_go_further(before, now) and Checkpoints(run).files()
    ):
        return True
    if differences:
        raise FeatxError(
            f"{run}: holds a finished run with other settings ({some_of(differences)}); choose another --to, or "
            "start over with --fresh"
        )
    return False
