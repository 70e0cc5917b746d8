"""What the image encoder asks of a GPU, without one: tensors that have a device and a shape and no numbers.

`FakeTensorMode` raises where CPU and GPU tensors meet in one operation, and where a value would have to be waited for.
"""

import contextlib

import numpy as np
import pytest
import torch
from clip.model import CLIP
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from featx.clip.preprocess import Preprocessing
from featx.encoders.images import DTYPES, ImageEncoder, cast_weights
from featx.encoders.model import ImageTextModel
from featx.encoders.openai import of_module

VIT = (32, 2, 64, 16)
PRODUCTS = {"linear", "matmul", "conv2d", "scaled_dot_product_attention"}
RESNET = (64, (1, 1, 1, 1), 64, None)


class Transfers(TorchDispatchMode):
    """Notes every copy between host and GPU, and the types that matrix products and convolutions compute in."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[tuple[str, bool]] = []
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, function, types, given=(), options=None):
        options = options or {}
        result = function(*given, **options)
        name = function.overloadpacket.__name__
        if name in ("to", "_to_copy") and result.device != given[0].device:
            self.copies.append((f"to {result.device.type}", options.get("non_blocking", False)))
        elif name == "copy_" and given[0].device != given[1].device:
            blocking = not (given[2] if len(given) > 2 else options.get("non_blocking", False))
            self.copies.append((f"to {given[0].device.type}", not blocking))
        elif name in PRODUCTS:
            self.dtypes |= {each.dtype for each in given if isinstance(each, torch.Tensor)}
        return result


class Stream:
    """In the place of what needs a driver: page-locked memory, events, the current device."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        outer = self

        class Event:
            def __init__(self, **_: object) -> None: ...
            def record(self, stream: object) -> None:
                outer.said.append("record")

            def synchronize(self) -> None:
                outer.said.append("wait")

        patch.setattr(torch.cuda, "Event", Event)
        patch.setattr(torch.cuda, "current_stream", lambda device: device)
        patch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        patch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    return Stream(monkeypatch)


def fake_encoder(tower: tuple, precision: str, batch_size: int) -> ImageEncoder:
    side, layers, width, patch = tower
    with torch.device("cuda"):
        model = CLIP(32, side, layers, width, patch, 77, 99, 64, 1, 1).eval().requires_grad_(False)
    model.visual.to = lambda device: model.visual  # it is there; `Module.to` cannot move such tensors
    loaded = ImageTextModel("openai", "", "", "", model, model.visual, None, Preprocessing(side))
    return ImageEncoder(loaded, "cuda", precision, batch_size=batch_size)  # type: ignore[arg-type]


@pytest.mark.parametrize("tower", [VIT, RESNET])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_batch_is_one_copy_there_and_one_back_and_nothing_is_waited_for(
    stream: Stream, tower: tuple, precision: str
) -> None:
    side = tower[0]
    with FakeTensorMode(allow_non_fake_inputs=True):
        encoder = fake_encoder(tower, precision, 8)
        with Transfers() as seen:
            wait = encoder.start(np.zeros((5, side, side, 3), np.uint8))
    assert seen.copies == [("to cuda", True), ("to cpu", True)]
    assert stream.said == ["record"]
    assert seen.dtypes == {DTYPES[precision]}
    result = wait.__closure__
    assert result is not None
    (host,) = [cell.cell_contents for cell in result if isinstance(cell.cell_contents, torch.Tensor)]
    # the last, small batch is filled up
    assert (host.shape, host.dtype, host.device.type) == ((8, 32), torch.float32, "cpu")


def test_fp32_is_full_fp32() -> None:
    """TF32 has 10 bits of mantissa; a GPU would take it for convolutions, in NVIDIA's containers for all products."""
    before = torch.get_float32_matmul_precision()
    loaded = of_module(CLIP(32, 32, 1, 64, 16, 77, 99, 64, 1, 1).float())
    try:
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("high")
        ImageEncoder(loaded, "cpu", "fp32")
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision(before)


def test_weights_are_cast_as_openai_casts_them() -> None:
    from clip.model import convert_weights

    for tower in (VIT, RESNET):
        side, layers, width, patch = tower
        ours, theirs = (CLIP(32, side, layers, width, patch, 77, 99, 64, 1, 1).float() for _ in range(2))
        convert_weights(theirs)
        cast_weights(ours.visual, torch.float16)
        found = {name: value.dtype for name, value in ours.visual.state_dict().items()}
        assert found == {name: value.dtype for name, value in theirs.visual.state_dict().items()}
