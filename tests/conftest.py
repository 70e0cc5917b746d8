"""What several tests share: a random CLIP with ViT-B/16's text tower, and the real clips where they are present."""

import os
import warnings
from pathlib import Path

import pytest

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

SHARED = Path(os.environ.get("FEATX_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def real_videos() -> Path:
    folder = SHARED / "videos"
    if not folder.is_dir():
        pytest.skip("no folder of real clips; set FEATX_SHARED")
    return folder


@pytest.fixture(scope="session")
def random_clip():
    """OpenAI's own module with ViT-B/16's text tower in full size and a small image tower, random weights."""
    import torch
    from clip.model import CLIP

    torch.manual_seed(0)
    return CLIP(512, 64, 2, 128, 16, 77, 49408, 512, 8, 12).float().eval()
