"""Values of ``name=value`` words keep the type that JSON says; what looks like another type is refused, not taken as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.errors import FeatxError
from featx.named_values import parse_named_values

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), SCALARS))
def test_json_comes_back(values: dict[str, object]) -> None:
    read = parse_named_values(
        [f"{name}={json.dumps(value)}" for name, value in values.items()], "--model-option"
    )
    assert read == values and all(type(read[name]) is type(value) for name, value in values.items())


def test_bare_words_are_text() -> None:
    assert parse_named_values(["pool=mean", "file=a=b.txt", "empty="], "--x") == {"pool": "mean", "file": "a=b.txt", "empty": ""}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hidden"], "must be name=value"),
        (["a b=3"], "must be name=value"),
        (["hidden=1", "hidden=2"], "hidden is given twice"),
        (["bias=True"], "write true"),
        (["bias=None"], "write null"),
        (["rate=.5"], "no number of JSON"),
        (["rate=1e"], "no number of JSON"),
        (["rate=inf"], "no number of JSON"),
        (["rate=NaN"], "must be a number"),
        (["rate=1e999"], "must be a number"),
        (["sizes=[1, 2]"], "must be a number, text, true, false or null"),
        (['sizes={"a": 1}'], "must be a number, text, true, false or null"),
    ],
)
def test_what_is_no_scalar_is_named(words: list[str], said: str) -> None:
    with pytest.raises(FeatxError, match=f"--model-option {words[-1].split('=')[0]}.*{said}"):
        parse_named_values(words, "--model-option")
