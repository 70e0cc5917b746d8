"""What may be asked, as types: they check a request's parameters and describe them in the OpenAPI document."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..search.exact.settings import SearchLevel
from .engine import Wanted

LONGEST_TEXT = 2000  # characters
MOST_HITS = 1000


class Query(BaseModel):
    """What every request's parameters share: unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class OneVideo(Query):
    """A video of the store."""

    video: str = Field(min_length=1, max_length=LONGEST_TEXT, description="Id of a video of the store.")


class OneFrame(OneVideo):
    """A frame of a video."""

    time_s: float = Field(
        description="When it is shown, in seconds on the file's timeline, as the store says it."
    )
    height: int = Field(160, ge=16, le=1080, description="Of the picture in pixels.")


class OnePart(OneVideo):
    """A part of a video."""

    first_row: int = Field(ge=0, description="First row within the video.")
    rows: int = Field(ge=1, description="How many rows.")


class Listing(Query):
    """A page of the list of videos."""

    find: str = Field(
        "", max_length=LONGEST_TEXT, description="Only ids that hold this text; case does not matter."
    )
    offset: int = Field(0, ge=0, description="How many to pass over.")
    limit: int = Field(100, ge=1, le=MOST_HITS, description="How many at most.")


class Filter(Query):
    """What is searched, and how much of the answer is wanted."""

    level: SearchLevel = Field(
        "moments", description="Moments (with start and end), whole videos, or single frames."
    )
    top: int = Field(20, ge=1, le=MOST_HITS, description="Number of results.")
    min_score: float | None = Field(
        None, ge=-1, le=1, description="Leave out results with a lower score (a cosine)."
    )
    folder: str = Field(
        "", max_length=LONGEST_TEXT, description="Only videos whose id begins with this folder."
    )
    min_length_s: float = Field(0, ge=0, description="Only videos that are at least so long.")
    max_length_s: float | None = Field(None, ge=0, description="Only videos that are at most so long.")

    def wanted(self) -> Wanted:
        """Returns what the engine is asked for."""
        longest = float("inf") if self.max_length_s is None else self.max_length_s
        return Wanted(self.level, self.top, self.min_score, self.folder, self.min_length_s, longest)


class Search(Filter):
    """A query by a sentence, or by a frame of a video of the store."""

    q: str = Field("", max_length=LONGEST_TEXT, description="Sentence to look for.")
    minus: str = Field(
        "",
        max_length=LONGEST_TEXT,
        description="Sentence that is taken away: what is compared is the difference of both features.",
    )
    like: str = Field("", max_length=LONGEST_TEXT, description="In the place of q: id of a video.")
    like_s: float = Field(0, description="With like: the time of its frame in seconds.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Search:
        if bool(self.q.strip()) == bool(self.like):
            raise ValueError("give either q, a sentence, or like, the id of a video")
        if self.minus and not self.q.strip():
            raise ValueError("minus goes with q")
        return self


class Curve(Search):
    """A query, and the video whose rows are compared with it."""

    video: str = Field(min_length=1, max_length=LONGEST_TEXT, description="Id of a video of the store.")


class NewLabel(OneVideo):
    """A part of a video, and its class."""

    start_s: float = Field(ge=0, description="Where it begins, in seconds on the store's timeline.")
    end_s: float = Field(gt=0, description="Where it ends.")
    label: str = Field(min_length=1, max_length=200, pattern=r"\S", description="Class.")


class OneLabel(Query):
    """A label."""

    id: str = Field(min_length=1, description="Id of the label.")


Asked = TypeVar("Asked", bound=Query)


def ask(model: type[Asked], request: Request) -> Asked:
    """Reads a request's parameters.

    Raises:
        HTTPException: With status 400, naming the parameter.
    """
    given: dict[str, Any] = dict(request.query_params)
    try:
        return model(**given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise HTTPException(400, f"{place}: {said}" if place else said) from None
