"""An image-text model as the rest of featx sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from featx.clip.preprocess import Preprocessing
from featx.clip.text_weights import TextEncoder


@dataclass(frozen=True)
class ImageTextModel:
    """A frozen image-text model in float32 on the CPU.

    Attributes:
        family: Which library and layout it has: a key of `featx.encoders.load.FAMILIES`.
        source: What the user asked for, such as `tiny`, a name, or a path.
        name: What it is called in fingerprints.
        weights_sha256: Of the weights' values, so equal for every file format that they come in.
        model: The library's own module; no parameter takes a gradient.
        visual: Turns normalised (B, 3, n, n) pictures into (B, D) features, not normalised.
        text: The text encoder; its tensors are the module's own.
        preprocessing: How a frame becomes its input.
        logit_scale: What cosines were multiplied with when it was trained.
        logit_bias: What was added to that.
    """

    family: str
    source: str
    name: str
    weights_sha256: str
    model: nn.Module
    visual: nn.Module
    text: TextEncoder
    preprocessing: Preprocessing
    logit_scale: float = 100.0
    logit_bias: float = 0.0

    @property
    def activation(self) -> str:
        """What stands between the two products of its MLPs, in the text encoder."""
        return self.text.weights.activation

    @property
    def input_size(self) -> int:
        """n, the side of its square input in pixels."""
        return self.preprocessing.size

    @property
    def width(self) -> int:
        """D, the width of image and text features."""
        return self.text.weights.feature_width

    @property
    def text_width(self) -> int:
        """W, the width of the text encoder, which is that of a prompt vector."""
        return self.text.weights.width

    @property
    def state(self) -> dict[str, Tensor]:
        """The library's weights by name."""
        return self.model.state_dict()


def frozen(module: nn.Module) -> nn.Module:
    """Makes a module float32, without dropout and gradients."""
    return module.float().eval().requires_grad_(False)


def weights_digest(module: nn.Module) -> str:
    """Returns the SHA-256 of a module's weights in float32, by name."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
