"""Stills with captions: what the tiny CLIP is trained on and tested with."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .render import draw_background, paint
from .world import BACKGROUNDS, COLOURS, SHAPES, Pose

# What a caption may say of a still, part by part; a still has one value of each part.
PARTS: dict[str, tuple[str, ...]] = {
    "faintness": ("faint", "bright"),
    "size": ("tiny", "small", "big", "huge"),
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "height": ("top", "middle", "bottom"),
    "side": ("left", "centre", "right"),
}
SIZE_BOUNDS = (0.22, 0.34, 0.5)  # diameters that part tiny, small, big, huge
PLACE_BOUNDS = (0.4, 0.6)
UNSAID = -1
OPENINGS = ("", "a ", "the ", "a photo of a ", "a picture of a ", "a video of a ")


@dataclass(frozen=True)
class Stills:
    """A batch of stills: ``pixels`` (N, n, n, 3) uint8 and ``facts`` (N, parts), indices into `PARTS`."""

    pixels: np.ndarray
    facts: np.ndarray


def draw_still(rng: np.random.Generator, input_size: int) -> tuple[np.ndarray, list[int]]:
    """Draws one still, compressed and scaled as a video's frame is.

    Args:
        rng: Source of every choice.
        input_size: Side of the result in pixels.

    Returns:
        The picture (n, n, 3) uint8 and its facts, an index into each of `PARTS`.
    """
    shape, colour = str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS)))
    x, y = rng.uniform(0.12, 0.88, 2)
    pose = Pose(
        x,
        y,
        size=float(rng.uniform(0.12, 0.7)),
        angle=float(rng.uniform(-0.06, 0.06) if rng.random() < 0.6 else rng.random()),
        opacity=float(1.0 if rng.random() < 0.7 else rng.uniform(0.1, 1.0)),
    )
    side = int(rng.integers(96, 129))
    picture = draw_background(str(rng.choice(BACKGROUNDS)), side, side, rng)
    paint(picture, shape, colour, pose)
    if rng.random() < 0.7:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(35, 95)))
        picture = Image.open(file).convert("RGB")
    picture = picture.resize((input_size, input_size), Image.Resampling.BICUBIC)
    facts = [
        int(pose.opacity > 0.5),
        int(np.searchsorted(SIZE_BOUNDS, pose.size)),
        list(COLOURS).index(colour),
        SHAPES.index(shape),
        int(np.searchsorted(PLACE_BOUNDS, pose.y)),
        int(np.searchsorted(PLACE_BOUNDS, pose.x)),
    ]
    return np.asarray(picture), facts


def draw_stills(seed: int, count: int, input_size: int) -> Stills:
    """Draws ``count`` stills; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    pictures, facts = zip(*(draw_still(rng, input_size) for _ in range(count)), strict=True)
    return Stills(np.stack(pictures), np.array(facts))


def forget(rng: np.random.Generator, facts: np.ndarray) -> np.ndarray:
    """Sets random parts of (N, parts) facts to `UNSAID`, because captions seldom say everything."""
    keep = rng.random(facts.shape) < [0.3, 0.5, 0.7, 0.85, 0.5, 0.5]
    keep[:, 3] |= ~keep.any(axis=1)  # a caption says something
    return np.where(keep, facts, UNSAID)


def say(rng: np.random.Generator, facts: np.ndarray) -> str:
    """Puts one row of facts into words, e.g. ``a photo of a big red star at the top left``."""
    words = {part: PARTS[part][fact] for part, fact in zip(PARTS, facts, strict=True) if fact != UNSAID}
    noun = words.get("shape", "shape")
    thing = " ".join(words[part] for part in ("faintness", "size", "colour") if part in words)
    place = " ".join(words[part] for part in ("height", "side") if part in words)
    text = f"{OPENINGS[rng.integers(len(OPENINGS))]}{thing} {noun}".replace("  ", " ").strip()
    return f"{text} at the {place}" if place else text
