"""The plans of a store: which videos belong to which part. A plan is written once and never changes.

A plan's own file is put last, and only if there is none: of several planners one wins, and its lists of videos are the
ones that count. The lists lie below ``plan/`` under a name of the planner's own attempt. Once all parts are done, another
plan may follow, of what is new or has changed: ``plan.json``, ``plan-00001.json``, and so on. Its parts have the next free
numbers.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from featx.errors import FeatxError
from featx.files.checksummed_json import Damaged, dump_checksummed, parse_checksummed
from featx.files.documents import check_version, first_problem
from featx.store.backends.interface import Backend, NotThere
from featx.store.parts.committed import committed_parts
from featx.store.schema import Entry

PLAN_FOLDER = "plan"
PLAN_VERSION = 1
READERS = 16  # requests at once


@dataclass(frozen=True)
class PlannedVideo:
    """A video file of a part.

    Attributes:
        id: Under which its features are stored.
        path: The file, as every machine finds it.
        root: Absolute path of the folder that was given.
        below: The file's path below that folder.
        size_bytes: Of the file, when the plan was made; None if nobody looked.
        refused: Why the file must not be opened; empty for those that are extracted.
        instead_of: The entry of the same id that is no longer read once this video is there: what was kept of it.
    """

    id: str
    path: str
    root: str | None = None
    below: str = ""
    size_bytes: int | None = None
    refused: str = ""
    instead_of: Entry | None = None


@dataclass(frozen=True)
class Changes:
    """What has become of videos that are in the store when a plan is made; see `ShardRecord`.

    Attributes:
        drops: Entries that are no longer read.
        updates: Entries of which something is different now.
        root_moves: Folders that have moved as a whole, and where to.
        gone_failures: Ids of videos that failed and whose files are no longer there.
    """

    drops: list[Entry] = field(default_factory=list)
    updates: list[tuple[Entry, dict[str, Any]]] = field(default_factory=list)
    root_moves: list[tuple[str, str]] = field(default_factory=list)
    gone_failures: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.drops or self.updates or self.root_moves or self.gone_failures)


class Plan(BaseModel):
    """The content of ``plan.json`` and those that follow it.

    Attributes:
        featx_plan: Version of this layout.
        first: Number of its first part.
        parts: How many parts it has.
        videos: Of all parts.
        settings: Those of ``featx extract`` that say what the features are.
        changes: Whether its first part has no videos, and says what has become of earlier ones. That one is committed
            before the others.
        attempt: Below ``plan/`` this folder holds the lists of videos.
        created: When, in UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    featx_plan: int = PLAN_VERSION
    first: int = 0
    parts: int
    videos: int
    settings: dict[str, Any]
    changes: bool = False
    attempt: str
    created: str

    @property
    def numbers(self) -> range:
        """The numbers of its parts."""
        return range(self.first, self.first + self.parts)


@dataclass(frozen=True)
class Plans:
    """All plans of a store, in their order; none for a store that one machine has filled.

    Attributes:
        plans: Each of them.
    """

    plans: list[Plan]

    def __bool__(self) -> bool:
        return bool(self.plans)

    @cached_property
    def numbers(self) -> list[int]:
        """The numbers of all parts, ascending."""
        return [number for plan in self.plans for number in plan.numbers]

    @property
    def parts(self) -> int:
        """How many parts all plans have."""
        return sum(plan.parts for plan in self.plans)

    @property
    def videos(self) -> int:
        """How many videos all plans have; one that was planned twice counts twice."""
        return sum(plan.videos for plan in self.plans)

    @property
    def settings(self) -> dict[str, Any]:
        """Those of ``featx extract`` that the last plan fixes: all parts of earlier ones are done."""
        return self.plans[-1].settings

    def of(self, number: int) -> Plan:
        """Returns the plan that a part belongs to."""
        return next(plan for plan in self.plans if number in plan.numbers)

    def open_parts(self, done: Collection[int]) -> set[int]:
        """Returns the numbers of parts that are not among those that are done."""
        return set(self.numbers).difference(done)


