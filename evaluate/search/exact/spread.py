"""An exact search by several processes, on this machine or on those of a Ray cluster.

Each one opens the store itself and scans a run of its stretches, so only the queries and the best hits travel. What lies
first in the store is first among equals, as in one process: the runs are put together in their order.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from featx.errors import FeatxError
from featx.ray_cluster import connected
from featx.store.reader import FeatureStore, Stretch

from .candidates import candidates_of_each
from .scan import StretchScan
from .search import Hit, check_has_videos, open_scans, search_exactly
from .settings import SearchSettings


def search_spread(
    store: FeatureStore, queries: Tensor, count: int, settings: SearchSettings
) -> list[list[Hit]]:
    """Compares queries with everything, in as many processes as the settings say.

    Args:
        store: The store.
        queries: (Q, D) float32 of unit length.
        count: Finds of each query.
        settings: How; ``processes``, ``engine`` and ``address`` say where.

    Returns:
        The same as `search_exactly`.

    Raises:
        FeatxError: If rows are damaged, or Ray or its cluster is missing.
    """
    if settings.engine == "ray":
        return _by_ray(store, queries, count, settings)
    if settings.processes > 1:
        return _by_processes(store, queries, count, settings)
    return search_exactly(open_scans(store, settings), queries, count, settings)


def slices_of(stretches: Sequence[Stretch], count: int) -> list[slice]:
    """Divides stretches into at most ``count`` runs of about the same number of rows; none is empty."""
    ends = np.cumsum([len(stretch) for stretch in stretches])
    whole = int(ends[-1]) if len(ends) else 0
    past = np.searchsorted(ends, [whole * part / count for part in range(1, count)], "left") + 1
    borders = sorted({0, len(stretches), *(int(border) for border in past if border < len(stretches))})
    return [slice(first, end) for first, end in pairwise(borders)]


@dataclass(frozen=True)
class Part:
    """What one process scans.

    Attributes:
        place: Folder or URL of the store.
        stretches: Which of its stretches.
        rows: Of these.
    """

    place: str
    stretches: slice
    rows: int


def scan_part(
    part: Part, queries: np.ndarray, count: int, settings: SearchSettings, threads: int
) -> list[list[Hit]]:
    """Searches a run of a store's stretches, in a process of its own.

    Args:
        part: What to scan.
        queries: (Q, D) float32 of unit length.
        count: Finds of each query.
        settings: When candidates are one hit.
        threads: That compute.

    Raises:
        FeatxError: If rows are damaged, the store is not reached, or it has changed since it was divided.
    """
    torch.set_num_threads(threads)
    store = FeatureStore(Path(part.place))
    stretches = _stretches(store, settings)[part.stretches]
    if sum(map(len, stretches)) != part.rows:
        raise FeatxError(f"{part.place}: has changed while it was searched; search again")
    scans = (
        StretchScan(store, stretch, candidates)
        for stretch, candidates in candidates_of_each(store, stretches, settings)
    )
    return search_exactly(scans, torch.from_numpy(queries), count, settings)


def _parts(store: FeatureStore, settings: SearchSettings, count: int) -> list[Part]:
    """Divides a store among processes.

    Raises:
        FeatxError: If there is nothing to search, or a video is not there.
    """
    check_has_videos(store)
    stretches = _stretches(store, settings)
    place = store.url or str(store.path.absolute())
    return [Part(place, some, sum(map(len, stretches[some]))) for some in slices_of(stretches, count)]


def _stretches(store: FeatureStore, settings: SearchSettings) -> list[Stretch]:
    return store.stretches(list(dict.fromkeys(settings.video)) or None)


def _by_processes(
    store: FeatureStore, queries: Tensor, count: int, settings: SearchSettings
) -> list[list[Hit]]:
    parts = _parts(store, settings, settings.processes)
    threads = max((os.cpu_count() or 1) // len(parts), 1)
    given = (queries.numpy(), count, settings, threads)
    with ProcessPoolExecutor(len(parts), get_context("forkserver")) as pool:
        futures = [pool.submit(scan_part, part, *given) for part in parts]
        return _together([future.result() for future in futures], count)


def _by_ray(store: FeatureStore, queries: Tensor, count: int, settings: SearchSettings) -> list[list[Hit]]:
    with connected(settings.address) as ray:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [
            (node["NodeID"], int(node["Resources"]["CPU"]))
            for node in ray.nodes()
            if node.get("Alive") and node.get("Resources", {}).get("CPU", 0) >= 1
        ]
        if not nodes:
            raise FeatxError(f"--address {settings.address}: the cluster has no machine with a free core")
        parts = _parts(store, settings, len(nodes))
        tasks = [
            ray.remote(scan_part)
            .options(
                num_cpus=cores,
                max_retries=3,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
            )
            .remote(part, queries.numpy(), count, settings, cores)
            for part, (node, cores) in zip(parts, nodes, strict=False)
        ]
        try:
            return _together(ray.get(tasks), count)
        except ray.exceptions.RayTaskError as error:
            raise FeatxError(f"{parts[0].place}: a machine could not search it: {error.cause}") from error
        except ray.exceptions.RayError as error:
            raise FeatxError(f"--address {settings.address}: the cluster failed ({error})") from error


def _together(found: Sequence[list[list[Hit]]], count: int) -> list[list[Hit]]:
    """Returns the best hits of all parts, of equally good ones the first part's first."""
    return [
        sorted((hit for hits in of_query for hit in hits), key=lambda hit: -hit.score)[:count]
        for of_query in zip(*found, strict=True)
    ]
