"""Help pages: options in panels, the important ones first, and examples at the end.

A command's examples are the section "Examples:" at the end of its docstring. The panel of an option is the
``rich_help_panel`` of its ``typer.Option``; options of a `featx.settings.Settings` have theirs from its ``panels``.
Commands of a group may have panels too: the ``rich_help_panel`` of ``command()``.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from featx.page_layout import Rows, Sections, lay_out, page_width

EXAMPLES = "\nExamples:\n"
TYPE_NAMES = {"str": "text", "float": "number", "Path": "path"}  # typer's to ours
HELP_OPTIONS = ["-h", "--help"]


class Panel(StrEnum):
    """Headings above options, in the order of the page; options without one stand first, under "Options".

    What every use of a command needs comes first, then what one task or protocol needs, then what few need.
    """

    FOUND = "What is found"
    DATA = "Features and manifest"
    ACCESS = "Who can reach it"
    FRAMES = "Which frames"
    ENCODER = "Encoder"
    LEARNED = "What is learned"
    TRAINING = "Training"
    CLIPS = "Clips"
    OUTPUT = "Output"
    SPEED = "Device, speed and memory"
    CHECKPOINTS = "Checkpoints and display"
    RERANKING = "Re-ranking with an adapter"
    CLASSES = "Seen and unseen classes (open-set)"
    EPISODES = "Few-shot episodes"
    PROPOSALS = "Proposals (localisation)"
    DETECTIONS = "Detections from a file"
    RETRIEVAL = "Text-video retrieval"
    DETECTOR = "Proposal detector (--task proposals)"
    SELECTION = "Which proposals are kept"
    DAMAGE = "Damaged and unusual files"
    FILES = "Which files"
    STORE = "Form of the store"
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


def summary_of(text: str | None) -> str:
    """Returns the first paragraph of a help text on one line."""
    return " ".join(without_examples(text or "").partition("\n\n")[0].split())


class HelpCommand(TyperCommand):
    """A command whose help page has panels and examples."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Returns what follows the command's name when it is called."""
        return [self.options_metavar or "", *map(_as_called, _arguments(self, ctx))]

    def get_help(self, ctx: Any) -> str:
        """Returns the help page."""
        return _page(self, ctx, {"Arguments": _argument_rows(self, ctx), **_option_sections(self, ctx)})


class HelpGroup(TyperGroup):
    """A group of commands whose help page says of each what it does, as a whole sentence."""

    def get_help(self, ctx: Any) -> str:
        """Returns the help page; the commands stand first, they are what somebody looks for."""
        return _page(self, ctx, {**self.command_sections(ctx), **_option_sections(self, ctx)})

    def command_sections(self, ctx: Any) -> Sections:
        """Returns the commands with their summaries, by panel."""
        sections: dict[str, Rows] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                heading = str(panel) if isinstance(panel, str) else "Commands"
                sections.setdefault(heading, []).append((name, summary_of(command.help)))
        return sections


class CommandLine(typer.Typer):
    """A typer application whose commands have such help pages."""

    def __init__(self, **settings: Any) -> None:
        plain = {"cls": HelpGroup, "rich_markup_mode": None, "add_completion": False}
        super().__init__(**{**plain, "context_settings": {"help_option_names": HELP_OPTIONS}, **settings})

    def command(  # type: ignore[override]  # typer's own parameters, which are passed on
        self, name: str | None = None, **settings: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Registers a command."""
        ours = {"cls": HelpCommand, "context_settings": {"help_option_names": HELP_OPTIONS}}
        return super().command(name, **{**ours, **settings})


def _page(command: Any, ctx: Any, sections: Sections) -> str:
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    text = command.help or ""
    width = page_width(shutil.get_terminal_size().columns)
    return lay_out(usage, without_examples(text), sections, examples_of(text), width)


def _arguments(command: Any, ctx: Any) -> list[Any]:
    return [one for one in command.get_params(ctx) if one.param_type_name == "argument" and not one.hidden]


def _argument_name(argument: Any) -> str:
    """Returns what help texts call an argument: its name in capital letters."""
    name: str = argument.metavar or argument.name
    return name.strip("[].").upper()


def _as_called(argument: Any) -> str:
    name = _argument_name(argument) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _argument_rows(command: Any, ctx: Any) -> Rows:
    return [(_argument_name(one), _tidy(one.get_help_record(ctx)[1])) for one in _arguments(command, ctx)]


def _option_sections(command: Any, ctx: Any) -> Sections:
    """Returns the options, a section a panel, in the order of the panels."""
    sections: dict[str, Rows] = {heading: [] for heading in ORDER}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx) if parameter.param_type_name == "option" else None
        if record is not None:
            panel = getattr(parameter, "rich_help_panel", None) or "Options"
            sections[panel].append((_tidy_name(record[0]), _tidy(record[1])))
    return sections


def _tidy_name(name: str) -> str:
    """Returns an option as the page shows it.

    ``--x / --no-x`` becomes ``--[no-]x``. A type is said in a word of English; one that may be given several times has the
    type of one.
    """
    yes, slash, no = name.partition(" / --no-")
    if slash and yes == f"--{no}":
        return f"--[no-]{no}"
    flags, opening, kind = name.partition("<")
    kind = kind.rstrip(">").removesuffix(" range").removeprefix("list[").rstrip("]")
    return f"{flags}<{TYPE_NAMES.get(kind, kind)}>" if opening else name


def _tidy(text: str) -> str:
    return text.replace("  [", " [")
