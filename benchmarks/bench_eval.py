"""What a video and a class cost in evaluation at the paper's size: `.venv/bin/python benchmarks/bench_eval.py`.

Random weights in ViT-B/16's text encoder, an untrained 16+X+16 adapter with 2 layers; processor time of one thread.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from clip.model import CLIP

from featx.clip.choices import Precision
from featx.encoders.openai_text import openai_text
from featx.encoders.text import TextTower
from featx.model.adapter import Adapter
from featx.model.adapter_config import AdapterConfig

WORDS = ["playing", "riding", "brushing", "climbing", "opening", "a", "horse", "guitar", "door", "stairs", "long", "jump"]  # fmt: skip
VIDEOS, CLIPS, CLASSES, ROUNDS = 64, 5, 200, 3


def best_ms(work: Callable[[], object], parts: int) -> float:
    """Returns the least processor time of a part, in milliseconds."""
    work()
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return 1000 * min(times) / parts


def main() -> None:
    """Prints a line for each precision."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    clip = CLIP(512, 64, 2, 128, 16, 77, 49408, 512, 8, 12).float().eval()
    names = [" ".join(rng.choice(WORDS, rng.integers(2, 5))) for _ in range(CLASSES)]
    adapter = Adapter(AdapterConfig(prompts=16, layers=2), 512, 512).eval()
    clips = torch.randn(VIDEOS * CLIPS, 16, 512).half()
    encoder = openai_text(clip)
    plan = adapter.plan(encoder.format, names)
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    with torch.no_grad():
        for precision in precisions:
            adapter.precision = precision
            tower = TextTower(encoder, precision)
            video = best_ms(lambda: adapter.encode_clips(clips), VIDEOS)
            text = best_ms(lambda tower=tower: adapter.encode_texts(tower, plan), CLASSES)  # type: ignore[misc]
            print(f"{precision}: {video:.1f} ms a video of {CLIPS} clips, {text:.1f} ms a class")


if __name__ == "__main__":
    main()
