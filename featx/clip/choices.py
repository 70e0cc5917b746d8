"""What can be chosen of CLIP's towers; without torch, because settings are checked with it before anything is loaded."""

from __future__ import annotations

from typing import Literal

Layout = Literal["sequence", "positional"]  # of prompts: the paper's, or that of the authors' released code
Precision = Literal["fp32", "bf16", "fp16"]  # of matrix products
