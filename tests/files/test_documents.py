"""Versioned files: one message for another version, one for content that is not what it must be."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from featx.errors import FeatxError
from featx.files.documents import check_version, validate, version_problem

FILE = Path("a.json")


class Inner(BaseModel):
    width: int


class Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner


def test_versions() -> None:
    assert version_problem(1, 1) is None and version_problem(2, 1, 2) is None
    check_version(FILE, 2, 1, 2)
    with pytest.raises(FeatxError, match=r"^a\.json: schema version 3; this featx reads version 2$"):
        check_version(FILE, 3, 2)
    with pytest.raises(FeatxError, match="schema version None; this featx reads versions 1 and 2"):
        check_version(FILE, None, 1, 2)


def test_the_first_problem_is_named_with_its_place_and_the_way_out() -> None:
    assert validate(FILE, Content, {"inner": {"width": 3}}, "make it again").inner.width == 3
    with pytest.raises(FeatxError, match=r"^a\.json: inner\.width: .* valid integer.*; make it again$"):
        validate(FILE, Content, {"inner": {"width": "x"}}, "make it again")
    with pytest.raises(FeatxError, match=r"^a\.json: header: inner: Field required; make it again$"):
        validate(FILE, Content, {}, "make it again", "header")
