"""`featx manifest check` lists every problem of a file, each with its line."""

from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.manifest.videos import read_manifest

HEADER = (
    '{"featx_manifest": 1, "name": "x", "classes": {"wave": "waving", "Wave ": "b", "nap": "c", "jump": "d"}}'
)


def test_all_problems_are_listed_and_not_only_the_first(tmp_path: Path, featx) -> None:
    file = tmp_path / "m.jsonl"
    lines = [
        HEADER,
        '{"id": "a", "path": "a.mp4", "split": "train", "label": "wave"}',
        '{"id": "a", "path": "other.mp4", "split": "train", "label": "wave"}',
        '{"id": "b", "path": "./a.mp4", "split": "val", "label": "Wave "}',
        '{"id": "c", "path": "c.mp4", "split": "val", "label": "jumq"}',
        '{"id": "d", "pth": "d.mp4"}',
        "not json",
        '{"id": "e", "path": "e.mp4", "label": "jump"}',
    ]
    file.write_text("\n".join(lines))
    (tmp_path / "a.mp4").touch()
    outcome = featx("manifest", "check", file)
    assert outcome.code == 2 and "errors, listed above" in outcome.err
    for said in (
        f"error: {file}:3: id 'a' was used on line 2 already",
        f"error: {file}:4: './a.mp4' is in split 'val' and, on line 2, in 'train'",
        f"error: {file}:5: class 'jumq' is not in the header's class list; did you mean 'jump'",
        f"error: {file}:6: path: Field required",
        f"error: {file}:6: pth: ",
        f"error: {file}:7: ",
        f"error: {file}:1: class 'nap' has no video",
        f"warning: {file}:1: classes 'wave' and 'Wave ' differ by case",
        f"warning: {file}:1: class 'wave' has no video in split 'val'",
        f"warning: {file}: 1 videos are in no split",
        f"warning: {file}:8: no file",
    ):
        assert said in outcome.out, said
    short = featx("manifest", "check", file, "--limit", 1)
    assert short.out.count("error: ") == 2 and "more; --limit 0 lists all" in short.out


def test_a_file_in_two_splits_is_an_error_unless_allowed(tmp_path: Path, featx) -> None:
    head = '{"featx_manifest": 1, "name": "x", "classes": {"w": "w"}%s}\n'
    rows = '{"id": "a", "path": "a", "split": "train", "label": "w"}\n{"id": "b", "path": "a", "split": "test", "label": "w"}\n'
    file = tmp_path / "m.jsonl"
    file.write_text(head % "" + rows)
    with pytest.raises(FeatxError, match=":3: 'a' is in split 'test' and, on line 2, in 'train'"):
        read_manifest(file)
    assert featx("manifest", "check", file).code == 2
    allowed = featx("manifest", "check", file, "--allow-overlap")
    assert allowed.code == 0 and f"warning: {file}:3: 'a' is in split" in allowed.out
    file.write_text(head % ', "allow_overlap": true' + rows)
    assert len(read_manifest(file).videos) == 2
    assert featx("manifest", "check", file).code == 0


def test_an_empty_split_and_the_class_table(tmp_path: Path, featx) -> None:
    file = tmp_path / "m.jsonl"
    file.write_text(
        '{"featx_manifest": 1, "name": "x", "classes": {"w": "w"}}\n{"id": "a", "path": "a", "split": "train", "label": "w"}\n'
    )
    outcome = featx("manifest", "check", file, "--classes")
    assert outcome.code == 0 and "split 'test' is empty" in outcome.out
    table = [line.split() for line in outcome.out.splitlines()]
    assert ["class", "train"] in table and ["w", "1"] in table


def test_a_store_that_has_none_of_a_split_is_an_error(tmp_path: Path, featx) -> None:
    from synthetic import make_order_data, tiny_fingerprint

    make_order_data(tmp_path, tiny_fingerprint())
    file = tmp_path / "manifest.jsonl"
    with file.open("a") as lines:
        lines.write('{"id": "lost", "path": "lost", "split": "val", "label": "growing"}\n')
    assert featx("manifest", "check", file).code == 0
    outcome = featx("manifest", "check", file, "--store", tmp_path / "features")
    assert outcome.code == 2 and "the store has none of the 1 videos of split 'val'" in outcome.out


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"id": "a", "path": "a"}', '{"featx_manifest": 2, "name": "x"}']
)
def test_what_is_no_manifest_is_said_so(tmp_path: Path, featx, text: str) -> None:
    (tmp_path / "m.jsonl").write_text(text)
    assert featx("manifest", "check", tmp_path / "m.jsonl").code == 2
