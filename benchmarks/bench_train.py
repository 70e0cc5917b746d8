"""What each saving of the text tower is worth, and where the time of a training step goes after that.

    make bench-train
    .venv/bin/python benchmarks/bench_train.py --classes 51,400 --rounds 5 --device cpu
    .venv/bin/python benchmarks/bench_train.py --quick

ViT-B/16's text tower with random weights, 16+X+16. 51 classes are HMDB51's (where FEATX_SHARED holds its list, else
made up with the same lengths); other numbers are made up with Kinetics-400's lengths. Every variant runs once in
each round, and what is compared is the fastest round of each: on a shared machine that is the least disturbed one.
Absolute times mean little there; ratios of one run do. Where others keep the processor busy, threads that wait for
each other make even ratios meaningless: --busy takes one thread and counts the processor time that it gets.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clip
import numpy as np
import torch
from clip.model import CLIP
from text_variants import CHUNK, PROMPTS, Variant, plan_of, variants
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from featx.encoders.text import TextPlan, prompt_table_rows
from featx.features.clips import ClipSampling, draw_clips
from featx.model.adapter import Adapter
from featx.model.adapter_config import TEMPERATURE, AdapterConfig

HMDB51 = Path(os.environ.get("FEATX_SHARED", "../shared")) / "annotations/hmdb51/HMDB51_action.list"
# How many names have 1, 2, 3, … BPE tokens: mean 1.45, at most 4, and mean 2.36, at most 8.
HMDB51_LENGTHS = [32, 16, 2, 1]
K400_LENGTHS = [72, 188, 91, 32, 11, 3, 2, 1]
CLOCK = time.perf_counter
WIDTH = 512
RATE_SIDE = 2048  # of the square matrices that show the machine's rate
CLIPS, CLIP_FRAMES, LAYERS = 64, 16, 2
SAMPLING = ClipSampling(CLIP_FRAMES, [1, 2, 3, 4], [1, 1, 3, 1])


def generated_names(count: int, lengths: list[int]) -> list[str]:
    """Makes names of whole words of one token each, whose lengths are distributed as told."""
    words = [
        token.removesuffix("</w>")
        for token in clip.clip._tokenizer.encoder
        if token.endswith("</w>") and token[:-4].isalpha() and token.isascii() and len(token) > 6
    ]
    every = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    chosen = every[np.linspace(0, len(every) - 1, count).round().astype(int)]
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(words, length)) for length in rng.permutation(chosen)]


def class_names(count: int) -> tuple[list[str], str]:
    """Returns names and where they are from."""
    if count == 51 and HMDB51.exists():
        return HMDB51.read_text(encoding="utf-8").split("\n")[:51], "HMDB51's"
    lengths = HMDB51_LENGTHS if count == 51 else K400_LENGTHS
    return generated_names(count, lengths), f"generated with {'HMDB51' if count == 51 else 'K400'}'s lengths"


def make_clip(device: str) -> CLIP:
    """OpenAI's module with ViT-B/16's text tower and the smallest image tower, random weights."""
    torch.manual_seed(0)
    return CLIP(WIDTH, 32, 1, 64, 32, 77, 49408, WIDTH, 8, 12).float().eval().requires_grad_(False).to(device)


def make_table(suffix: bool, device: str) -> Tensor:
    """Returns untrained prompts."""
    rows = prompt_table_rows(PROMPTS, "sequence", suffix)
    return (0.01 * torch.randn(rows, WIDTH)).to(device).requires_grad_()


def run_once(variant: Variant, plan: TextPlan, table: Tensor) -> None:
    """Forward and backward of all texts of a plan."""
    variant.encode(plan, table).sum().backward()


def seconds(work: Callable[[], object], device: str) -> float:
    """Returns how long something takes, until the device has done it."""
    synchronise(device)
    began = CLOCK()
    work()
    synchronise(device)
    return CLOCK() - began


def synchronise(device: str) -> None:
    """Waits for a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()


