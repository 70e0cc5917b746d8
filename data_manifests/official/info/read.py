"""Reads what is known of a data set: official counts, class texts, names of the official files."""

from __future__ import annotations

import tomllib
from importlib import resources

from pydantic import BaseModel, ConfigDict


class Exclusion(BaseModel):
    """A rule by which official videos are left out.

    Attributes:
        videos: Their names, without ending.
        source: Who does it.
    """

    model_config = ConfigDict(extra="forbid")

    videos: list[str]
    source: str


class DatasetInfo(BaseModel):
    """What is known of a data set without its files.

    Attributes:
        name: Name in manifests and tables.
        class_count: Official number of classes; 0 where videos have captions instead.
        class_text: Rule that makes a class's text from its label, see `names.TEXT_RULES`.
        class_texts: Texts that do not follow the rule.
        ending: Ending of the videos in the official copy.
        test_split: Split that results are reported on.
        counts: Number of the split (1 where there is one only) to split to official number of videos.
        instances: Localisation: split to official number of instances.
        captions: Split to official number of captions.
        files: Split to the names that its official file goes by.
        odd_videos: Official name of a video to what is wrong with it.
        exclusions: Rules by which videos are left out, by name; the first is the default.
        notes: What whoever uses the data set should know.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    class_count: int = 0
    class_text: str = "as-is"
    class_texts: dict[str, str] = {}
    ending: str
    test_split: str
    counts: dict[int, dict[str, int]] = {}
    instances: dict[str, int] = {}
    captions: dict[str, int] = {}
    files: dict[str, list[str]] = {}
    odd_videos: dict[str, str] = {}
    exclusions: dict[str, Exclusion] = {}
    notes: list[str] = []


def read_dataset_info(name: str) -> DatasetInfo:
    """Returns what featx knows of a data set, by its name."""
    text = resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return DatasetInfo(**tomllib.loads(text))
