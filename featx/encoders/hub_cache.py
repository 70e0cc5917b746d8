"""What the Hugging Face Hub's cache on this machine holds."""

from __future__ import annotations

from pathlib import Path

from featx.errors import FeatxError


def cached_folder(name: str, said: str) -> Path:
    """Returns the folder of a model or tokenizer in the cache.

    Args:
        name: A folder, or what it is called on the Hub.
        said: The option as the user gave it, for messages.

    Raises:
        FeatxError: If it is not there.
    """
    import huggingface_hub

    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(huggingface_hub.snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as error:  # not in the cache, or no name at all
        raise FeatxError(
            f"{said}: {name} is neither a folder nor in the cache of Hugging Face; fetch it with: hf download {name}"
        ) from error


def cached_file(name: str, files: list[str], said: str) -> Path:
    """Returns a file in the cache.

    Args:
        name: What its repository is called on the Hub.
        files: Its possible names, the best first.
        said: The option as the user gave it, for messages.

    Raises:
        FeatxError: If none of them is there.
    """
    import huggingface_hub

    for file in files:
        found = huggingface_hub.try_to_load_from_cache(name, file)
        if isinstance(found, str):
            return Path(found)
    raise FeatxError(
        f"{said}: {files[-1]} of {name} is not in the cache of Hugging Face; fetch it with: hf download {name} {files[-1]}"
    )
