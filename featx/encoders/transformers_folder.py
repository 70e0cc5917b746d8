"""The folder that a model of Hugging Face's `transformers` lies in, and what its configuration says it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featx.devices import first_line
from featx.encoders.families import family_of, within_family
from featx.encoders.hub import hub_folder
from featx.errors import FeatxError

INSTALL = "needs transformers; install it with pip install 'featx[transformers]'"
TINY_SIGLIP = "siglip:tiny"  # the small one that comes with featx
TINY_SIGLIP_FOLDER = Path(__file__).with_name("tiny-siglip")
# `model_type` of a configuration: the family that it is
MODEL_TYPES = {"clip": "hf-clip", "siglip": "siglip", "align": "align"}
NOT_SUPPORTED = {"siglip2": "a SigLIP 2 with pictures of any shape (NaFlex); take one of a fixed resolution"}


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within it, `transformers` prints neither progress nor advice; what matters is asked and said by featx."""
    from transformers.utils import logging as library

    logging: Any = library  # some of its functions have no types

    before = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def find_folder(source: str, with_weights: bool = True) -> Path:
    """Returns the folder of a model: the user's, or that of the Hub's cache, into which it may be downloaded.

    Args:
        source: As given to `--model`, with the prefix of its family.
        with_weights: Whether a folder without weights is of no use.

    Raises:
        FeatxError: If it is not there, or `transformers` is not.
    """
    said, wanted = f"--model {source}", within_family(source)
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise FeatxError(f"{said}: {INSTALL}") from error
    if source == TINY_SIGLIP:
        return TINY_SIGLIP_FOLDER
    folder = Path(wanted).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or wanted.count("/") > 1 or wanted.startswith(("/", ".", "~")):
        raise FeatxError(
            f"{said}: no such folder; give one that save_pretrained has written, or a name on the Hub"
        )
    return hub_folder(wanted, said, with_weights)


def read_config(folder: Path, source: str) -> Any:
    """Returns the configuration of a model, after a look whether it is of the family that the user named.

    Args:
        folder: Of the model.
        source: As given to `--model`.

    Raises:
        FeatxError: If it is of another family, or none.
    """
    from transformers import AutoConfig

    said = f"--model {source}"
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise FeatxError(
            f"{said}: no configuration of a model that transformers knows ({first_line(error)})"
        ) from error
    kind = config.model_type
    if kind in NOT_SUPPORTED:
        raise FeatxError(f"{said}: {NOT_SUPPORTED[kind]}")
    family = MODEL_TYPES.get(kind)
    if family is None:
        raise FeatxError(
            f"{said}: a model of type '{kind}'; featx knows {', '.join(MODEL_TYPES)} ({', '.join(MODEL_TYPES.values())})"
        )
    if family != family_of(source):
        raise FeatxError(
            f"{said}: this is a model of type '{kind}'; give --model {family}:{within_family(source)}"
        )
    return config
