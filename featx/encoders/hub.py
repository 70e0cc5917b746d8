"""Models and tokenizers of the Hugging Face Hub: from its cache on this machine, or downloaded into it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from featx.devices import first_line
from featx.encoders.downloads import announce, refuse_offline
from featx.errors import FeatxError

Value = TypeVar("Value")
TEXTS = (".json", ".txt", ".model")  # configurations, vocabularies
WEIGHTS = (".safetensors", ".bin")  # the better ones first
NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin")


def hub_folder(name: str, said: str, with_weights: bool = True) -> Path:
    """Returns the folder of a model or tokenizer.

    Args:
        name: A folder, or what it is called on the Hub.
        said: The option as the user gave it, for messages.
        with_weights: Whether a folder without weights is of no use.

    Raises:
        FeatxError: If it is not there, and cannot or may not be downloaded.
    """
    import huggingface_hub

    if Path(name).is_dir():
        return Path(name)
    try:
        patterns = [f"*{ending}" for ending in TEXTS]
        folder = Path(huggingface_hub.snapshot_download(name, local_files_only=True, allow_patterns=patterns))
        if not with_weights or any(folder.glob(f"*{ending}") for ending in WEIGHTS):
            return folder
    except (OSError, ValueError):  # not in the cache, or no name at all
        pass
    refuse_offline(said, name, f"fetch it elsewhere with: hf download {name}, or give a folder")
    sizes = _sizes(name, said)
    files = [file for file in sizes if file.endswith(TEXTS)]
    if with_weights:
        kinds = [[file for file in sizes if file.endswith(kind)] for kind in WEIGHTS]
        files += next((kind for kind in kinds if kind), [])
    announce(name, _place(name), sum(sizes[file] for file in files), _cache())
    return Path(
        _fetch(
            lambda: huggingface_hub.snapshot_download(name, allow_patterns=files),
            name,
            said,
        )
    )


def hub_file(name: str, files: list[str], said: str) -> Path:
    """Returns one file.

    Args:
        name: What its repository is called on the Hub.
        files: Its possible names, the best first.
        said: The option as the user gave it, for messages.

    Raises:
        FeatxError: If it is not there, and cannot or may not be downloaded.
    """
    import huggingface_hub

    for file in files:
        found = huggingface_hub.try_to_load_from_cache(name, file)
        if isinstance(found, str):
            return Path(found)
    refuse_offline(said, f"{files[-1]} of {name}", f"fetch it elsewhere with: hf download {name} {files[-1]}")
    sizes = _sizes(name, said)
    wanted = next((file for file in files if file in sizes), None)
    if wanted is None:
        raise FeatxError(f"{said}: {_place(name)} has no file {files[-1]}")
    announce(f"{name}/{wanted}", _place(name), sizes[wanted], _cache())
    return Path(_fetch(lambda: huggingface_hub.hf_hub_download(name, wanted), name, said))


def _sizes(name: str, said: str) -> dict[str, int]:
    """Returns the files of a repository with their sizes."""
    import huggingface_hub

    info = _fetch(lambda: huggingface_hub.HfApi().model_info(name, files_metadata=True), name, said)
    return {
        one.rfilename: one.size or 0
        for one in info.siblings or []
        if "/" not in one.rfilename and one.rfilename not in NOT_WEIGHTS
    }


def _fetch(work: Callable[[], Value], name: str, said: str) -> Value:
    """Returns what a call of the Hub returns, without its progress bars where nobody sees them.

    Raises:
        FeatxError: If the Hub cannot be reached, or does not have or give it.
    """
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
    )
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = are_progress_bars_disabled() or sys.stderr.isatty()
    if not shown:
        disable_progress_bars()
    try:
        return work()
    except GatedRepoError as error:
        raise FeatxError(
            f"{said}: {_place(name)} is given to those who have agreed to its terms: do so there, then: hf auth login"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise FeatxError(
            f"{said}: no folder, and the Hub has no model '{name}' (of a private one: hf auth login)"
        ) from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise FeatxError(
            f"{said}: {_place(name)} cannot be fetched ({first_line(error)}); fetch it elsewhere with: hf download {name}, "
            "or give a folder"
        ) from error
    finally:
        if not shown:
            enable_progress_bars()


def _place(name: str) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{name}"


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)
