"""What an adapter is made of; without torch, because settings are checked with it before anything is loaded."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from featx.clip.choices import Layout

PLAIN_TEMPLATE = "a video of a {}"


class AdapterConfig(BaseModel):
    """What an adapter is made of; `docs/adapter.md` says what each is."""

    model_config = ConfigDict(extra="forbid")

    task: Literal["recognition", "localisation", "retrieval"] = Field(
        default="recognition", description="What it is for."
    )
    prompts: int = Field(
        default=16,
        ge=0,
        le=37,
        description="k: prompt vectors before and again after the class name or sentence; 0: none. Retrieval: 4 if not given.",
    )
    layout: Layout = Field(
        default="sequence", description="Prompt layout: the paper's, or that of the authors' released code."
    )
    suffix: bool = Field(
        default=True,
        description="Prompts after the class name too (k+X+k); without, k+X+0, a step is much cheaper.",
    )
    layers: int = Field(default=2, ge=0, le=4, description="Layers of the temporal Transformer; 0: none.")
    positions: bool | None = Field(  # never None once it is made
        default=None,
        description="Learned positions of a clip's frames in time; if not said, only with layers: without either a video "
        "is the plain mean of its frames.",
    )
    heads: int = Field(default=8, ge=1, description="Attention heads of the temporal Transformer.")
    template: str | None = Field(
        default=None,
        description="Text around a class name, such as 'a video of a {}'; without prompts that one is the default.",
    )
    clip_frames: int = Field(default=16, ge=1, description="T: rows of a clip.")
    background: str | None = Field(
        default=None,
        description="Localisation: text of the background, a class of its own that no detection is of; with --proposals "
        "'background' is the default.",
    )

    @model_validator(mode="after")
    def _positions_with_layers(self) -> AdapterConfig:
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
