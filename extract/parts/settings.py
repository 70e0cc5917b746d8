"""The settings of `featx work`, and what of an extraction's settings a plan fixes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from featx.help_pages import Panel, Panels

from ..plan.settings import ExtractSettings, MachineSettings

# Of `ExtractSettings`: how a machine computes, not what.
OF_A_MACHINE = {*MachineSettings.model_fields, "stats", "shard_mib", "commit_seconds", "max_failures"}
# How videos are found and divided: that is done when a plan is made.
OF_THE_PLANNER = {"part_frames", "check", "follow_links", "hidden", "also", "retry_kept"}
# What the features of a whole store have in common.
DECIDES_VALUES = {
    *("model", "precision", "preprocess", "channel_order", "dtype", "format"),
    *("fps", "every", "frames", "keyframes", "stream", "square_pixels", "deinterlace", "decode_hwaccel"),
}


class WorkSettings(MachineSettings):
    """How one machine works on the parts of a plan."""

    panels: ClassVar[Panels] = {
        Panel.DATA: "part_slice engine address",
        Panel.RARE: "backup_after",
    }

    part_slice: str | None = Field(
        None,
        description="Work on every N-th part only, from the I-th on, given as I/N. For Slurm arrays: "
        "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT. Without it, machines choose parts that nobody works on.",
    )
    backup_after: float = Field(
        600.0,
        gt=0,
        description="Do a part that another machine works on, too, once that takes longer than this many seconds and "
        "than twice the usual time. The first one to finish counts.",
    )

    @field_validator("part_slice")
    @classmethod
    def _check_slice(cls, given: str | None) -> str | None:
        if given is not None:
            part_of_slice(given)
        return given


def part_of_slice(given: str) -> tuple[int, int]:
    """Returns I and N of ``I/N``; I counts from 0 or from 1, as the numbers of Slurm's arrays do.

    Raises:
        ValueError: If it is not of that form.
    """
    first, slash, count = given.partition("/")
    if not (
        slash and first.isdecimal() and count.isdecimal() and int(count) > 0 and int(first) <= int(count)
    ):
        raise ValueError("must be I/N, such as 0/8 for the first of eight")
    return int(first) % int(count), int(count)


def settings_of_plan(settings: ExtractSettings) -> dict[str, Any]:
    """Returns what a plan fixes: all that decides what the features are; a checkpoint by its absolute path."""
    fixed = {
        name: value
        for name, value in settings.model_dump(mode="json").items()
        if name not in OF_A_MACHINE | OF_THE_PLANNER
    }
    scheme, colon, file = settings.model.rpartition(":")
    if Path(file).is_file():
        fixed["model"] = f"{scheme}{colon}{Path(file).absolute()}"
    return fixed


def settings_of_machine(plan: dict[str, Any], own: WorkSettings) -> ExtractSettings:
    """Returns the settings with which a machine extracts the plan's videos."""
    mine = own.model_dump(exclude={"part_slice", "engine", "address", "backup_after"})
    return ExtractSettings(**plan, **mine)
