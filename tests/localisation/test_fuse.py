"""Classes of proposals are those of their rows; fusion is the formula, proposal by proposal."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featx.evaluate.run.window_scores import OneVideo
from featx.features.clips import ClipSampling
from featx.features.sources import RowSpans
from featx.localisation.fuse import class_probabilities, fuse, within
from featx.localisation.proposals_file import Proposals
from featx.manifest.videos import Video
from featx.model.adapter import Adapter
from featx.model.adapter_config import AdapterConfig
from featx.scoring.clip_scores import score_videos

WIDTH, CLASSES = 16, 3


def test_a_proposal_is_classified_as_a_video_of_its_rows_alone() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, WIDTH)).astype(np.float32)
    pts = np.cumsum(rng.uniform(0.01, 0.1, 60)) - 0.01
    torch.manual_seed(0)
    adapter = Adapter(AdapterConfig(prompts=1, layers=1, heads=2, clip_frames=4), 8, WIDTH)
    text = torch.nn.functional.normalize(torch.randn(CLASSES, WIDTH), dim=-1)
    start_s, end_s = np.array([0.0, 0.5, 1.0, 0.7]), np.array([9.0, 1.5, 1.0, 0.9])
    sampling = ClipSampling(4, [1, 2], [1.0, 2.0], clips=5)
    got = class_probabilities(adapter, text, OneVideo(features), 0, pts, start_s, end_s, sampling)
    for row, start, end in zip(got, start_s, end_s, strict=True):
        shown = features[(pts >= start) & (pts < end)]
        if not len(shown):
            shown = features[[np.abs(pts - (start + end) / 2).argmin()]]
        whole = RowSpans.whole(np.array([len(shown)]))
        alone = score_videos(adapter, text, OneVideo(shown), whole, sampling)
        np.testing.assert_allclose(row, alone[0], rtol=1e-6)


def test_of_a_part_of_a_video_only_what_lies_inside_is_looked_at() -> None:
    """It lasts from 10 to 30 s of its file: 20 s, in which proposals are counted."""
    found = Proposals(np.array([-3.0, 5.0, 19.0, 25.0]), np.array([2.0, 9.0, 40.0, 26.0]), np.ones(4))
    part = Video(id="p", path="a.mp4", part_of="a.mp4", start_s=10, end_s=30)
    begins, ends = within(part, found)
    assert begins.tolist() == [0, 5, 19, 20] and ends.tolist() == [2, 9, 20, 20]
    whole = Video(id="a.mp4", path="a.mp4")
    assert [edges.tolist() for edges in within(whole, found)] == [
        found.start_s.tolist(),
        found.end_s.tolist(),
    ]


@given(st.integers(0, 6), st.integers(1, 5), st.integers(1, 7), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_fusion_is_the_formula(proposals: int, classes: int, top: int, weight: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(5, size=proposals) / 4, rng.integers(4, size=(proposals, classes)) / 3
    index, labels, scores = fuse(one, other, weight, top)
    expected = []
    for proposal in range(proposals):
        best = sorted(range(classes), key=lambda label, p=proposal: (-other[p, label], label))[:top]
        expected += [
            (proposal, c, one[proposal] ** weight * other[proposal, c] ** (1 - weight)) for c in best
        ]
    assert list(zip(index.tolist(), labels.tolist(), strict=True)) == [(p, c) for p, c, _ in expected]
    np.testing.assert_allclose(scores, [score for _, _, score in expected])


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_scores_that_are_no_probabilities_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fuse(np.array([bad]), np.ones((1, 2)), 0.5, 1)
