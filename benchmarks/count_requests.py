"""Requests and bytes of one part in an object store, counted: what docs/scale-out.md says of costs.

.venv/bin/python benchmarks/count_requests.py
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from stores import fingerprint, video, video_info

from featx.store.backends.interface import Backend
from featx.store.backends.open import open_backend
from featx.store.parts.claims import Claim, claim, read_claims, release
from featx.store.parts.committed import committed_parts
from featx.store.parts.plan import PlannedVideo, make_plan, read_part
from featx.store.writing.part_commits import commit_part, open_planned_header
from featx.store.writing.writer import WaitingVideo

VIDEOS, ROWS, WIDTH = 262, 250, 512  # about 65,536 rows


class CountingBackend:
    """Counts the calls of a backend, and the bytes that are put."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.name = inner, inner.name
        self.calls, self.bytes_put = Counter[str](), 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Returns a method of the backend that is counted."""

        def call(*given: Any) -> Any:
            self.calls[name] += 1
            if name.startswith("put"):
                self.bytes_put += len(given[1])
            return getattr(self.inner, name)(*given)

        return call


def main() -> None:
    """Does one part in each format, and prints what it took."""
    for format in ("zarr", "hdf5"):
        backend: Any = CountingBackend(open_backend(f"memory://{format}"))
        header = open_planned_header(backend, fingerprint(WIDTH), format, "m")
        videos = [
            WaitingVideo(f"{number}.mp4", video(ROWS, number, WIDTH), video_info(f"{number}.mp4"))
            for number in range(VIDEOS)
        ]
        plan, _ = make_plan(backend, [[PlannedVideo(each.id, f"/v/{each.id}") for each in videos]], {})
        backend.calls.clear()
        backend.bytes_put = 0
        committed_parts(backend)
        read_claims(backend)
        claim(backend, 0, Claim("machine", 0.0))
        read_part(backend, plan, 0)
        commit_part(backend, header, 0, videos, [])
        release(backend, 0)
        rows = VIDEOS * ROWS
        print(f"{format}: {dict(backend.calls)}; {backend.bytes_put / rows:.0f} bytes a row of {rows:,}")


if __name__ == "__main__":
    main()
