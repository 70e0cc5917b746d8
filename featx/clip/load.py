"""Loading CLIP: the bundled tiny one, OpenAI's by name, or a checkpoint file; and its fingerprint."""

from __future__ import annotations

import hashlib
import urllib.error
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featx.clip.checkpoint import Checkpoint, not_a_checkpoint, read_checkpoint
from featx.clip.openai_text import openai_text
from featx.clip.text_weights import TextEncoder
from featx.errors import FeatxError, nearest

if TYPE_CHECKING:
    from clip.model import CLIP

TINY = "tiny"
TINY_FILE = Path(__file__).with_name("tiny.pt")
OPENAI = "openai:"  # before a file: it is OpenAI's or was fine-tuned from one, and computes QuickGELU


@dataclass(frozen=True)
class LoadedClip:
    """A frozen CLIP in float32 on the CPU.

    Attributes:
        model: OpenAI's module; no parameter takes a gradient.
        source: What the user asked for (`tiny`, a name, or a path).
        name: What it is called in fingerprints.
        weights_sha256: Of the weights' values, so equal for every file format that they come in.
        input_size: Side of its square input in pixels.
        width: D, the width of image and text features.
        text_width: W, the width of the text encoder, which is that of a prompt vector.
    """

    model: CLIP
    source: str
    name: str
    weights_sha256: str
    input_size: int
    width: int
    text_width: int

    @property
    def text(self) -> TextEncoder:
        """The text encoder, whose tensors are the module's own."""
        return openai_text(self.model)


def load_clip(source: str, is_openai: bool = False) -> LoadedClip:
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
        import torch
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
        _check_activation(checkpoint, source, said)
    try:
        model = build_model(checkpoint.state)
    except (RuntimeError, KeyError, AttributeError, TypeError, ZeroDivisionError) as error:
        raise FeatxError(not_a_checkpoint(said, error)) from error
    model = model.float().eval().requires_grad_(False)
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().to(torch.float32).contiguous().numpy().tobytes())
    return LoadedClip(
        model=model,
        source=source,
        name=wanted if wanted == TINY or wanted in names else file.stem,
        weights_sha256=digest.hexdigest(),
        input_size=int(model.visual.input_resolution),
        width=int(model.text_projection.shape[1]),
        text_width=int(model.text_projection.shape[0]),
    )


def _downloaded(name: str, said: str) -> Path:
    """Returns the file of one of OpenAI's models, from the network if it is not here.

    Raises:
        FeatxError: If it cannot be downloaded.
    """
    import clip

    url, folder = clip.clip._MODELS[name], Path("~/.cache/clip").expanduser()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Path(clip.clip._download(url, str(folder)))
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        raise FeatxError(
            f"{said}: the weights could not be downloaded ({error}); download {url} elsewhere and put it at "
            f"{folder / url.rsplit('/', 1)[1]}, or give its path as --model"
        ) from error
    except RuntimeError as error:  # not the file that OpenAI's address names by its hash
        raise FeatxError(f"{said}: {error}; delete it and try again") from error


def _check_activation(checkpoint: Checkpoint, source: str, said: str) -> None:
    """Refuses a file that was not trained with QuickGELU, or does not say.

    Raises:
        FeatxError: With the ways out.
    """
    if checkpoint.activation == "gelu":
        raise FeatxError(
            f"{said}: a model trained with GELU, as those of open_clip are; OpenAI's compute QuickGELU, which would "
            "give other features"
        )
    if checkpoint.activation is None and not source.startswith(OPENAI):
        raise FeatxError(
            f"{said}: the file does not say whether it was trained with QuickGELU (OpenAI's models, and what is "
            "fine-tuned from them) or with GELU (most of open_clip's), and with the wrong one the features are wrong; "
            f"if QuickGELU, give --model {OPENAI}{source}; models with GELU are not supported"
        )
