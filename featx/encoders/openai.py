"""OpenAI's CLIP: the bundled tiny one, a model by name, or a checkpoint file in the same layout."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from featx.clip.preprocess import Preprocessing
from featx.encoders.downloads import WEIGHTS_FOLDER, fetch_weights, has_sha256
from featx.encoders.model import ImageTextModel, frozen, weights_digest
from featx.encoders.open_clip_names import name_for
from featx.encoders.openai_checkpoint import Checkpoint, not_a_checkpoint, read_checkpoint
from featx.encoders.openai_text import openai_text
from featx.errors import FeatxError, nearest

if TYPE_CHECKING:
    from clip.model import CLIP

TINY = "tiny"
TINY_FILE = Path(__file__).parents[1] / "clip" / "tiny.pt"
OPENAI = "openai:"  # before a file: it is OpenAI's or was fine-tuned from one, and computes QuickGELU


def load_openai(source: str, is_openai: bool = False) -> ImageTextModel:
    """Loads CLIP as `clip.load(source, device="cpu", jit=False)` does.

    Args:
        source: `tiny`, one of OpenAI's names, or the path of a state dict or of a JIT archive; before a path may stand
            `openai:`, which says that the model computes QuickGELU as OpenAI's do.
        is_openai: Whether that is known from elsewhere.

    Raises:
        FeatxError: If the name is unknown, the download fails, the file is not a CLIP checkpoint, or it does not say
            with which activation it was trained.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clip imports pkg_resources, which warns about itself
        import clip
        from clip.model import build_model
    names = clip.available_models()
    wanted, said = source.removeprefix(OPENAI), f"--model {source}"
    file = TINY_FILE if wanted == TINY else Path(wanted).expanduser()
    if wanted not in names and not file.is_file():
        raise FeatxError(
            f"{said}: neither '{TINY}', nor one of OpenAI's models ({', '.join(names)}), nor a file"
            f"{nearest(wanted, [TINY, *names])}"
        )
    checkpoint = read_checkpoint(_downloaded(wanted, said) if wanted in names else file, said)
    if wanted != TINY and wanted not in names and not is_openai:
        _check_activation(checkpoint, source, file)
    try:
        model = build_model(checkpoint.state)
    except (RuntimeError, KeyError, AttributeError, TypeError, ZeroDivisionError) as error:
        raise FeatxError(not_a_checkpoint(said, error)) from error
    name = wanted if wanted == TINY or wanted in names else file.stem
    return of_module(model, source, name, weights_digest(frozen(model)))


def of_module(model: CLIP, source: str = "", name: str = "", weights_sha256: str = "") -> ImageTextModel:
    """Returns a module of OpenAI's `clip` as featx sees it.

    Args:
        model: The module; it is frozen from here on.
        source: What the user asked for.
        name: What it is called in fingerprints.
        weights_sha256: Of its weights, where a store is to be compared with.
    """
    frozen(model)
    return ImageTextModel(
        family="openai",
        source=source,
        name=name,
        weights_sha256=weights_sha256,
        model=model,
        visual=model.visual,
        text=openai_text(model),
        preprocessing=Preprocessing(int(model.visual.input_resolution)),
        logit_scale=float(model.logit_scale.exp()),
    )


def published() -> dict[str, str]:
    """Returns the names of OpenAI's models and where they are published; the last folder is the file's SHA-256."""
    import clip

    return dict(clip.clip._MODELS)


def cached_file(name: str, folder: Path | None = None) -> Path:
    """Returns where the file of one of OpenAI's models is, or is downloaded to.

    Args:
        name: The model.
        folder: The cache; that of OpenAI's `clip` if not given.
    """
    return (folder or Path(WEIGHTS_FOLDER).expanduser()) / published()[name].rsplit("/", 1)[1]


def _downloaded(name: str, said: str) -> Path:
    """Returns the file of one of OpenAI's models, from the network if it is not here.

    Raises:
        FeatxError: If it cannot or may not be downloaded.
    """
    url, file = published()[name], cached_file(name)
    sha256 = url.split("/")[-2]
    if file.is_file():
        if has_sha256(file, sha256):
            return file
        raise FeatxError(f"{said}: {file} is not the file that OpenAI published; delete it and try again")
    fetch_weights(url, file, name, sha256, said, or_else=", or give its path as --model")
    return file


def _check_activation(checkpoint: Checkpoint, source: str, file: Path) -> None:
    """Refuses a file that was not trained with QuickGELU, or does not say.

    Raises:
        FeatxError: With the ways out.
    """
    said = f"--model {source}"
    if checkpoint.activation == "gelu":
        raise FeatxError(
            f"{said}: a model trained with GELU, as those of open_clip are; OpenAI's compute QuickGELU, which would "
            f"give other features; save its state_dict() and give --model {name_for(checkpoint.state, file)}"
        )
    if checkpoint.activation is None and not source.startswith(OPENAI):
        raise FeatxError(
            f"{said}: the file does not say whether it was trained with QuickGELU (OpenAI's models, and what is "
            "fine-tuned from them) or with GELU (most of open_clip's), and with the wrong one the features are wrong; "
            f"if QuickGELU, give --model {OPENAI}{source}; if GELU, --model {name_for(checkpoint.state, file)}"
        )
