"""Connecting to a Ray cluster, which is an extra: `pip install 'featx[ray]'`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from featx.errors import FeatxError

INSTALL = "--engine ray: needs Ray; install it with pip install 'featx[ray]'"


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Gives Ray's module while this process is connected to a cluster.

    Args:
        address: Such as ``10.0.0.1:6379``; ``auto`` for the cluster of this machine.

    Raises:
        FeatxError: If Ray is missing, or no cluster is reached.
    """
    try:
        import ray
    except ImportError as error:
        raise FeatxError(INSTALL) from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise FeatxError(f"--address {address}: no Ray cluster is reached there ({error})") from error
    try:
        yield ray
    finally:
        ray.shutdown()
