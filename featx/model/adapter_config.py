"""What an adapter is made of; without torch, because settings are checked with it before anything is loaded."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from featx.clip.choices import Layout
from featx.model.code.record import ModelCode

PLAIN_TEMPLATE = "a video of a {}"
TEMPERATURE = 0.07  # method: logits = cos / 0.07; the model's own scale is an option


class AdapterParts(BaseModel):
    """What an adapter is made of, as far as settings say it; `docs/adapter.md` says what each is."""

    model_config = ConfigDict(extra="forbid")

    task: Literal["recognition", "localisation", "retrieval"] = Field(
        default="recognition", description="What it is for."
    )
    prompts: int = Field(
        default=16,
        ge=0,
        le=37,
        description="Number k of learned prompt vectors before the class name or sentence, and as many after "
        "it. 0: no prompts. The default for retrieval is 4.",
    )
    layout: Layout = Field(
        default="sequence",
        description="Where a prompt vector belongs. sequence: to its place in the sequence of prompts, as in "
        "the paper. positional: to one of the 77 text positions, as in the authors' released "
        "code.",
    )
    suffix: bool = Field(
        default=True,
        description="Put prompts after the class name too (k+X+k). Without a suffix (k+X+0) a step is much "
        "cheaper.",
    )
    layers: int = Field(
        default=2,
        ge=0,
        le=4,
        description="Number of layers of the temporal Transformer. 0: none, a video is the mean of its "
        "frames.",
    )
    positions: bool | None = Field(  # never None once it is made
        default=None,
        description="Learn position embeddings of the frames of a clip. By default they are learned only "
        "with --layers of at least 1.",
    )
    heads: int = Field(default=8, ge=1, description="Number of attention heads of the temporal Transformer.")
    template: str | None = Field(
        default=None,
        description="Text around a class name, with {} for the name. The default is the name alone, and 'a "
        "video of a {}' with --prompts 0.",
    )
    clip_frames: int = Field(default=16, ge=1, description="Number of rows (frames) in a clip.")
    background: str | None = Field(
        default=None,
        description="Localisation: text of the background, a class of its own that no detection is of; with --proposals "
        "'background' is the default.",
    )

    @model_validator(mode="after")
    def _positions_with_layers(self) -> Self:
        if self.positions is None:
            self.positions = self.layers > 0
        return self

    def texts_of(self, classes: dict[str, str]) -> list[str]:
        """Returns the texts that compete: those of the classes, and that of the background if there is one."""
        return [*classes.values(), *([self.background] if self.background else [])]

    def text_of(self, class_text: str) -> str:
        """Returns the text that is encoded for a class: raw between prompts, else in the template; sentences are raw."""
        raw = self.prompts or self.task == "retrieval"
        template = self.template or ("{}" if raw else PLAIN_TEMPLATE)
        return template.replace("{}", class_text)


class AdapterConfig(AdapterParts):
    """What an adapter is made of.

    Attributes:
        model_code: The module that stands in the place of the temporal Transformer, if one does.
        temperature: What cosines are divided by before they become probabilities.
    """

    model_code: ModelCode | None = None
    temperature: float = Field(default=TEMPERATURE, gt=0)

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what is as it always was, so that such a file is what it was before there was anything else."""
        content: dict[str, Any] = write(self)
        usual = {"model_code": None, "temperature": TEMPERATURE}
        return {name: value for name, value in content.items() if name not in usual or value != usual[name]}

    def for_results(self) -> dict[str, Any]:
        """Returns what results say of it: of a module its name, hash and options, not its source."""
        return self.model_dump(exclude={"model_code": {"source", "file"}})
