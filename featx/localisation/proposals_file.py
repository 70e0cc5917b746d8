"""The proposals file: when something may happen in each video, and how sure that is. Classes are not in it.

It is JSON or Parquet, by its ending (docs/proposals.md). What other detectors write can be read too: the same form
without a header, and ActivityNet's proposal JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from featx.errors import FeatxError
from featx.files.atomic import write_atomically
from featx.files.digest import KEY, check_digest, json_with_digest, note_without
from featx.files.documents import check_version, validate
from featx.files.plain_json import read_plain_json
from featx.localisation.activitynet_json import parse_results
from featx.store.schema import Fingerprint
from featx.video.names import find_videos, refuse_few

SCHEMA_VERSION = 1
ENDINGS = (".json", ".parquet")
COLUMNS = ("start_s", "end_s", "score")
HEADER_WORDS = (b'"featx_proposals"', b'"fingerprint"', b'"sha256"')
WAY_OUT = "make it again with featx propose"
GROUND_TRUTH = "ground-truth"  # said instead of a file: the annotated segments themselves
# How proposals become detections where nobody says otherwise (featx.localisation.fuse.fuse).
PROPOSAL_WEIGHT, TOP_CLASSES = 0.5, 2


@dataclass(frozen=True)
class Proposals:
    """The N proposals of one video.

    Attributes:
        start_s: (N,) float64 seconds; of other programs also a little below 0.
        end_s: (N,) float64 seconds, not before `start_s`.
        score: (N,) float64, larger is surer, not negative.
    """

    start_s: np.ndarray
    end_s: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def choose(self, chosen: np.ndarray) -> Proposals:
        """Returns some of them, by index or by a mask."""
        return Proposals(self.start_s[chosen], self.end_s[chosen], self.score[chosen])


class ProposalsHeader(BaseModel):
    """What a file says of itself.

    Attributes:
        featx_proposals: Schema version.
        made_by: What made them, such as the run's folder.
        data_set: Name of the manifest that the videos were taken from.
        split: Of that manifest.
        fingerprint: Of the features that they were found in; None if they come from elsewhere.
        settings: How they were found and chosen.
        missing: Ids of the split's videos that have no features, and so no proposals.
    """

    model_config = ConfigDict(extra="forbid")

    featx_proposals: int = SCHEMA_VERSION
    made_by: str = "imported"
    data_set: str = ""
    split: str = ""
    fingerprint: Fingerprint | None = None
    settings: dict[str, Any] = {}
    missing: list[str] = []


@dataclass(frozen=True)
class ProposalsFile:
    """A header, and the proposals of each video, the best first; a video may have none."""

    header: ProposalsHeader
    videos: dict[str, Proposals]

    def __len__(self) -> int:
        return sum(len(proposals) for proposals in self.videos.values())


def check_ending(file: Path, flag: str = "") -> None:
    """Refuses a file that is neither JSON nor Parquet by its name, or Parquet without pyarrow.

    Args:
        file: The file.
        flag: The option that names it, for messages.

    Raises:
        FeatxError: Naming the file, and the flag if one is given.
    """
    place = f"{flag} {file}".strip()
    if file.suffix not in ENDINGS:
        raise FeatxError(f"{place}: must end in {' or '.join(ENDINGS)}")
    if file.suffix == ".parquet":
        _pyarrow(place)


def write_proposals(file: Path, content: ProposalsFile) -> None:
    """Writes a proposals file, whole or not at all.

    Raises:
        FeatxError: If it cannot be written, or what it should hold is not valid.
    """
    check_ending(file)
    for video_id, proposals in content.videos.items():
        _check(file, video_id, proposals)
    encoded = _to_parquet(file, content) if file.suffix == ".parquet" else _to_json(content)
    try:
        write_atomically(file, encoded)
    except OSError as error:
        raise FeatxError(f"{file}: cannot write it ({error.strerror})") from error


def read_proposals(file: Path) -> ProposalsFile:
    """Reads proposals of featx or of another program; each video's are put in descending order of score.

    Raises:
        FeatxError: If it is none of the forms, holds nothing, or a proposal is not valid.
    """
    check_ending(file, "proposals")
    header, columns = _from_parquet(file) if file.suffix == ".parquet" else _from_json(file)
    if not columns:
        raise FeatxError(f"{file}: has no videos, so no proposals")
    videos = {}
    for video_id, values in columns.items():
        proposals = Proposals(*values)
        _check(file, video_id, proposals)
        videos[video_id] = proposals.choose(np.argsort(-proposals.score, kind="stable"))
    if not any(len(proposals) for proposals in videos.values()):
        raise FeatxError(f"{file}: none of its {len(videos)} videos has a proposal")
    return ProposalsFile(header, videos)


def find_proposals(
    content: ProposalsFile, asked: Sequence[str], others: Iterable[str], place: str
) -> tuple[dict[str, Proposals], list[str]]:
    """Returns the proposals of each video that a file has, by its id, and the file's names of further videos.

    Args:
        content: Of the file.
        asked: Ids that are looked for.
        others: Ids of further videos that the file may name.
        place: Flag and file, for messages.

    Raises:
        FeatxError: If it has less than half of the videos, or two names for one.
    """
    ids = find_videos(content.videos, asked, others, place)
    # what featx itself lists as missing was looked for under the right name
    known = find_videos([*ids, *content.header.missing], asked, others, place)
    refuse_few(known, asked, content.videos, place)
    found = {video_id: content.videos[name] for name, video_id in ids.items()}
    return found, [name for name in content.videos if name not in ids]


def check_made_for(flag: str, file: Path, header: ProposalsHeader, data_set: str, split: str) -> None:
    """Refuses proposals that were made for another split of the same data set.

    Raises:
        FeatxError: Naming both splits.
    """
    if header.split and header.data_set == data_set and header.split != split:
        raise FeatxError(
            f"{flag} {file}: made for split '{header.split}' of {data_set}, not '{split}'; give the file of that split, or "
            f"make it with featx propose --split {split}"
        )


def _check(file: Path, video_id: str, proposals: Proposals) -> None:
    start_s, end_s, score = proposals.start_s, proposals.end_s, proposals.score
    if not len(start_s) == len(end_s) == len(score):
        raise FeatxError(
            f"{file}: video '{video_id}' has {len(start_s)} start_s, {len(end_s)} end_s and {len(score)} score; "
            "each proposal needs all three"
        )
    for name, values, wrong in (
        ("start_s", start_s, ~np.isfinite(start_s)),
        ("end_s", end_s, ~np.isfinite(end_s)),
        ("score", score, ~np.isfinite(score)),
        ("score", score, score < 0),
    ):
        if wrong.any():
            place = int(wrong.argmax())
            needs = "a finite number, not below 0" if name == "score" else "a finite number"
            raise FeatxError(
                f"{file}: video '{video_id}', proposal {place}: {name} is {values[place]:g}; it must be {needs}"
            )
    wrong = end_s < start_s
    if wrong.any():
        place = int(wrong.argmax())
        raise FeatxError(
            f"{file}: video '{video_id}', proposal {place}: ends at {end_s[place]:g} s, before it starts at "
            f"{start_s[place]:g} s"
        )


def _to_json(content: ProposalsFile) -> bytes:
    videos = {
        video_id: {name: getattr(proposals, name).tolist() for name in COLUMNS}
        for video_id, proposals in content.videos.items()
    }
    return json_with_digest({**content.header.model_dump(mode="json"), "videos": videos})


def _from_json(file: Path) -> tuple[ProposalsHeader, dict[str, list[np.ndarray]]]:
    content = read_plain_json(file)
    if isinstance(content, dict) and KEY in content:
        check_digest(file, file.read_bytes(), WAY_OUT)
    if isinstance(content, dict) and isinstance(content.get("results"), dict):
        return ProposalsHeader(), {
            video_id: [getattr(found, name) for name in COLUMNS]
            for video_id, found in parse_results(content, str(file), labelled=False).items()
        }
    if not isinstance(content, dict) or not isinstance(content.get("videos"), dict):
        raise FeatxError(
            f"{file}: no proposals: it needs 'videos' ({{id: {{start_s, end_s, score}}}}), or 'results' as ActivityNet's"
        )
    videos = content.pop("videos")
    return _header(file, content), {
        video_id: _columns(file, video_id, entry) for video_id, entry in videos.items()
    }


def _columns(file: Path, video_id: str, entry: Any) -> list[np.ndarray]:
    try:
        return [_numbers(entry[name]) for name in COLUMNS]
    except (KeyError, TypeError, ValueError) as error:
        raise FeatxError(
            f"{file}: video '{video_id}': needs the lists start_s, end_s and score, all of numbers ({error!r})"
        ) from error


def _numbers(values: Iterable[Any]) -> np.ndarray:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iuf":  # NumPy would take strings, and None for NaN
        raise ValueError("not all are numbers")
    return array.astype(np.float64)


def _header(file: Path, content: dict[str, Any]) -> ProposalsHeader:
    if "featx_proposals" not in content:
        return ProposalsHeader()  # another program's, whatever else it says
    check_version(file, content["featx_proposals"], SCHEMA_VERSION)
    if content.pop(KEY, None) is None:
        note_without(file)
    return validate(file, ProposalsHeader, content, "see docs/proposals.md", "header")


def _pyarrow(place: str) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet  # noqa: F401 - used as pyarrow.parquet by those who call this
    except ImportError as error:
        raise FeatxError(
            f"{place}: needs pyarrow, which is not installed; install it with: pip install 'featx[parquet]', or take .json"
        ) from error
    return pyarrow


def _to_parquet(file: Path, content: ProposalsFile) -> bytes:
    pyarrow = _pyarrow(str(file))
    ids = [video_id for video_id, proposals in content.videos.items() for _ in range(len(proposals))]
    columns = {
        name: np.concatenate([np.empty(0), *(getattr(p, name) for p in content.videos.values())])
        for name in COLUMNS
    }
    table = pyarrow.table({"id": pyarrow.array(ids, pyarrow.string()), **columns})
    about = {
        **content.header.model_dump(mode="json"),
        "ids": list(content.videos),  # also those without any
        KEY: _digest(content),
    }
    table = table.replace_schema_metadata({"featx": json.dumps(about)})
    encoded = io.BytesIO()
    pyarrow.parquet.write_table(table, encoded)
    return encoded.getvalue()


def _digest(content: ProposalsFile) -> str:
    """Returns a digest of what a file says, since Parquet has no place for one of its bytes."""
    return hashlib.sha256(_to_json(content)).hexdigest()


def _parquet_header(file: Path, metadata: dict[bytes, bytes]) -> bytes:
    if b"featx" not in metadata and any(word in file.read_bytes() for word in HEADER_WORDS):
        raise ValueError("its header is damaged")
    return metadata.get(b"featx", b"{}")


def _from_parquet(file: Path) -> tuple[ProposalsHeader, dict[str, list[np.ndarray]]]:
    pyarrow = _pyarrow(str(file))
    try:
        table = pyarrow.parquet.read_table(file)
        about = json.loads(_parquet_header(file, table.schema.metadata or {}))
        if not isinstance(about, dict):
            raise ValueError("its header is no JSON object")
        listed = about.pop("ids", [])
        stated = about.get(KEY)
        ids = np.asarray(table["id"].to_pylist() if "id" in table.column_names else [], dtype=object)
    except (OSError, ValueError, TypeError, pyarrow.ArrowException) as error:
        raise FeatxError(f"{file}: cannot read the proposals ({error}); {WAY_OUT}") from error
    lacking = {"id", *COLUMNS} - set(table.column_names)
    if lacking:
        raise FeatxError(f"{file}: lacks the column {sorted(lacking)[0]}; it needs id, {', '.join(COLUMNS)}")
    try:
        columns = [_numbers(table[name].to_numpy()) for name in COLUMNS]
    except (ValueError, pyarrow.ArrowException) as error:
        raise FeatxError(f"{file}: start_s, end_s and score must be numbers ({error})") from error
    places: dict[str, list[int]] = {video_id: [] for video_id in listed}
    for place, video_id in enumerate(ids):
        places.setdefault(video_id, []).append(place)
    header = _header(file, about)
    videos = {
        video_id: [column[rows] for column in columns] if rows else [np.empty(0)] * 3
        for video_id, rows in places.items()
    }
    if stated is not None:
        content = ProposalsFile(header, {video_id: Proposals(*values) for video_id, values in videos.items()})
        if stated != _digest(content):
            raise FeatxError(
                f"{file}: damaged, or changed since it was written (its digest is wrong); {WAY_OUT}"
            )
    return header, videos
