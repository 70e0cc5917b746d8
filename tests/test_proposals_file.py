"""The proposals file: what is written is read again, other programs' forms are understood, and bad ones are named."""

import json
from pathlib import Path

import numpy as np
import pytest
from stores import fingerprint

from featx.errors import FeatxError
from featx.proposals import (
    Proposals,
    ProposalsFile,
    ProposalsHeader,
    check_made_for,
    read_proposals,
    write_proposals,
)


def some(seed: int, count: int) -> Proposals:
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, 50, count)
    return Proposals(starts, starts + rng.exponential(5, count), np.sort(rng.random(count))[::-1])


@pytest.mark.parametrize("ending", ["json", "parquet"])
def test_what_is_written_is_read(tmp_path: Path, ending: str) -> None:
    header = ProposalsHeader(made_by="me", split="test", fingerprint=fingerprint(), missing=["gone.mp4"])
    content = ProposalsFile(header, {"a.mp4": some(0, 7), "-b": some(1, 0), "c": some(2, 1)})
    file = tmp_path / f"proposals.{ending}"
    write_proposals(file, content)
    again = read_proposals(file)
    assert again.header == header and list(again.videos) == list(content.videos) and len(again) == 8
    for video_id, proposals in content.videos.items():
        for name in ("start_s", "end_s", "score"):
            np.testing.assert_array_equal(getattr(again.videos[video_id], name), getattr(proposals, name))


def write(file: Path, content: object) -> Path:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_other_programs_forms_are_read_and_put_in_order(tmp_path: Path) -> None:
    one = {"start_s": [1, 5.5], "end_s": [2, 9], "score": [0.2, 0.9]}
    results = {"a": [{"segment": [1, 2], "score": 0.2}, {"segment": [5.5, 9], "score": 0.9, "label": "x"}]}
    for content in ({"videos": {"a": one}}, {"version": "1.3", "results": results, "external_data": {}}):
        found = read_proposals(write(tmp_path / "other.json", content))
        assert found.header == ProposalsHeader() and found.header.made_by == "imported"
        assert found.videos["a"].start_s.tolist() == [5.5, 1] and found.videos["a"].score.tolist() == [
            0.9,
            0.2,
        ]


def test_a_plain_parquet_table_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = {"id": ["b", "a", "b"], "start_s": [0, 1, 2], "end_s": [1, 2, 3], "score": [0.1, 0.2, 0.3]}
    parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    found = read_proposals(tmp_path / "t.parquet").videos
    assert {video_id: p.start_s.tolist() for video_id, p in found.items()} == {"b": [2, 0], "a": [1]}
    del table["score"]
    parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises(FeatxError, match="lacks the column score"):
        read_proposals(tmp_path / "t.parquet")


ONE = {"start_s": [1.0], "end_s": [2.0], "score": [0.5]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ([], "no proposals: it needs 'videos'"),
        ({"videos": {}}, "has no videos"),
        ({"videos": {"a": {"start_s": [], "end_s": [], "score": []}}}, "none of its 1 videos has a proposal"),
        ({"videos": {"a": {"start_s": [1], "end_s": [2]}}}, "video 'a': needs the lists"),
        ({"videos": {"a": ONE | {"end_s": [0.5]}}}, "proposal 0: ends at 0.5 s, before it starts at 1 s"),
        ({"videos": {"a": ONE | {"end_s": []}}}, "1 start_s, 0 end_s and 1 score"),
        ('{"videos": {"a": {"start_s": [1], "end_s": [2], "score": [NaN]}}}', "score is nan"),
        ({"videos": {"a": ONE | {"score": [None]}}}, "not all are numbers"),
        ({"videos": {"a": ONE | {"score": ["0.5"]}}}, "not all are numbers"),
        ({"videos": {"a": ONE | {"score": [-1]}}}, "score is -1"),
        ({"results": {"a": [{"segment": [1], "score": 1}]}}, "results of 'a': each must have a segment"),
        ({"featx_proposals": 9, "videos": {"a": ONE}}, "schema version 9"),
        ({"featx_proposals": 1, "mad_by": "x", "videos": {"a": ONE}}, "header: mad_by"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: object, message: str) -> None:
    file = write(tmp_path / "bad.json", content)
    with pytest.raises(FeatxError) as error:
        read_proposals(file)
    assert str(error.value).startswith(str(file)) and message in str(error.value)


def test_endings_and_missing_files_are_named(tmp_path: Path) -> None:
    for name, message in (("p.csv", "must end in .json or .parquet"), ("no.json", "cannot read")):
        with pytest.raises(FeatxError, match=message):
            read_proposals(tmp_path / name)
    with pytest.raises(FeatxError, match="cannot read the proposals"):
        read_proposals(write(tmp_path / "bad.parquet", "no parquet"))


def test_proposals_of_another_split_are_refused(tmp_path: Path) -> None:
    header = ProposalsHeader(data_set="thumos14", split="test")
    check_made_for("--proposals", tmp_path, header, "thumos14", "test")
    check_made_for(
        "--proposals", tmp_path, header, "of-my-own", "val"
    )  # splits of others are named otherwise
    check_made_for("--proposals", tmp_path, ProposalsHeader(), "thumos14", "val")
    with pytest.raises(FeatxError, match="made for split 'test' of thumos14, not 'val'"):
        check_made_for("--proposals", tmp_path, header, "thumos14", "val")
