"""What can be chosen of CLIP's towers; without torch, because settings are checked with it before anything is loaded."""

from __future__ import annotations

from typing import Literal

from featx.completion import Offers

Layout = Literal["sequence", "positional"]  # of prompts: the paper's, or that of the authors' released code
Precision = Literal["fp32", "bf16", "fp16"]  # of matrix products
# OpenAI's, and the two that come with featx; paths, and models of other libraries, are possible too.
MODELS = Offers(
    *("ViT-B/16", "ViT-B/32", "ViT-L/14", "ViT-L/14@336px"),
    *("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64"),
    *("tiny", "siglip:tiny"),
)
