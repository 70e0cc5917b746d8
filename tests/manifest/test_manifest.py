"""A manifest survives writing and reading, and says on which line it is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.errors import FeatxError
from featx.manifest.videos import Header, Manifest, Segment, Video, read_manifest, write_manifest

LABELS = {"wave": "waving", "jump": "jumping"}
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)
videos = st.lists(
    st.builds(
        Video,
        id=names,
        path=names,
        split=st.sampled_from(["", "train", "test"]),
        label=st.sampled_from([None, *LABELS]),
        segments=st.lists(
            st.builds(
                Segment, start_s=st.floats(0, 9), end_s=st.floats(9, 99), label=st.sampled_from([*LABELS])
            ),
            max_size=2,
        ),
        captions=st.lists(st.text(max_size=20), max_size=2),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda video: video.id,
)


@given(videos)
def test_written_manifest_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Video]
) -> None:
    file = tmp_path_factory.mktemp("manifest") / "m.jsonl"
    write_manifest(Manifest(Header(name="x", classes=LABELS, allow_overlap=True), rows, file))
    manifest = read_manifest(file)
    assert manifest.videos == rows
    assert manifest.labels == list(LABELS)


HEADER = '{"featx_manifest": 1, "name": "x", "classes": {"wave": "waving"}}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (HEADER, "no videos"),
        (HEADER + '{"id": "a", "path": "a.mp4"}\n{"id": 3}\n', ":3: id"),
        (HEADER + "not json\n", ":2: "),
        (HEADER + '{"id": "a", "path": "a"}\n{"id": "a", "path": "b"}\n', ":3: id 'a' was used on line 2"),
        (HEADER + '{"id": "a", "path": "a", "label": "Wave"}\n', ":2: class 'Wave' .* did you mean 'wave'"),
        (HEADER + '{"id": "a", "path": "a", "lable": "wave"}\n', ":2: lable: .* did you mean 'label'"),
        ('{"featx_manifest": 2, "name": "x"}\n', "schema version 2"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "m.jsonl"
    file.write_text(text)
    with pytest.raises(FeatxError, match=says):
        read_manifest(file)


def test_an_absent_split_is_an_error_that_lists_the_present_ones(tmp_path: Path) -> None:
    manifest = Manifest(Header(name="x"), [Video(id="a", path="a", split="train")], tmp_path / "m.jsonl")
    assert [video.id for video in manifest.split("train")] == ["a"]
    with pytest.raises(FeatxError, match="no video in split 'test'; it has train"):
        manifest.split("test")


def test_a_class_that_stands_in_the_header_twice_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "twice.jsonl"
    file.write_text(
        '{"featx_manifest": 1, "name": "x", "classes": {"run": "run", "walk": "walk", "run": "run fast"}}\n'
        '{"id": "a", "path": "a.mp4", "split": "train", "label": "run"}\n'
    )
    with pytest.raises(FeatxError, match=r"twice.jsonl:1: 'run' stands there twice"):
        read_manifest(file)