def flops_of(work: Callable[[], object]) -> int:
    """Counts the floating point operations of the matrix products that really happen."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def rate_probe(dtype: torch.dtype, device: str) -> Callable[[], object]:
    """Returns a product of two square matrices."""
    square = torch.randn(RATE_SIDE, RATE_SIDE, dtype=dtype, device=device)
    return lambda: square @ square


def text_table(classes: int, rounds: int, device: str, compiled: bool) -> dict:
    """Times every variant on one class list, and the machine's rate of matrix products, in turn."""
    names, source = class_names(classes)
    model = make_clip(device)
    work: dict[str, Callable[[], object]] = {}
    flops: dict[str, int] = {}
    texts: dict[str, int] = {}
    for name, variant in variants(model, classes, compiled).items():
        plan, table = plan_of(variant, names, device), make_table(variant.suffix, device)
        texts[name] = len(plan)
        work[name] = lambda variant=variant, plan=plan, table=table: run_once(variant, plan, table)
        if "compiled" in name:
            work[name]()  # compiles
            flops[name] = flops[name.replace("compiled", "").strip() or "packed"]
        else:
            flops[name] = flops_of(work[name])  # warms up too
    work["rate fp32"] = rate_probe(torch.float32, device)
    work["rate bf16"] = rate_probe(torch.bfloat16, device)
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, once in work.items():
            times[name].append(min(seconds(once, device) for _ in range(5 if name.startswith("rate") else 1)))
    best = {name: min(values) for name, values in times.items()}
    rate = {dtype: 2 * RATE_SIDE**3 / best[f"rate {dtype}"] for dtype in ("fp32", "bf16")}
    rows = [
        {
            "variant": name,
            "ms_per_text": 1000 * best[name] / texts[name],
            "ratio_to_plain": best["plain"] / texts["plain"] / (best[name] / texts[name]),
            "gflop_per_text": flops[name] / texts[name] / 1e9,
            "fraction_of_rate": flops[name] / best[name] / rate["bf16" if "bf16" in name else "fp32"],
            "peak_mib": peak_memory(name, classes, device),
        }
        for name in flops
    ]
    return {
        "classes": classes,
        "names": source,
        "gflop_per_s": {k: v / 1e9 for k, v in rate.items()},
        "rows": rows,
    }


def peak_memory(name: str, classes: int, device: str) -> float | None:
    """Asks a process of its own how much memory one forward and backward takes on top of the weights."""
    command = [sys.executable, "-W", "ignore", __file__, "--memory-of", name, "--classes", str(classes)]
    done = subprocess.run([*command, "--device", device], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_memory(name: str, classes: int, device: str) -> float | None:
    """Returns the MiB by which one forward and backward of all texts raises the peak; None where unknown.

    For a variant that would not fit into memory, what a chunk takes is scaled up.
    """
    names, _ = class_names(classes)
    variant = variants(make_clip(device), classes, "compiled" in name)[name]
    table = make_table(variant.suffix, device)
    plan = plan_of(variant, names, device)
    first = plan if "compiled" in name else plan_of(variant, names[:2], device)
    run_once(variant, first, table)  # libraries allocate once
    gc.collect()
    if platform.system() == "Linux":
        ctypes.CDLL(None).malloc_trim(0)  # what was freed must not serve the step unseen
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run_once(variant, plan, table)
        return classes / len(plan) * (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    except OSError:
        return None
    before = _status("VmRSS")
    run_once(variant, plan, table)
    return classes / len(plan) * (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))  # KiB


def step_table(classes: int, rounds: int, device: str) -> dict:
    """Times a whole training step the plain way and featx's way, and the parts of featx's."""
    names, _ = class_names(classes)
    model = make_clip(device)
    rng = np.random.default_rng(0)
    rows_of_video = rng.integers(60, 300, 500)  # a data set of 500 videos in memory
    offsets = np.concatenate([[0], np.cumsum(rows_of_video)])
    features = rng.standard_normal((offsets[-1], WIDTH), dtype=np.float32).astype(np.float16)
    adapter = Adapter(AdapterConfig(prompts=PROMPTS, layers=LAYERS), WIDTH, WIDTH).to(device)
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=1e-4)
    table = adapter.prompt_table
    assert table is not None
    targets = torch.from_numpy(rng.integers(0, classes, CLIPS)).to(device)
    all_variants = variants(model, classes, compiled=False)
    spent: dict[str, list[float]] = {}

    def timed(part: str, work: Callable[[], Any]) -> Any:
        result: list[Any] = []
        spent.setdefault(part, []).append(seconds(lambda: result.append(work()), device))
        return result[0]

    def load() -> Tensor:
        videos = rng.choice(len(rows_of_video), CLIPS, replace=False)
        rows = draw_clips(rng, rows_of_video[videos], SAMPLING)
        return torch.from_numpy(features[offsets[videos][:, None] + rows]).to(device)

    def step(variant: Variant, plan: TextPlan) -> None:
        """One step whose text gradient is handed over by hand, so that each part can be timed."""
        optimiser.zero_grad()
        clips = timed("loader", load)
        text = timed("text", lambda: variant.encode(plan, table))
        leaf = text.detach().requires_grad_()  # (C, D)

        def video() -> None:
            logits = adapter.encode_clips(clips) @ functional.normalize(leaf, dim=-1).T / TEMPERATURE
            functional.cross_entropy(logits, targets).backward()

        timed("temporal", video)
        timed("text", lambda: text.backward(leaf.grad))
        timed("optimiser", optimiser.step)

    best: dict[str, float] = {}
    parts: dict[str, float] = {}
    ways = {name: all_variants[name] for name in ("plain", "packed", "bf16")}
    if ways["plain"].chunk:
        ways.pop("plain")  # memory does not hold all texts of a step at once
    plans = {name: plan_of(variant, names, device) for name, variant in ways.items()}
    for name, variant in ways.items():
        step(variant, plans[name])
    for _ in range(rounds):
        for name, variant in ways.items():
            spent.clear()
            total = seconds(lambda variant=variant, name=name: step(variant, plans[name]), device)
            if total < best.get(name, np.inf):
                best[name] = total
                if name == "packed":
                    parts = {part: sum(values) / total for part, values in spent.items()}
    ratios = {name: best["plain"] / value for name, value in best.items()} if "plain" in best else {}
    return {"classes": classes, "seconds": best, "ratio_to_plain": ratios, "parts_of_packed": parts}


