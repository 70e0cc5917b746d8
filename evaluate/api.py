"""`featx.search`: what `featx search` does, for Python programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.errors import FeatxError
from featx.library.calls import PathLike, settings_of
from featx.library.stores import store_of
from featx.output.console import warn
from featx.output.library_function import library_function
from featx.store.reader import FeatureStore

from .search.command import run_search
from .search.exact.search import Hit
from .search.exact.settings import SearchSettings
from .search.queries import Queries, gather_queries

if TYPE_CHECKING:
    from PIL.Image import Image


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
