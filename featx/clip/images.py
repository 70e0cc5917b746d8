"""The frozen image encoder: batches of cropped frames to features."""

from __future__ import annotations

import numpy as np
import torch

from featx.clip.load import LoadedClip
from featx.clip.preprocess import normalise


class ImageEncoder:
    """CLIP's image encoder on one device, in float32."""

    def __init__(self, loaded: LoadedClip, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.input_size = loaded.input_size
        self._visual = loaded.model.visual.to(self.device)

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Encodes frames.

        Args:
            pixels: (B, n, n, 3) uint8, already scaled and cropped.

        Returns:
            (B, D) float32: what `CLIP.encode_image` gives, after projection, not normalised.
        """
        images = normalise(torch.from_numpy(pixels).to(self.device))  # (B, 3, n, n)
        return self._visual(images).float().cpu().numpy()
