"""The plan of a store: which videos belong to which part. It is written once and never changes.

``plan.json`` is put last, and only if there is none: of several planners one wins, and its lists of videos are the ones
that count. The lists lie below ``plan/`` under a name of the planner's own attempt.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from featx.errors import FeatxError
from featx.files.checksummed_json import Damaged, dump_checksummed, parse_checksummed
from featx.files.documents import check_version, first_problem
from featx.store.backends.interface import Backend, NotThere

PLAN_FILE = "plan.json"
PLAN_FOLDER = "plan"
PLAN_VERSION = 1


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
    """

    id: str
    path: str
    root: str | None = None
    below: str = ""
    size_bytes: int | None = None
    refused: str = ""


class Plan(BaseModel):
    """The content of ``plan.json``.

    Attributes:
        featx_plan: Version of this layout.
        parts: How many there are, numbered from 0.
        videos: Of all parts.
        settings: Those of ``featx extract`` that say what the features are.
        attempt: Below ``plan/`` this folder holds the lists of videos.
        created: When, in UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    featx_plan: int = PLAN_VERSION
    parts: int
    videos: int
    settings: dict[str, Any]
    attempt: str
    created: str


def make_plan(
    backend: Backend, parts: Sequence[Sequence[PlannedVideo]], settings: dict[str, Any]
) -> tuple[Plan, bool]:
    """Writes a plan, unless the place has one.

    Args:
        backend: The place of the store.
        parts: The videos of each part; an id may stand in one part only.
        settings: Those of ``featx extract`` that say what the features are.

    Returns:
        The plan that counts, and whether it is this one.

    Raises:
        FeatxError: If two videos have one id, or the place cannot be written.
    """
    ids = {video.id for part in parts for video in part}
    count = sum(map(len, parts))
    if len(ids) != count:
        raise FeatxError(f"{backend.name}: {count - len(ids)} videos of the plan have the id of another one")
    plan = Plan(
        parts=len(parts),
        videos=count,
        settings=settings,
        attempt=uuid.uuid4().hex,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    for number, part in enumerate(parts):
        content = {"part": number, "videos": [dataclasses.asdict(video) for video in part]}
        backend.put_if_absent(_part_key(plan, number), dump_checksummed(content))
    won = backend.put_if_absent(PLAN_FILE, dump_checksummed(plan.model_dump()))
    if won:
        return plan, True
    for number in range(plan.parts):
        backend.delete(_part_key(plan, number))
    return read_plan(backend), False


def find_plan(backend: Backend) -> Plan | None:
    """Returns the plan of a place, or None.

    Raises:
        Damaged: If it is not as it was written.
        FeatxError: If the place cannot be read, or the plan is of a later featx.
    """
    file = f"{backend.name}/{PLAN_FILE}"
    try:
        content = parse_checksummed(backend.get(PLAN_FILE), file)
        check_version(file, content.get("featx_plan"), PLAN_VERSION)
        return Plan.model_validate(content)
    except NotThere:
        return None
    except ValidationError as error:
        raise Damaged(f"{file}: {first_problem(error)}; make the store anew") from error


def read_plan(backend: Backend) -> Plan:
    """Returns the plan of a place.

    Raises:
        FeatxError: If there is none, or as `find_plan`.
    """
    plan = find_plan(backend)
    if plan is None:
        raise FeatxError(f"{backend.name}: has no plan; make one with featx plan INPUTS --to {backend.name}")
    return plan


def read_part(backend: Backend, plan: Plan, number: int) -> list[PlannedVideo]:
    """Returns the videos of a part.

    Raises:
        Damaged: If the list is not as it was written.
        FeatxError: If the place cannot be read.
    """
    key = _part_key(plan, number)
    content = parse_checksummed(backend.get(key), f"{backend.name}/{key}")
    return [PlannedVideo(**video) for video in content["videos"]]


def _part_key(plan: Plan, number: int) -> str:
    return f"{PLAN_FOLDER}/{plan.attempt}/part-{number:05d}.json"
