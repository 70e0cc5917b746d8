"""What is looked for: texts and pictures, and their features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from featx.encoders.model import ImageTextModel
from featx.encoders.text import TextTower, encode_sentences
from featx.errors import FeatxError
from featx.files.atomic import read_list
from featx.model.adapter import Adapter
from featx.store.schema import Fingerprint

if TYPE_CHECKING:
    from featx.clip.choices import Precision


@dataclass(frozen=True)
class Queries:
    """Q queries, texts before pictures.

    Attributes:
        texts: Sentences.
        images: Pictures: files, or (H, W, 3) uint8 arrays in RGB.
    """

    texts: list[str]
    images: list[Path | np.ndarray]

    def __len__(self) -> int:
        return len(self.texts) + len(self.images)

    @property
    def names(self) -> list[str]:
        """What each is called."""
        return self.texts + [str(one) if isinstance(one, Path) else "a picture" for one in self.images]


def gather_queries(text: str | None, file: Path | None, images: list[Path]) -> Queries:
    """Collects what was asked for.

    Args:
        text: A sentence, or None.
        file: Text file of sentences, one a line, or None.
        images: Pictures.

    Raises:
        FeatxError: If there is nothing, or the sentence is empty, or a file cannot be read.
    """
    if text is not None and not text.strip():
        raise FeatxError("QUERY: is empty; say what to look for, such as 'a person opens a door'")
    texts = [text.strip()] if text is not None else []
    if file is not None:
        texts += read_list(file, "--queries", "query").values()
    for image in images:
        if not image.is_file():
            raise FeatxError(f"--image {image}: no such file")
    if not texts and not images:
        raise FeatxError("say what to look for: a QUERY, --queries FILE or --image FILE")
    return Queries(texts, [*images])


@torch.no_grad()
def encode_texts(
    texts: list[str], loaded: ImageTextModel, adapter: Adapter | None, device: str
) -> tuple[Tensor, list[str]]:
    """Returns (Q, D) features of unit length, and those of the texts that are too long for CLIP and were cut.

    Args:
        texts: Sentences; with an adapter they stand between its prompts, or in its template.
        loaded: The store's CLIP.
        adapter: What was learned, or None for CLIP alone.
        device: Where to compute.
    """
    encoder = loaded.text.to(device)
    if adapter is None:
        features, cut = encode_sentences(texts, encoder)
    else:
        plan = adapter.plan(encoder.format, texts)
        cut = plan.truncated
        features = adapter.to(device).encode_texts(TextTower(encoder), plan.to(device))
        features = normalize(features.float().cpu(), dim=-1)
    return features, [texts[index] for index in cut]


def encode_images(
    images: list[Path | np.ndarray], loaded: ImageTextModel, fingerprint: Fingerprint, device: str
) -> Tensor:
    """Returns (Q, D) features of unit length of pictures, made as the store's frames were.

    In the store's precision too, except that a CPU takes fp32 in the place of fp16, in which it is many times slower:
    the cosine of the two is 0.999999.

    Raises:
        FeatxError: If a file is not a picture.
    """
    from featx.clip.preprocess import scale_and_crop
    from featx.encoders.images import DTYPES, ImageEncoder

    pixels = []
    for image in images:
        cropped = scale_and_crop(_pixels_of(image), loaded.preprocessing)
        pixels.append(cropped[..., ::-1] if fingerprint.channel_order == "bgr" else cropped)
    known = fingerprint.precision in DTYPES  # imported features may not say
    slow = fingerprint.precision == "fp16" and device == "cpu"
    precision: Precision = fingerprint.precision if known and not slow else "fp32"  # type: ignore[assignment]
    features = ImageEncoder(loaded, device, precision).encode(np.stack(pixels))
    return normalize(torch.from_numpy(features), dim=-1)


def _pixels_of(image: Path | np.ndarray) -> np.ndarray:
    """Returns (H, W, 3) uint8 pixels.

    Raises:
        FeatxError: If a file is not a picture.
    """
    if isinstance(image, np.ndarray):
        return image
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(image) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise FeatxError(f"--image {image}: cannot read the picture ({error})") from error