def make_plan(
    backend: Backend,
    parts: Sequence[Sequence[PlannedVideo]],
    settings: dict[str, Any],
    before: Plans | None = None,
    changes: Changes | None = None,
) -> tuple[Plan, bool]:
    """Writes the next plan of a place, unless somebody else does.

    Args:
        backend: The place of the store.
        parts: The videos of each part; an id may stand in one part only.
        settings: Those of ``featx extract`` that say what the features are.
        before: The plans that the place had, and whose parts were all done, when it was found out what there is to do.
        changes: What has become of videos that are in the store.

    Returns:
        The plan that counts, and whether it is this one.

    Raises:
        FeatxError: If two videos have one id, or the place cannot be written.
    """
    ids = {video.id for part in parts for video in part}
    count = sum(map(len, parts))
    if len(ids) != count:
        raise FeatxError(f"{backend.name}: {count - len(ids)} videos of the plan have the id of another one")
    before = before or Plans([])
    taken = [*committed_parts(backend), *before.numbers]
    contents: list[dict[str, Any]] = [dataclasses.asdict(changes)] if changes else []
    contents += [{"videos": [dataclasses.asdict(video) for video in part]} for part in parts]
    plan = Plan(
        first=max(taken, default=-1) + 1,
        parts=len(contents),
        videos=count,
        settings=settings,
        changes=bool(changes),
        attempt=uuid.uuid4().hex,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )

    def put(number: int) -> None:
        content = {"part": number, **contents[number - plan.first]}
        backend.put_if_absent(_part_key(plan, number), dump_checksummed(content))

    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(put, plan.numbers))
    file = plan_file(len(before.plans))
    if backend.put_if_absent(file, dump_checksummed(plan.model_dump())):
        return plan, True
    for number in plan.numbers:
        backend.delete(_part_key(plan, number))
    return _read_plan(backend, file), False


def find_plans(backend: Backend) -> Plans:
    """Returns the plans of a place.

    Raises:
        FeatxError: If the place cannot be read, or a plan is damaged or of a later featx.
    """
    plans: list[Plan] = []
    while True:
        try:
            plans.append(_read_plan(backend, plan_file(len(plans))))
        except NotThere:
            return Plans(plans)


def read_plans(backend: Backend) -> Plans:
    """Returns the plans of a place.

    Raises:
        FeatxError: If there is none, or as `find_plans`.
    """
    plans = find_plans(backend)
    if not plans:
        raise FeatxError(f"{backend.name}: has no plan; make one with featx plan INPUTS --to {backend.name}")
    return plans


def read_part(backend: Backend, plan: Plan, number: int) -> list[PlannedVideo]:
    """Returns the videos of a part.

    Raises:
        Damaged: If the list is not as it was written.
        FeatxError: If the place cannot be read.
    """
    return [
        PlannedVideo(**video | {"instead_of": _entry(video.get("instead_of"))})
        for video in _part(backend, plan, number).get("videos", [])
    ]


def read_changes(backend: Backend, plan: Plan) -> Changes:
    """Returns what a plan says of videos that were in the store before it.

    Raises:
        Damaged: If it is not as it was written.
        FeatxError: If the place cannot be read.
    """
    if not plan.changes:
        return Changes()
    content = _part(backend, plan, plan.first)
    return Changes(
        [Entry(*entry) for entry in content["drops"]],
        [(Entry(*entry), now) for entry, now in content["updates"]],
        [(before, now) for before, now in content["root_moves"]],
        content["gone_failures"],
    )


def plan_file(place: int) -> str:
    """Returns the key of a plan, by its place among them."""
    return f"plan-{place:05d}.json" if place else "plan.json"


def _read_plan(backend: Backend, key: str) -> Plan:
    """Returns one plan.

    Raises:
        NotThere: If there is none.
        Damaged: If it is not as it was written.
    """
    file = f"{backend.name}/{key}"
    content = parse_checksummed(backend.get(key), file)
    check_version(file, content.get("featx_plan"), PLAN_VERSION)
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        raise Damaged(f"{file}: {first_problem(error)}; make the store anew") from error


def _part(backend: Backend, plan: Plan, number: int) -> dict[str, Any]:
    key = _part_key(plan, number)
    return parse_checksummed(backend.get(key), f"{backend.name}/{key}")


def _part_key(plan: Plan, number: int) -> str:
    return f"{PLAN_FOLDER}/{plan.attempt}/part-{number:05d}.json"


def _entry(stated: Sequence[Any] | None) -> Entry | None:
    return Entry(*stated) if stated else None
