"""Help pages: options in panels, the important ones first, and examples at the end.

A command's examples are the section "Examples:" at the end of its docstring. The panel of an option is the
``rich_help_panel`` of its ``typer.Option``; options of a `featx.settings.Settings` have theirs from its ``panels``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

EXAMPLES = "\nExamples:\n"
WIDTH = 100  # columns that a page takes at most, of a terminal that has them


class Panel(StrEnum):
    """Headings above options, in the order of the page; options without one stand first, under "Options"."""

    DATA = "Features and manifest"
    FOUND = "What is found"
    FRAMES = "Which frames"
    ENCODER = "Encoder"
    LEARNED = "What is learned"
    TRAINING = "Training"
    CLIPS = "Clips"
    CLASSES = "Classes"
    PROPOSALS = "Proposals (--task localisation)"
    SELECTION = "Which proposals are kept"
    DETECTIONS = "Detections from a file"
    RETRIEVAL = "Text-video retrieval"
    DETECTOR = "Proposal detector (--task proposals)"
    OUTPUT = "Output"
    DAMAGE = "Damaged and unusual files"
    FILES = "Which files"
    STORE = "Form of the store"
    CHECKPOINTS = "Checkpoints and display"
    SPEED = "Device, speed and memory"
    RARE = "Rarely needed"


ORDER = ["Options", *Panel]
Panels = Mapping[Panel, str]  # names of settings, in the order of the page, with blanks between them


def without_examples(text: str) -> str:
    """Returns a help text up to its examples."""
    return f"\n{text}".partition(EXAMPLES)[0].strip()


def examples_of(text: str) -> list[str]:
    """Returns the command lines of a help text's examples."""
    block = textwrap.dedent(f"\n{text}\n".partition(EXAMPLES)[2])
    return [line for line in block.splitlines() if line.strip()]


class HelpCommand(TyperCommand):
    """A command whose help page has panels and examples."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Writes what the command does."""
        _write_text(self.help, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes arguments and options, a section a panel."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{name: [] for name in ORDER}}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_argument = parameter.param_type_name == "argument"
                panel = getattr(parameter, "rich_help_panel", None) or "Options"
                sections["Arguments" if is_argument else panel].append(record)
        _write_sections(sections, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Writes the examples."""
        _write_examples(self.help, formatter)


class HelpGroup(TyperGroup):
    """A group of commands whose help page says of each what it does, as a whole sentence."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Writes what the group is for."""
        _write_text(self.help, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Lists the commands; typer would cut their help at the line's end."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        lines = [(name, summary_of(command.help)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(lines)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Writes the examples."""
        _write_examples(self.help, formatter)


class CommandLine(typer.Typer):
    """A typer application whose commands have such help pages."""

    def __init__(self, **settings: Any) -> None:
        plain = {"cls": HelpGroup, "rich_markup_mode": None, "add_completion": False}
        super().__init__(**{**plain, "context_settings": {"max_content_width": WIDTH}, **settings})

    def command(  # type: ignore[override]  # typer's own parameters, which are passed on
        self, name: str | None = None, **settings: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Registers a command."""
        wide = {"context_settings": {"max_content_width": WIDTH}}
        return super().command(name, **{"cls": HelpCommand, **wide, **settings})


def summary_of(text: str | None) -> str:
    """Returns the first paragraph of a help text on one line."""
    return " ".join(without_examples(text or "").partition("\n\n")[0].split())


def _write_text(text: str | None, formatter: Any) -> None:
    if text:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(without_examples(text))


def _write_sections(sections: dict[str, list[tuple[str, str]]], formatter: Any) -> None:
    for name, lines in sections.items():
        if lines:
            with formatter.section(name):
                formatter.write_dl(lines)


def _write_examples(text: str | None, formatter: Any) -> None:
    lines = examples_of(text or "")
    if lines:
        with formatter.section("Examples"):
            for line in lines:
                formatter.write(f"{' ' * formatter.current_indent}{line}\n")
