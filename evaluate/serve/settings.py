"""The settings of `featx serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from featx.clip.choices import MODELS
from featx.devices import DEVICES
from featx.help_pages import Panel, Panels
from featx.settings import Settings

LEAST_TOKEN = 16  # characters
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
TOKEN_VARIABLE = "FEATX_TOKEN"


class ServeSettings(Settings):
    """What is shown, and to whom."""

    panels: ClassVar[Panels] = {
        Panel.DATA: "videos manifest",
        Panel.ACCESS: "port host token",
        Panel.SPEED: "device",
        Panel.RARE: "model",
    }

    port: int = Field(8484, ge=0, le=65535, description="Port. 0: any free one; it is printed.")
    host: str = Field(
        "127.0.0.1",
        description="Address to listen at. Any other than this machine's own (127.0.0.1, localhost, ::1) needs --token.",
    )
    token: str | None = Field(
        None,
        description="Secret, of at least 16 characters, that every request must carry. Also read from the environment "
        "variable FEATX_TOKEN, which other users of this machine cannot see.",
    )
    videos: Path | None = Field(
        None, description="Folder in which the video files are now, if it has moved since extraction."
    )
    manifest: Path | None = Field(
        None, description="Manifest (.jsonl) whose labels and segments are shown as ground truth."
    )
    model: Annotated[str | None, MODELS] = Field(
        None,
        description="CLIP that encodes the queries: a name or a checkpoint's path. By default the one that "
        "the store records.",
    )
    device: Annotated[str, DEVICES] = Field(
        "auto", description="Device for CLIP: cpu, cuda or cuda:1. auto takes a GPU if there is one."
    )

    @field_validator("token")
    @classmethod
    def _check_token(cls, token: str | None) -> str | None:
        if token is not None and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable()):
            raise ValueError(f"must be at least {LEAST_TOKEN} printable ASCII characters")
        return token

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK
