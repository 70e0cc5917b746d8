"""Loading CLIP: the bundled tiny one, OpenAI's by name, or a checkpoint file; and its fingerprint."""

from __future__ import annotations

import hashlib
import pickle
import urllib.error
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featx.errors import FeatxError, nearest

if TYPE_CHECKING:
    from clip.model import CLIP

TINY = "tiny"
TINY_FILE = Path(__file__).with_name("tiny.pt")


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


def load_clip(source: str) -> LoadedClip:
    """Loads CLIP as `clip.load(source, device="cpu", jit=False)` does.

    Args:
        source: `tiny`, one of OpenAI's names, or the path of a state dict or of a JIT archive.

    Raises:
        FeatxError: If the name is unknown, the download fails, or the file is not a CLIP checkpoint.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clip imports pkg_resources, which warns about itself
        import clip
        import torch
    names = clip.available_models()
    file = TINY_FILE if source == TINY else Path(source).expanduser()
    if source not in names and not file.is_file():
        raise FeatxError(
            f"--model {source}: neither '{TINY}', nor one of OpenAI's models ({', '.join(names)}), nor a file"
            f"{nearest(source, [TINY, *names])}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, _ = clip.load(source if source in names else str(file), device="cpu", jit=False)
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        url = clip.clip._MODELS[source]
        target = Path("~/.cache/clip").expanduser() / url.rsplit("/", 1)[1]
        raise FeatxError(
            f"--model {source}: the weights could not be downloaded ({error}); download {url} elsewhere and put it at "
            f"{target}, or give its path as --model"
        ) from error
    except (RuntimeError, pickle.UnpicklingError, KeyError, AttributeError, TypeError, EOFError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FeatxError(
            f"--model {source}: not a CLIP checkpoint in OpenAI's layout ({first_line})"
        ) from error
    model = model.float().eval().requires_grad_(False)
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().to(torch.float32).contiguous().numpy().tobytes())
    return LoadedClip(
        model=model,
        source=source,
        name=source if source == TINY or source in names else file.stem,
        weights_sha256=digest.hexdigest(),
        input_size=int(model.visual.input_resolution),
        width=int(model.text_projection.shape[1]),
        text_width=int(model.text_projection.shape[0]),
    )