def processor() -> str:
    """Names what was measured."""
    if platform.system() == "Linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':')[1].strip()}, {torch.get_num_threads()} threads, {CLOCK.__name__}"
    return platform.processor()


def show(table: dict) -> None:
    """Prints what `text_table` found."""
    rates = ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in table["gflop_per_s"].items())
    print(
        f"\n{table['classes']} classes ({table['names']}), {PROMPTS}+X+{PROMPTS}; matrix products: {rates}\n"
    )
    print("| variant | ms a text | times faster | GFLOP a text | of the rate | peak MiB |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in table["rows"]:
        memory = "-" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
        print(
            f"| {row['variant']} | {row['ms_per_text']:.2f} | {row['ratio_to_plain']:.2f} | {row['gflop_per_text']:.2f} "
            f"| {row['fraction_of_rate']:.2f} | {memory} |",
            flush=True,
        )


def show_step(table: dict) -> None:
    """Prints what `step_table` found."""
    print(
        f"\nWhole step, {table['classes']} classes, {CLIPS} clips of {CLIP_FRAMES} frames, {LAYERS} layers:"
    )
    for name, value in table["seconds"].items():
        ratio = f", {table['ratio_to_plain'][name]:.2f} times faster" if table["ratio_to_plain"] else ""
        print(f"  {name}: {value:.3f} s{ratio}")
    print(
        "  of packed: " + ", ".join(f"{k} {100 * v:.1f}%" for k, v in table["parts_of_packed"].items()),
        flush=True,
    )


def main() -> None:
    """Runs what the options say, prints tables, writes build/bench-train.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--classes", default="51,400", help="numbers of classes, such as 51,400")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", action="store_true", help="one thread, and its processor time")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="51 classes, 2 rounds, nothing compiled")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out (a minute or two)")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.busy:
        global CLOCK
        CLOCK = time.process_time
        torch.set_num_threads(1)
    sizes = [51] if options.quick else [int(size) for size in options.classes.split(",")]
    if options.memory_of:
        print(json.dumps(measure_memory(options.memory_of, sizes[0], options.device)))
        return
    print(f"{processor()}, torch {torch.__version__}, {options.device}")
    found: dict = {"processor": processor(), "torch": torch.__version__, "device": options.device}
    found |= {"text": [], "step": []}
    report = Path("build/bench-train.json")
    for size in sizes:
        rounds = 2 if options.quick else options.rounds if size <= 2 * CHUNK else min(3, options.rounds)
        compiled = not (options.quick or options.no_compile)
        found["text"].append(text_table(size, rounds, options.device, compiled))
        show(found["text"][-1])
        found["step"].append(step_table(size, rounds, options.device))
        show_step(found["step"][-1])
        report.parent.mkdir(exist_ok=True)
        report.write_text(json.dumps(found, indent=1))
    print(f"\n{report}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
