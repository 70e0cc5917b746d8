"""Lines fit the terminal, and are as they are without one."""

from hypothesis import given
from hypothesis import strategies as st

from featx.output.terminal import UNLIMITED, fitted, terminal_width

WORDS = st.lists(st.text("abc/-.=", min_size=1, max_size=60), min_size=1, max_size=20)


@given(WORDS, st.integers(0, 20), st.integers(40, 120))
def test_lines_fit_and_no_word_is_broken(words: list[str], hanging: int, width: int) -> None:
    lines = fitted(" ".join(words), hanging, width).split("\n")
    assert " ".join(lines).split() == words
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)
    assert all(line.startswith(" " * hanging) for line in lines[1:])


def test_a_name_stays_in_front_of_what_is_said_of_it() -> None:
    line = "features   model tiny, preprocess clip-exact"
    assert fitted(line, 11, 32) == "features   model tiny,\n           preprocess clip-exact"


def test_without_a_terminal_nothing_is_broken(capfd) -> None:
    assert terminal_width() == UNLIMITED
    assert fitted("word " * 500) == "word " * 500
