"""The proposals file: what is written is read again, other programs' forms are understood, and bad ones are named."""

import json
from pathlib import Path

import numpy as np
import pytest
from stores import fingerprint

from featx.errors import FeatxError
from featx.localisation.proposals_file import (
    Proposals,
    ProposalsFile,
    ProposalsHeader,
    check_made_for,
    find_proposals,
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


def test_what_other_programs_write_before_the_first_second_and_as_text(tmp_path: Path) -> None:
    """As the official program reads it: float() of each second; a byte-order mark is no part of the file."""
    results = {"a": [{"segment": ["-0.3", "12.5"], "score": 0.5}, {"segment": [-0.3, 1], "score": 0.25}]}
    columns = {"start_s": [-0.3, -0.3], "end_s": [12.5, 1], "score": [0.5, 0.25]}
    for content in ({"results": results}, {"videos": {"a": columns}}):
        (tmp_path / "bom.json").write_text(json.dumps(content), encoding="utf-8-sig")
        found = read_proposals(tmp_path / "bom.json").videos["a"]
        assert found.start_s.tolist() == [-0.3, -0.3] and found.end_s.tolist() == [12.5, 1]


def test_names_mean_one_of_the_videos_and_half_of_them_are_needed() -> None:
    asked, others = ["test/000.mp4", "test/v_b.mp4", "test/c.webm"], ["train/000.mp4", "train/d.mp4"]

    def find(*names: str, missing: tuple[str, ...] = ()):
        header = ProposalsHeader(missing=list(missing))
        content = ProposalsFile(header, {name: some(n, 2) for n, name in enumerate(names)})
        found, further = find_proposals(content, asked, others, "--proposals p.json")
        return {
            video_id: found[video_id] is content.videos[names[n]] for n, video_id in enumerate(found)
        }, further

    assert find("b", "c") == ({"test/v_b.mp4": True, "test/c.webm": True}, [])
    assert find("test/000.mp4", "v_b", "train/000.mp4", "d", "?")[1] == ["train/000.mp4", "d", "?"]
    for names, message in (
        (["000", "c"], "has only 1 of the 3 videos that are asked for"),  # two videos are called 000
        (["x"], "has none of the 3 videos that are asked for, which is less than half: it lacks 'test/000.mp4' and names 'x'"),
        (["b", "c", "v_b"], "'b' and 'v_b' both mean video 'test/v_b.mp4'"),
    ):  # fmt: skip
        with pytest.raises(FeatxError) as error:
            find(*names)
        assert str(error.value).startswith("--proposals p.json: ") and message in str(error.value)
    assert find("c", missing=("test/000.mp4",)) == ({"test/c.webm": True}, [])  # looked for by its right name


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
        ("{", "cannot read it as JSON"),
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
        (
            {"results": {"a": [{"segment": [1], "score": 1}]}},
            "video 'a', proposal 0: its segment must be [start, end] in seconds, not [1]",
        ),
        ('{"videos": {"a": 1, "b": 2, "a": 3}}', "'a' stands twice in one object"),
        ('{"results": {"a": [], "a": [{"segment": [1, 2], "score": 1}]}}', "'a' stands twice in one object"),
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
