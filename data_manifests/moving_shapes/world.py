"""The world's vocabulary: shapes, colours, motions, and scenes made of them.

Lengths are fractions of the side of the picture's central square (the part that CLIP's crop keeps):
x grows to the right, y downwards, (0.5, 0.5) is the middle. Times are seconds, angles are turns.

Every directed motion has a *twin*: the same drawn poses in the opposite order. Over many scenes a motion
and its twin show the same pictures equally often, so nothing but their order in time can tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "arrow")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "green": (46, 160, 67),
    "blue": (40, 80, 220),
    "yellow": (240, 210, 40),
    "purple": (140, 60, 180),
    "orange": (245, 130, 30),
    "pink": (250, 130, 180),
    "turquoise": (50, 200, 200),
}
BACKGROUNDS = ("plain", "gradient", "checked", "striped", "noisy")


@dataclass(frozen=True)
class Pose:
    """Where and how a shape is at one instant; ``size`` is its diameter."""

    x: float
    y: float
    size: float
    angle: float = 0.0
    opacity: float = 1.0

    def towards(self, other: Pose, part: float) -> Pose:
        """Returns the pose a fraction ``part`` of the way to ``other``."""
        return Pose(
            self.x + part * (other.x - self.x),
            self.y + part * (other.y - self.y),
            self.size + part * (other.size - self.size),
            self.angle + part * (other.angle - self.angle),
            self.opacity + part * (other.opacity - self.opacity),
        )


@dataclass(frozen=True)
class Actor:
    """One shape that is visible from ``start_s`` to ``end_s`` and goes evenly from one pose to another."""

    shape: str
    colour: str
    motion: str
    first: Pose
    last: Pose
    start_s: float
    end_s: float
    blinks_hz: float = 0.0

    def at(self, time_s: float) -> Pose | None:
        """Returns the pose at a time, or None while the shape cannot be seen."""
        if not self.start_s <= time_s <= self.end_s:
            return None
        if self.blinks_hz and int((time_s - self.start_s) * self.blinks_hz * 2) % 2:
            return None
        return self.first.towards(self.last, (time_s - self.start_s) / (self.end_s - self.start_s))


@dataclass(frozen=True)
class Scene:
    """A whole video before it is rendered; ``seed`` fixes the background's details."""

    actors: tuple[Actor, ...]
    duration_s: float
    fps: int
    width: int
    height: int
    background: str
    seed: int

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return round(self.duration_s * self.fps)


Draw = Callable[[np.random.Generator], tuple[Pose, Pose]]


def _still(rng: np.random.Generator) -> Pose:
    x, y = rng.uniform(0.3, 0.7, 2)
    return Pose(x, y, rng.uniform(0.25, 0.5), rng.uniform(-0.04, 0.04))


def _moving_right(rng: np.random.Generator) -> tuple[Pose, Pose]:
    size = rng.uniform(0.22, 0.42)
    first = Pose(rng.uniform(0.1, 0.4), rng.uniform(0.25, 0.75), size, rng.uniform(-0.04, 0.04))
    return first, replace(first, x=rng.uniform(first.x + 0.3, 0.9))


def _moving_down(rng: np.random.Generator) -> tuple[Pose, Pose]:
    first, last = _moving_right(rng)
    return replace(first, x=first.y, y=first.x), replace(last, x=last.y, y=last.x)


def _growing(rng: np.random.Generator) -> tuple[Pose, Pose]:
    pose = _still(rng)
    return replace(pose, size=rng.uniform(0.12, 0.28)), replace(pose, size=rng.uniform(0.42, 0.75))


def _turning(rng: np.random.Generator) -> tuple[Pose, Pose]:
    pose = _still(rng)
    return pose, replace(pose, angle=pose.angle + rng.uniform(0.3, 0.9))


def _appearing(rng: np.random.Generator) -> tuple[Pose, Pose]:
    pose = _still(rng)
    return replace(pose, opacity=0.0), pose


def _resting(rng: np.random.Generator) -> tuple[Pose, Pose]:
    pose = _still(rng)
    return pose, pose


def _reversed(draw: Draw) -> Draw:
    def twin(rng: np.random.Generator) -> tuple[Pose, Pose]:
        first, last = draw(rng)
        return last, first

    return twin


MOTIONS: dict[str, Draw] = {
    "moving right": _moving_right,
    "moving left": _reversed(_moving_right),
    "falling": _moving_down,
    "rising": _reversed(_moving_down),
    "growing": _growing,
    "shrinking": _reversed(_growing),
    "turning clockwise": _turning,
    "turning back": _reversed(_turning),
    "appearing": _appearing,
    "vanishing": _reversed(_appearing),
    "blinking": _resting,
    "resting": _resting,
}
TWINS = {
    "moving right": "moving left",
    "falling": "rising",
    "growing": "shrinking",
    "turning clockwise": "turning back",
    "appearing": "vanishing",
}


def draw_actor(
    rng: np.random.Generator, shape: str, motion: str, start_s: float, end_s: float, colour: str | None = None
) -> Actor:
    """Draws one actor: its path, and its colour unless that is given."""
    first, last = MOTIONS[motion](rng)
    colour = colour or str(rng.choice(list(COLOURS)))
    blinks_hz = float(rng.uniform(1.5, 4.0)) if motion == "blinking" else 0.0
    return Actor(shape, colour, motion, first, last, start_s, end_s, blinks_hz)


def draw_stage(rng: np.random.Generator, actors: tuple[Actor, ...], duration_s: float) -> Scene:
    """Puts actors into a scene with a drawn picture size, frame rate and background."""
    width, height = [(96, 96), (128, 96), (96, 128), (112, 112), (144, 108)][rng.integers(5)]
    return Scene(
        actors,
        duration_s,
        fps=int(rng.choice([24, 25, 30])),
        width=width,
        height=height,
        background=str(rng.choice(BACKGROUNDS)),
        seed=int(rng.integers(2**31)),
    )


def draw_clip(rng: np.random.Generator, shape: str, motion: str) -> Scene:
    """Draws a trimmed video of one action (recognition): 1.8 to 2.6 s, one actor from start to end."""
    duration_s = float(rng.uniform(1.8, 2.6))
    return draw_stage(rng, (draw_actor(rng, shape, motion, 0.0, duration_s),), duration_s)


def caption(actor: Actor) -> str:
    """Returns a sentence that says what one actor does, e.g. ``a red circle is growing``."""
    article = "an" if actor.colour[0] in "aeiou" else "a"
    return f"{article} {actor.colour} {actor.shape} is {actor.motion}"
