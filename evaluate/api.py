"""`featx.evaluate_runs`, `load_adapter` and `search`: what the commands do, for Python programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.errors import FeatxError
from featx.library.calls import PathLike, paths_of, settings_of
from featx.library.stores import store_of
from featx.output.console import warn
from featx.output.library_function import library_function
from featx.scoring.results import Results
from featx.store.reader import FeatureStore

from .predict.classify import check_task, check_windows, read_classes, score_windows, warn_of_cut_texts
from .report.table import Table, for_programs, render_all
from .run.runs import AdapterRun, BaselineRun, open_run
from .run.settings import EvalSettings, LocaliseSettings, PredictSettings, RetrieveSettings
from .score import score_runs
from .search.command import run_search
from .search.exact.search import Hit
from .search.exact.settings import SearchSettings
from .search.queries import Queries, gather_queries

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Evaluation:
    """Results of several runs.

    Attributes:
        results: Everything that was measured, as fractions of 1 (docs/results-file.md).
        tables: What ``featx eval`` prints: the main table, a row a run, and those that were asked for.
    """

    results: list[Results]
    tables: list[Table]

    def to_markdown(self) -> str:
        """Returns the tables as Markdown, as ``featx eval --format markdown`` prints them."""
        return render_all(self.tables, "markdown")

    def to_pandas(self) -> Any:
        """Returns the main table as a DataFrame of pandas; what follows a ± has a column of its own.

        Raises:
            FeatxError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise FeatxError(
                "to_pandas: needs pandas, which is not installed; install it with: pip install pandas"
            ) from error
        table = for_programs(self.tables[0])
        return pandas.DataFrame(table.rows, columns=table.columns)


@library_function(EvalSettings, LocaliseSettings, RetrieveSettings)
def evaluate_runs(
    runs: PathLike | Iterable[PathLike], *, split: str = "test", trust_code: bool = False, **settings: Any
) -> Evaluation:
    """Scores runs on a split, as ``featx eval`` does; results are also written into the runs' folders.

    Args:
        runs: Runs of `train_adapter`, or folders that ``featx train`` or ``featx baseline`` made, of one task; or one.
        split: Split of the manifest to score.
        trust_code: Whether temporal models that are not featx's may run (``featx train --model-code``).
        settings: Any other option of ``featx eval``, with underscores, such as ``classes="unseen"`` or, for localisation,
            ``proposals="ground-truth"``.

    Warns:
        FeatxWarning: If classes were matched by their texts alone.

    Raises:
        FeatxError: If runs, store, manifest and classes do not belong together.
    """
    folders = paths_of(runs)
    if not folders:
        raise FeatxError("runs: give at least one")
    given = {"split": split, **({"trust_code": True} if trust_code else {}), **settings}
    chosen = {name: value for name, value in given.items() if value is not None}
    scored = score_runs(folders, chosen, lambda run: None)
    return Evaluation(scored.results, scored.tables)


class LoadedAdapter:
    """A run that classifies videos of any store with features like those that it learned from.

    Attributes:
        classes: C labels, in the order of the probabilities.
        texts: C texts of the classes.
        folder: The run.
    """

    def __init__(
        self, run: AdapterRun | BaselineRun, classes: dict[str, str], settings: PredictSettings
    ) -> None:
        """Takes over what was read; see `load_adapter`."""
        self.folder = settings.adapter
        self.classes, self.texts = list(classes), list(classes.values())
        self._run, self._labelled, self._settings = run, classes, settings

    @library_function()
    def classify(self, store: FeatureStore | PathLike, ids: str | Sequence[str] | None = None) -> np.ndarray:
        """Returns (V, C) float64 probabilities of the classes in whole videos, as ``featx predict`` and ``featx eval`` do.

        Args:
            store: The store, or its folder.
            ids: V videos, or one; all of the store if not given.

        Raises:
            FeatxError: If run and store do not belong together, or the store lacks a video.
        """
        opened = store_of(store)
        wanted = list(opened) if ids is None else [ids] if isinstance(ids, str) else list(ids)
        scored = score_windows(self._run, opened, wanted, self._labelled, self._settings)
        return np.concatenate([np.empty((0, len(self.classes))), *(one.scores for one in scored)])


@library_function(PredictSettings)
def load_adapter(run: PathLike, *, trust_code: bool = False, **settings: Any) -> LoadedAdapter:
    """Opens a run that classifies videos.

    Args:
        run: Run of `train_adapter`, folder that ``featx train`` or ``featx baseline`` made, or an adapter file.
        trust_code: Whether a temporal model that is not featx's may run (``featx train --model-code``).
        settings: Options of ``featx predict`` that are about whole videos, such as ``classes_file``, ``clips``, ``device``
            or ``model``.

    Warns:
        FeatxWarning: If a class text is longer than CLIP's 77 tokens and is cut.

    Raises:
        FeatxError: If it is no such run, is damaged, matches sentences or names segments, or its code may not run.
    """
    for name in ("store", "detector", "window", "hop", "top"):
        if name in settings:
            raise FeatxError(f"{name}: is not for whole videos of a store; take featx predict")
    checked = settings_of(PredictSettings, {"adapter": Path(run), "trust_code": trust_code, **settings})
    check_windows(checked)
    opened = open_run(checked.adapter, trust_code)
    check_task(opened, checked)
    classes = read_classes(opened, checked.classes_file)
    warn_of_cut_texts(opened, classes)
    return LoadedAdapter(opened, classes, checked)


@library_function(SearchSettings)
def search(
    store: FeatureStore | PathLike,
    query: str | Path | np.ndarray | Image,
    *,
    top: int = 10,
    adapter: PathLike | None = None,
    **settings: Any,
) -> list[Hit]:
    """Finds moments, videos or frames of a store by a sentence or a picture, as ``featx search`` does.

    Args:
        store: The store, or its folder.
        query: A sentence (str); or a picture: a file (Path), an image of PIL, or an (H, W, 3) uint8 array in RGB.
        top: Number of results.
        adapter: Folder of a run of `train_adapter`, whose prompts and temporal model are used; None for CLIP alone.
        settings: Any other option of ``featx search``, with underscores, such as ``level="videos"`` or
            ``video=["a.mp4"]``.

    Returns:
        What was found, the best first. Each has ``id`` of the video, ``start_s``, ``end_s`` and ``score``.

    Warns:
        FeatxWarning: If the sentence is longer than CLIP's 77 tokens and is cut.

    Raises:
        FeatxError: If a setting does not fit the store or another setting, or something cannot be read.
    """
    checked = settings_of(SearchSettings, {"top": top, "adapter": adapter, **settings})
    (answer,) = run_search(store_of(store), _queries_of(query), checked).answers
    if answer.truncated:
        warn(f"the query is longer than CLIP's 77 tokens and was cut: '{query}'")
    return answer.hits


def _queries_of(query: str | Path | np.ndarray | Image) -> Queries:
    """Returns one query.

    Raises:
        FeatxError: If it is empty, is not there, or is neither a sentence nor a picture.
    """
    if isinstance(query, str):
        return gather_queries(query, None, [])
    if isinstance(query, Path):
        return gather_queries(None, None, [query])
    array = query if isinstance(query, np.ndarray) else _array_of(query)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise FeatxError(f"query: an array must be (H, W, 3) uint8 in RGB, not {array.shape} {array.dtype}")
    return Queries([], [array])


def _array_of(image: Image) -> np.ndarray:
    if not hasattr(image, "convert"):
        raise FeatxError(
            f"query: must be a sentence (str), a file (Path), an image of PIL or an array, not {type(image).__name__}"
        )
    return np.asarray(image.convert("RGB"))
