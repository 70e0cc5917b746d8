"""How far a plan is: parts, videos, frames a second, failures, and who works on what."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from featx.files.checksummed_json import parse_checksummed
from featx.store.backends.interface import Backend
from featx.store.parts.claims import Claim, read_claims
from featx.store.parts.committed import committed_parts
from featx.store.parts.plan import Plans, read_plans
from featx.store.schema import GONE, SHARDS_FOLDER, shard_name

READERS = 16  # requests at once
RECENT_S = 600.0  # the speed is that of the parts that were finished within so long before the last one


@dataclass(frozen=True)
class PartDone:
    """A part that was committed.

    Attributes:
        number: Of the part.
        station: Which machine made it.
        began: When, in seconds since 1970.
        seconds: How long it took.
        videos: How many have features.
        rows: Of these.
        failures: Of the others: id and reason. Those that a later part made good, or failed at again, are not here.
        tried: How many videos it has, with those that failed.
    """

    number: int
    station: str
    began: float
    seconds: float
    videos: int
    rows: int
    failures: list[tuple[str, str]]
    tried: int


@dataclass(frozen=True)
class PlanStatus:
    """How far a plan is.

    Attributes:
        plans: The plans.
        done: What was committed.
        claims: Who says to work on which of the others.
    """

    plans: Plans
    done: list[PartDone]
    claims: Mapping[int, Claim] = field(default_factory=dict)

    @property
    def rows_a_second(self) -> float:
        """Rows a second of all machines together, lately; 0 before the first part is done."""
        if not self.done:
            return 0.0
        end = max(part.began + part.seconds for part in self.done)
        recent = [part for part in self.done if part.began + part.seconds > end - RECENT_S]
        begin = min(part.began for part in recent)
        return sum(part.rows for part in recent) / max(end - begin, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest takes at the speed of lately; None if nobody knows."""
        videos = sum(part.tried for part in self.done)
        rows = sum(part.rows for part in self.done)
        if not videos or not self.rows_a_second:
            return None
        return rows / videos * (self.plans.videos - videos) / self.rows_a_second

    @property
    def slowest(self) -> PartDone | None:
        """The part that took longest."""
        return max(self.done, key=lambda part: part.seconds, default=None)

    @property
    def usual_s(self) -> float:
        """The median time of a part."""
        return statistics.median(part.seconds for part in self.done) if self.done else 0.0


def status_of(backend: Backend) -> PlanStatus:
    """Reads the records of all parts.

    Raises:
        FeatxError: If the place has no plan, cannot be read, or a record is damaged.
    """
    plans = read_plans(backend)
    numbers = sorted(committed_parts(backend).intersection(plans.numbers))
    tried_again = plans.plans[1].first if len(plans.plans) > 1 else None

    def read(number: int) -> tuple[PartDone, set[str]]:
        key = f"{SHARDS_FOLDER}/{shard_name(number)}.json"
        record = parse_checksummed(backend.get(key), f"{backend.name}/{key}")
        made = record.get("made_by", {})
        stated = record.get("failures", [])
        failures = [(failure["id"], failure["error"]) for failure in stated if GONE not in failure]
        tried = {*record["ids"], *(video_id for video_id, _ in failures)}
        settled = {*record["ids"], *(failure["id"] for failure in stated)}  # nothing earlier of them counts
        done = PartDone(
            number,
            made.get("station", ""),
            made.get("began", 0.0),
            made.get("seconds", 0.0),
            len(record["ids"]),
            sum(record["rows"]),
            failures,
            len(tried),
        )
        return done, settled if tried_again is not None and number >= tried_again else set()

    with ThreadPoolExecutor(READERS) as pool:
        read_parts = list(pool.map(read, numbers))
    done: list[PartDone] = []
    later: set[str] = set()
    for part, settled in reversed(read_parts):
        still = [(video_id, error) for video_id, error in part.failures if video_id not in later]
        done.append(replace(part, failures=still))
        later |= settled
    claims = {number: one for number, one in read_claims(backend).items() if number not in set(numbers)}
    return PlanStatus(plans, done[::-1], claims)


def lines_of(status: PlanStatus, now: float, named: int = 20) -> list[str]:
    """Says how far a plan is.

    Args:
        status: Of the plan.
        now: Seconds since 1970.
        named: Failures that are named.
    """
    done, plans = status.done, status.plans
    failures = [failure for part in done for failure in part.failures]
    rows = sum(part.rows for part in done)
    lines = [
        f"parts           {len(done):,} of {plans.parts:,} done, {len(status.claims):,} worked on",
        f"videos          {sum(part.videos for part in done):,} of {plans.videos:,} done, {len(failures):,} failed",
        f"rows            {rows:,}",
    ]
    if done:
        lines.append(f"speed           {status.rows_a_second:,.0f} rows/s of all machines lately")
    if (left := status.seconds_left) is not None and len(done) < plans.parts:
        lines.append(f"time left       about {_duration(left)}")
    if (slowest := status.slowest) is not None:
        lines.append(
            f"time of a part  {_duration(status.usual_s)} usually; the slowest, {slowest.number}, took "
            f"{_duration(slowest.seconds)} on {slowest.station}"
        )
    stations = {part.station for part in done} | {claim.station for claim in status.claims.values()}
    for station in sorted(stations - {""}):
        own = [part for part in done if part.station == station]
        works = [
            f"{number} for {_duration(now - claim.began)}"
            for number, claim in sorted(status.claims.items())
            if claim.station == station
        ]
        lines.append(
            f"machine         {station}: {len(own):,} parts"
            + (f", works on {', '.join(works)}" if works else "")
        )
    lines += [f"failed          {video_id}: {error}" for video_id, error in failures[:named]]
    if len(failures) > named:
        lines.append(f"                and {len(failures) - named:,} more; --json lists all")
    return lines


def _duration(seconds: float) -> str:
    """Returns a length of time as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
