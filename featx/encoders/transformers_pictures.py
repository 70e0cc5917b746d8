"""The preprocessing of a model of `transformers` as data: what its image processor does with Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from featx.clip.preprocess import Colour, Kernel, Preprocessing
from featx.devices import first_line
from featx.encoders.transformers_folder import quiet_transformers
from featx.errors import FeatxError


def read_preprocessing(folder: Path, input_size: int, said: str) -> Preprocessing:
    """Reads how a frame becomes a model's input.

    Args:
        folder: Of the model.
        input_size: n, the side of the input that the model was built for.
        said: The option as the user gave it, for messages.

    Raises:
        FeatxError: If there is nothing to read, or a frame would not become a whole picture of n x n.
    """
    from transformers import AutoImageProcessor

    try:
        with quiet_transformers():
            processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                folder, local_files_only=True, backend="pil"
            )
    except (ImportError, OSError, ValueError, KeyError, TypeError) as error:
        raise FeatxError(
            f"{said}: no image processor that can be read beside the model ({first_line(error)})"
        ) from error
    try:
        preprocessing = preprocessing_of(processor)
    except ValueError as error:
        raise FeatxError(f"{said}: {error}, which featx does not support") from error
    if preprocessing.size != input_size:
        raise FeatxError(
            f"{said}: its image processor makes pictures of {preprocessing.size} x {preprocessing.size}, the model takes "
            f"{input_size} x {input_size}"
        )
    return preprocessing


def preprocessing_of(processor: Any) -> Preprocessing:
    """Returns what an image processor does.

    Args:
        processor: Of `transformers`.

    Raises:
        ValueError: If it does something that cannot be said so.
    """
    size = processor.size
    if not processor.do_resize or not processor.do_rescale:
        raise ValueError("its image processor does not scale pictures or their values")
    if getattr(processor, "do_pad", None):
        raise ValueError("its image processor pads pictures")
    if size.get("shortest_edge") and not size.get("longest_edge"):
        scaled, squash = size["shortest_edge"], False
    elif size.get("height") and size.get("height") == size.get("width"):
        scaled, squash = size["height"], True
    else:
        raise ValueError(f"its image processor scales to {dict(size)}")
    crop = processor.crop_size if processor.do_center_crop else None
    if crop and crop["height"] != crop["width"]:
        raise ValueError("its image processor does not cut out a square")
    if not squash and not crop:
        raise ValueError("its image processor does not make square pictures")
    cut = crop["height"] if crop else scaled
    if cut > scaled:
        raise ValueError("its image processor puts a border around pictures")
    kernel: Kernel = Image.Resampling(processor.resample).name.lower()  # type: ignore[assignment]
    mean, deviation = _colours(processor)
    return Preprocessing(
        size=cut,
        scaled=0 if cut == scaled else scaled,
        squash=squash,
        kernel=kernel,
        mean=mean,
        deviation=deviation,
        half_pixels="down",
    )


def _colours(processor: Any) -> tuple[Colour, Colour]:
    """Returns mean and deviation, where white is 1, of all that is done to a picture's values."""
    # value = (pixel * factor - shift - mean) / deviation, where pixel = 255 * ours
    white = 255 * processor.rescale_factor
    shift = 1.0 if getattr(processor, "rescale_offset", False) else 0.0
    means, deviations = [0.0] * 3, [1.0] * 3
    if processor.do_normalize:
        means, deviations = list(processor.image_mean), list(processor.image_std)
    # EfficientNet's divides once more, for classification
    once_more = list(processor.image_std) if getattr(processor, "include_top", False) else [1.0] * 3
    mean = [(shift + one) / white for one in means]
    deviation = [one * more / white for one, more in zip(deviations, once_more, strict=True)]
    return tuple(_near(one) for one in mean), tuple(_near(one) for one in deviation)  # type: ignore[return-value]


def _near(value: float) -> float:
    """Returns a number without the rounding of 255 * (1 / 255)."""
    return float(f"{value:.12g}")
