"""Draws a scene: a background once, then one picture for each frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from .world import COLOURS, Pose, Scene

OVERSAMPLING = 3  # outlines are drawn this much larger and scaled down: smooth edges, sub-pixel motion


def _regular(corners: int, turn: float = 0.0) -> np.ndarray:
    angle = 2 * np.pi * (np.arange(corners) / corners + turn)
    return np.stack([np.sin(angle), -np.cos(angle)], axis=1)  # (corners, 2), the first one on top


def _star() -> np.ndarray:
    points = _regular(10)
    points[1::2] *= 0.42
    return points


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y - 2], axis=1) / 16


# Outlines within the unit circle, y downwards.
OUTLINES: dict[str, np.ndarray] = {
    "circle": _regular(40),
    "ring": _regular(40),
    "square": _regular(4, 0.125),
    "triangle": _regular(3),
    "star": _star(),
    "heart": _heart(),
    "cross": np.array(
        [(-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3)]
        + [(0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)]
    ),
    "arrow": np.array(
        [(0, -1), (0.75, -0.1), (0.28, -0.1), (0.28, 1), (-0.28, 1), (-0.28, -0.1), (-0.75, -0.1)]
    ),
}
RING_HOLE = 0.55


def draw_background(kind: str, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """Returns a muted background, so that the colours of shapes stay visible on it."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    one, other = rng.uniform(60, 190, 3), rng.uniform(60, 190, 3)
    one, other = one.mean() + 0.3 * (one - one.mean()), other.mean() + 0.3 * (other - other.mean())
    period = rng.uniform(10, 30)
    turn = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    if kind == "gradient":
        weight = (along - along.min()) / max(float(np.ptp(along)), 1.0)
    elif kind == "striped":
        weight = 0.25 * (np.sin(2 * np.pi * along / period) > 0)
    elif kind == "checked":
        weight = 0.25 * (((x // period) + (y // period)) % 2)
    elif kind == "noisy":
        coarse = rng.uniform(0, 1, (height // 8 + 1, width // 8 + 1)).astype(np.float32)
        noise = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        weight = np.clip(np.asarray(noise), 0, 1) * 0.6
    else:
        weight = np.zeros_like(x)
    colours = one + weight[..., None] * (other - one)  # (height, width, 3)
    return Image.fromarray(colours.astype(np.uint8))


def paint(picture: Image.Image, shape: str, colour: str, pose: Pose) -> None:
    """Paints one shape onto a picture in place; positions refer to the picture's central square."""
    side = min(picture.size)
    centre = np.array([pose.x, pose.y]) * side + (np.array(picture.size) - side) / 2  # pixels
    radius = pose.size / 2 * side
    turn = 2 * np.pi * pose.angle
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corner = np.floor(centre - radius - 1).astype(int)
    box = int(np.ceil(2 * radius)) + 4

    def scaled(outline: np.ndarray) -> list[tuple[float, float]]:
        points = (outline @ rotation * radius + centre - corner) * OVERSAMPLING
        return [(float(x), float(y)) for x, y in points]

    mask = Image.new("L", (box * OVERSAMPLING, box * OVERSAMPLING))
    pencil = ImageDraw.Draw(mask)
    pencil.polygon(scaled(OUTLINES[shape]), fill=round(255 * pose.opacity))
    if shape == "ring":
        pencil.polygon(scaled(OUTLINES[shape] * RING_HOLE), fill=0)
    picture.paste(COLOURS[colour], (int(corner[0]), int(corner[1])), mask.reduce(OVERSAMPLING))


def render(scene: Scene) -> Iterator[Image.Image]:
    """Yields the frames of a scene as RGB pictures of ``scene.width`` x ``scene.height``."""
    background = draw_background(
        scene.background, scene.width, scene.height, np.random.default_rng(scene.seed)
    )
    for index in range(scene.frame_count):
        picture = background.copy()
        for actor in scene.actors:
            pose = actor.at(index / scene.fps)
            if pose is not None:
                paint(picture, actor.shape, actor.colour, pose)
        yield picture
