"""What each step of a retrieval run sees: clips of videos, and one caption of each, another one in every pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from featx.features.dataset import CaptionedVideos

from .sampler import CAPTIONS, ClipDraw, Clips, ClipStream


@dataclass
class CaptionSampler:
    """Draws the steps of a retrieval run; its texts are the distinct sentences of the batch.

    A sentence that is right for a clip is never held against it: equal sentences are one text, and what else is said of
    a clip's video (because the batch has it twice, or another video shares a sentence with it) is ignored.

    Attributes:
        clips: Says which clips each step sees.
        captioned: The videos and their captions.
    """

    clips: ClipStream
    captioned: CaptionedVideos

    def __post_init__(self) -> None:
        self._first = self.captioned.first_captions

    @property
    def batch(self) -> int:
        """B, clips of a step."""
        return self.clips.batch

    def draw(self, step: int) -> ClipDraw:
        """Returns what step 1, 2, … sees."""
        clips = self.clips.draw(step)
        own = self.captioned.text_of[self._choose(clips)]  # (B,)
        texts, targets = np.unique(own, return_inverse=True)
        return ClipDraw(clips.videos, clips.rows, texts, targets, self._ignored(clips.videos, texts, targets))

    def _choose(self, clips: Clips) -> np.ndarray:
        """Returns (B,) captions: in one pass over the videos each has the same one."""
        part = np.empty(len(clips.videos))  # of the way through the video's captions, from 0 to 1
        for number in np.unique(clips.passes):
            same = clips.passes == number
            part[same] = _parts(self.clips.seed, len(self.captioned), int(number))[clips.videos[same]]
        first, past = self._first[clips.videos], self._first[clips.videos + 1]
        chosen: np.ndarray = first + (part * (past - first)).astype(np.int64)
        return chosen

    def _ignored(self, videos: np.ndarray, texts: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
        """Returns (B, C) which texts are right for a clip beside its target; None if none is."""
        counts = self._first[videos + 1] - self._first[videos]  # (B,)
        clip = np.repeat(np.arange(len(videos)), counts)
        number = np.arange(len(clip)) - np.repeat(np.cumsum(counts) - counts, counts)
        said = self.captioned.text_of[self._first[videos][clip] + number]
        place = np.minimum(np.searchsorted(texts, said), len(texts) - 1)
        among = texts[place] == said
        right = np.zeros((len(videos), len(texts)), dtype=bool)
        right[clip[among], place[among]] = True
        right[np.arange(len(videos)), targets] = False
        return right if right.any() else None


@lru_cache(maxsize=2)
def _parts(seed: int, videos: int, number: int) -> np.ndarray:
    return np.random.default_rng([seed, CAPTIONS, number]).random(videos)
