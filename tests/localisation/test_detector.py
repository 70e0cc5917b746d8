"""The detector: padding changes nothing, a point depends on its surroundings only, and its file comes back."""

import pytest
import torch
from stores import fingerprint
from torch.nn import functional

from featx.errors import FeatxError
from featx.localisation.detector import Detector, DetectorHeader, load_detector, save_detector
from featx.localisation.detector_config import DetectorConfig
from featx.localisation.local_attention import attend_near
from featx.model.adapter import load_adapter

SMALL = {"grid_step_s": 0.1, "width": 16, "heads": 2, "levels": 3, "stem": 1, "window": 5}
WHOLE = {**SMALL, "grid_step_s": None, "grid_steps": 40, "full_last": True}


def make(seed: int = 0, **changes) -> Detector:
    torch.manual_seed(seed)
    detector = Detector(DetectorConfig(**{**SMALL, **changes}), feature_width=8).eval()
    with torch.no_grad():  # no parameter may hide what it should show by standing at 0
        for parameter in detector.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return detector


@pytest.mark.parametrize("half", [0, 1, 9, 40, None])
@pytest.mark.parametrize("steps", [1, 7, 33, 150])
def test_local_attention_equals_attention_with_a_band_mask(steps: int, half: int | None) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, steps, 6, dtype=torch.float64)
    mask = torch.arange(steps) < torch.tensor([steps, max(steps - 5, 1)])[:, None]
    places = torch.arange(steps)
    near = (places - places[:, None]).abs() <= (steps if half is None else half)
    plain = functional.scaled_dot_product_attention(query, key, value, (near & mask[:, None, :])[:, None])
    found = attend_near(query, key, value, mask, half)
    assert found.isfinite().all()
    there = mask[:, None, :, None].expand_as(found)
    torch.testing.assert_close(found[there], plain[there], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("changes", [{}, WHOLE, {"normalise": "length"}, {"window": 41}])
def test_padding_and_the_other_videos_of_a_batch_change_nothing(changes: dict) -> None:
    detector = make(**changes)
    lengths = [1, 2, 37, 40]
    videos = [torch.randn(length, 8) for length in lengths]
    padded = torch.full((len(lengths), 75, 8), 7.0)  # what stands in the padding must not matter
    mask = torch.zeros(len(lengths), 75, dtype=torch.bool)
    for row, video in enumerate(videos):
        padded[row, : len(video)], mask[row, : len(video)] = video, True
    with torch.no_grad():
        together = detector(padded, mask)
        for row, video in enumerate(videos):
            alone = detector(video[None], torch.ones(1, len(video), dtype=torch.bool))
            for one, other in zip(alone, together, strict=True):
                points = one.logits.shape[1]
                assert int(other.mask[row].sum()) == points == -(-len(video) // one.stride)
                torch.testing.assert_close(other.logits[row, :points], one.logits[0], rtol=1e-4, atol=1e-4)
                torch.testing.assert_close(
                    other.distances[row, :points], one.distances[0], rtol=1e-4, atol=1e-4
                )


@pytest.mark.parametrize("changes", [{}, {"levels": 1}, {"levels": 4, "window": 1, "stem": 0}])
def test_a_point_depends_on_nothing_beyond_the_margin(changes: dict) -> None:
    detector = make(**changes).double()
    steps = 4 * detector.margin + 9
    mask = torch.ones(1, steps, dtype=torch.bool)
    features = torch.randn(1, steps, 8, dtype=torch.float64, requires_grad=True)
    for level in detector(features, mask):
        point = level.logits.shape[1] // 2
        outputs = level.logits[0, point] + level.distances[0, point].sum()
        (gradient,) = torch.autograd.grad(outputs, features, retain_graph=True)
        touched = gradient[0].abs().sum(dim=1).nonzero()[:, 0]
        centre = point * level.stride
        assert centre - detector.margin <= touched.min() and touched.max() <= centre + detector.margin
    # the margin is no larger than it must be, but for rounding up to whole strides
    assert touched.max() > centre + detector.margin - 2 * level.stride


def test_a_file_comes_back_and_other_files_are_refused(tmp_path) -> None:
    detector = make()
    file = tmp_path / "detector.safetensors"
    header = DetectorHeader(
        config=detector.config, fingerprint=fingerprint(), classes={"a": "a"}, settings={}
    )
    save_detector(file, detector, header)
    again, read = load_detector(file)
    assert read == header
    assert all(torch.equal(again.state_dict()[name], value) for name, value in detector.state_dict().items())
    with pytest.raises(FeatxError, match="not an adapter of featx"):
        load_adapter(file)
    with pytest.raises(FeatxError, match="cannot read the detector"):
        load_detector(tmp_path / "no.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid_steps": 4}, "either grid_step_s or grid_steps"),
        ({"heads": 3}, "does not divide"),
        ({"window": 4}, "must be odd"),
        ({"full_last": True}, "full_last needs grid_steps"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DetectorConfig(**{**SMALL, **changes})
