"""How fast average precision is: featx against plain loops over detections, on the same data.

    make bench-localisation                                            # 4,728 videos x 100 detections, 200 classes
    .venv/bin/python benchmarks/bench_localisation.py --videos 500     # smaller

The loops are those that the tests compare the numbers with (tests/support/plain_localisation.py): ActivityNet's program restated
with its own loops (one NumPy call a detection and step, without its pandas), and the same in plain Python lists. Seconds are
those of the processor, so that other work on the machine does not count; of featx the best of three. Half of the detections lie near
an instance and have its class, the others lie anywhere and have any class. Every rule's numbers must agree, too.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import plain_localisation as plain

from featx.localisation.metrics.average_precision import ACTIVITYNET_TIOU, RULES, average_precision, match
from featx.localisation.metrics.intervals import Detections, Instances, Spans

LENGTH_S = 120.0


def draw(videos: int, detections: int, classes: int, seed: int) -> tuple[Detections, Instances, Spans]:
    """Returns detections, 1 to 5 instances a video (of one class or two), and an ambiguous interval in each tenth video."""
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 6, videos)
    of_video = np.repeat(np.arange(videos), count)
    shown = rng.integers(classes, size=(videos, 2))
    labels = shown[of_video, (rng.random(len(of_video)) < 0.2).astype(int)]
    start_s = rng.random(len(of_video)) * LENGTH_S * 0.8
    instances = Instances(of_video, start_s, start_s + 1 + rng.random(len(of_video)) * 20, labels)
    first = np.cumsum(count) - count
    video = np.repeat(np.arange(videos), detections)
    near = first[video] + (rng.random(len(video)) * count[video]).astype(int)
    is_near = rng.random(len(video)) < 0.5
    begin = np.where(
        is_near, instances.start_s[near] + rng.normal(0, 2, len(video)), rng.random(len(video)) * LENGTH_S
    )
    length = np.where(is_near, (instances.end_s - instances.start_s)[near], 1 + rng.random(len(video)) * 20)
    label = np.where(is_near, labels[near], rng.integers(classes, size=len(video)))
    found = Detections(video, begin, begin + length, label, np.round(rng.random(len(video)), 4))
    some = np.arange(0, videos, 10)
    ambiguous = Spans(some, np.full(len(some), 10.0), np.full(len(some), 15.0))
    return found, instances, ambiguous


def rows(spans: Spans, *names: str) -> list[tuple]:
    """Returns arrays as the tuples that the loops take."""
    return list(zip(*(getattr(spans, name).tolist() for name in names), strict=True))


def main() -> None:
    """Prints seconds, their ratio and the largest difference for each rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=4728)
    parser.add_argument("--detections", type=int, default=100, help="of a video")
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found, instances, ambiguous = draw(options.videos, options.detections, options.classes, options.seed)
    print(
        f"{options.videos:,} videos x {options.detections} detections, {options.classes} classes, "
        f"{len(instances):,} instances, {len(ACTIVITYNET_TIOU)} overlaps"
    )
    detection_rows = rows(found, "videos", "labels", "start_s", "end_s", "score")
    instance_rows = rows(instances, "videos", "labels", "start_s", "end_s")
    ambiguous_rows = rows(ambiguous, "videos", "start_s", "end_s")
    for name, rule in RULES.items():
        seconds = []
        for _ in range(3):
            begin = time.process_time()
            matches = match(found, instances, rule, ACTIVITYNET_TIOU, ambiguous)
            ours = average_precision(found, instances, matches, rule.area)
            seconds.append(time.process_time() - begin)
        print(f"{name:<14} featx {min(seconds):.2f} s, average mAP {100 * ours.average:.2f}%")
        for loops in ("program", name) if name == "official" else (name,):
            begin = time.process_time()
            plain_aps = plain.mean_average_precision(
                detection_rows, instance_rows, ambiguous_rows, ACTIVITYNET_TIOU, loops
            )
            took = time.process_time() - begin
            what = "ActivityNet's program" if loops == "program" else "plain lists"
            print(
                f"    {what:<22} {took:.1f} s, {took / min(seconds):.0f} times as long, largest difference "
                f"{np.abs(ours.ap.T - list(plain_aps.values())).max():.1e}"
            )


if __name__ == "__main__":
    main()
