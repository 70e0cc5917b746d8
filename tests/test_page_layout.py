"""The layout of a help page: nothing is cut, nothing is wider than the page, and a shell reads a broken example as one line."""

import re
import shlex

from hypothesis import given
from hypothesis import strategies as st

from featx.page_layout import Rows, continued, lay_out

WORDS = st.text("abc-,.:", min_size=1, max_size=12)
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)
ROWS = st.lists(st.tuples(st.text("-abc<>", min_size=1, max_size=38), TEXTS), max_size=5)
SECTIONS = st.dictionaries(st.text("ABC", min_size=1), ROWS, max_size=3)


@given(TEXTS, SECTIONS, st.integers(50, 120))
def test_every_word_is_there_whole_and_every_line_fits(
    text: str, sections: dict[str, Rows], width: int
) -> None:
    page = lay_out("featx it", text, sections, [], width)
    assert all(len(line) <= width for line in page.splitlines())
    expected = ["Usage:", "featx", "it", *text.split()]
    for heading, rows in sections.items():
        if rows:
            expected.append(f"{heading}:")
            expected += [word for name, about in rows for word in (name, *about.split())]
    assert page.split() == expected


def test_names_stand_beside_their_texts_and_long_ones_above() -> None:
    rows = [("--to <path>", "Where it goes."), ("--" + "x" * 40, "Rare."), ("-h, --help", "Help.")]
    page = lay_out("featx", "", {"Options": rows, "Empty": []}, [], 80)
    assert page == (
        "Usage: featx\n\nOptions:\n"
        "  --to <path>  Where it goes.\n"
        f"  --{'x' * 40}\n"
        "               Rare.\n"
        "  -h, --help   Help."
    )


OPTIONS = st.tuples(st.text("abc", min_size=1, max_size=9), st.text("abc/. ", max_size=15)).map(
    lambda option: f"--{option[0]} {shlex.quote(option[1])}"
)


@given(st.lists(OPTIONS, max_size=8), st.integers(30, 90))
def test_a_shell_reads_a_broken_example_as_one_line(options: list[str], width: int) -> None:
    example = " ".join(["featx extract videos", *options])
    lines = continued(example, width)
    assert shlex.split(re.sub(r"\\\n", "", "\n".join(lines))) == shlex.split(example)
    assert len(lines) == 1 or all(len(line) <= max(width, 36) for line in lines)
    assert (len(lines) == 1) == (len(example) <= width or not options)
