"""Lists, one entry a line, and JSON files as editors and other programs write them."""

from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.files.atomic import read_list
from featx.files.plain_json import read_plain_json


def test_marks_and_comments_are_no_entries_and_names_are(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    lines = [
        "first",
        "# a comment",
        "#",
        "",
        "  #437_Ride_A_Bike.avi ",
        "#hashtag",
        "a\u2028b # c",
        "\t# too",
    ]
    for end in ("\n", "\r\n"):
        file.write_bytes(end.join(lines).encode("utf-8-sig"))
        entries = {1: "first", 5: "#437_Ride_A_Bike.avi", 6: "#hashtag", 7: "a\u2028b # c"}
        assert read_list(file, "--list", "video") == entries
    file.write_text("# nothing else\n")
    with pytest.raises(FeatxError, match="--list .*: names no video"):
        read_list(file, "--list", "video")


def test_json_with_a_mark_and_with_a_key_twice(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"a": [1, {"b": 2}]}', encoding="utf-8-sig")
    assert read_plain_json(file) == {"a": [1, {"b": 2}]}
    for text, says in (
        ('{"a": [{"b": 1, "b": 2}]}', "--x .*: 'b' stands twice in one object"),
        (" ", "--x .*: empty"),
        ("[" * 100_000, "--x .*: cannot read it as JSON"),
    ):
        file.write_text(text)
        with pytest.raises(FeatxError, match=says):
            read_plain_json(file, "--x")
