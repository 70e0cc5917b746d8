"""`featx.train_adapter`: what `featx train` does, for Python programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.library.calls import PathLike, task_settings_of, this_call
from featx.output.audience import ProgressCallback
from featx.output.console import say
from featx.output.library_function import library_function

from .adapter.episodes import Outcome
from .adapter.settings import TrainSettings
from .detector.settings import ProposalSettings
from .engine.recipe_files import find_recipe
from .engine.summary import Summary
from .start import SETTINGS, start


@dataclass(frozen=True)
class TrainedRun(os.PathLike[str]):
    """A run that was trained; it can stand wherever a path of a run is asked for.

    Attributes:
        folder: Holds the adapter, log, curves and checkpoints.
        summary: What training did: ``parameters``, ``steps``, ``seconds``, ``best_score``, ``missing`` and more; of few-shot
            episodes their ``results``.
        notes: What the command would have printed, line by line.
    """

    folder: Path
    summary: Summary | Outcome
    notes: list[str] = field(repr=False)

    def __fspath__(self) -> str:
        """Returns the folder."""
        return str(self.folder)


@library_function(TrainSettings, ProposalSettings)
def train_adapter(
    *,
    store: PathLike,
    manifest: PathLike,
    to: PathLike,
    recipe: PathLike | None = None,
    fresh: bool = False,
    model_code: str | None = None,
    model_option: Mapping[str, Any] | None = None,
    progress: ProgressCallback | None = None,
    **settings: Any,
) -> TrainedRun:
    """Trains prompts and a temporal Transformer on a store, as ``featx train`` does.

    The same call goes on after an interruption. A run that has finished is not trained again.

    Args:
        store: Folder of the feature store.
        manifest: File with labels and splits (.jsonl).
        to: Folder of the run, for adapter, log, curves and checkpoints.
        recipe: TOML file with settings, or the name of a recipe that comes with featx. Arguments take precedence.
        fresh: Whether to delete what an earlier run left in the folder, and to start over.
        model_code: A temporal model of your own in the place of the Transformer, as ``my_model.py:MyTemporal``. Its code is
            run.
        model_option: Keyword arguments of its class.
        progress: Is called about four times a second, and at the end, with the steps done, their total, and a line of
            figures. With ``devices`` above 1 it is not called.
        settings: Any other option of ``featx train``, with underscores, such as ``prompts=16``, ``layers=2``,
            ``steps=1100``.

    Raises:
        FeatxError: If settings, data and folder do not go together.
        KeyboardInterrupt: After Ctrl-C; the state is saved.
    """
    call = this_call()
    call.progress = progress
    options = None if model_option is None else dict(model_option)
    given = {
        "store": store,
        "manifest": manifest,
        "model_code": model_code,
        "model_option": options,
        **settings,
    }
    path = find_recipe(None if recipe is None else Path(recipe))
    checked = task_settings_of(SETTINGS, path, given)
    if checked.devices > 1:  # each a process of its own, which this program does not hear
        learned = start(checked.model_copy(update={"quiet": True}), Path(to), fresh, _keep_to_itself)
    else:
        learned = start(checked, Path(to), fresh, say)
    return TrainedRun(Path(to), learned.summary, [*call.lines, *learned.lines])


def _keep_to_itself(line: str) -> None:
    """Says nothing."""
