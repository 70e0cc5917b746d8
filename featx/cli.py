"""The ``featx`` command: finds the stage that a sub-command belongs to and loads only that."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from featx import __version__
from featx.completion import one_of
from featx.errors import FeatxError, nearest, system_error_line
from featx.help_pages import CommandLine, HelpGroup
from featx.output import json_log
from featx.page_layout import Sections
from featx.signals import interrupt_on_signals, interruptible

# name: (module with a typer `app`, one line of help). Loaded only when used: torch alone takes two seconds.
COMMANDS: dict[str, tuple[str, str]] = {
    "manifest": (
        "featx.data_manifests.cli",
        "Make a manifest: the list of videos with labels, segments, captions and splits.",
    ),
    "extract": ("featx.extract.cli", "Compute the CLIP features of videos into a feature store."),
    "plan": ("featx.extract.parts.plan_cli", "Divide an extraction into parts for several machines."),
    "work": ("featx.extract.parts.work_cli", "Extract parts of a plan on this machine; run it on many."),
    "store": ("featx.store.upkeep.cli", "Show, check, merge, convert, import and export feature stores."),
    "train": (
        "featx.train.cli",
        "Train prompts and a temporal Transformer, or a proposal detector, on a feature store.",
    ),
    "sweep": ("featx.train.sweep.cli", "Train and score a recipe with every combination of some settings."),
    "adapter": ("featx.adapter_files.cli", "Show adapter files; import the authors' checkpoints."),
    "baseline": (
        "featx.evaluate.baselines.cli",
        "Make and score a baseline that the method is compared with.",
    ),
    "propose": (
        "featx.evaluate.localisation.propose_cli",
        "Propose segments in which something happens, whatever it is.",
    ),
    "eval": ("featx.evaluate.cli", "Score adapters and baselines on a split and print the table."),
    "diagnose": (
        "featx.evaluate.diagnose.cli",
        "Show where a run goes wrong: classes, confusions, clips, prompts.",
    ),
    "predict": (
        "featx.evaluate.predict.cli",
        "Classify your own videos: whole, by sliding windows, or by detected segments.",
    ),
    "search": ("featx.evaluate.search.cli", "Find moments, videos and frames by a sentence or a picture."),
    "serve": ("featx.evaluate.serve.cli", "Search, play and look around in a store in a browser."),
    "table": ("featx.evaluate.tables.cli", "Print results in the rows of the paper's tables."),
    "doctor": (
        "featx.doctor.cli",
        "Check ffmpeg, GPU, disk and weights, and say what to do about what is wrong.",
    ),
}


def complain(message: str, code: int) -> None:
    """Says what is wrong; loaded only then."""
    from featx.output.console import complain as say_error

    say_error(message, code)


# Of click; typer brings its own copy of click, under no public name.
UsageError: Any = typer.BadParameter.__base__


@contextmanager
def _usage_errors_as_logged() -> Iterator[None]:
    """Says what is wrong with a command line as JSON where logs are; typer would print usage and error."""
    try:
        yield
    except UsageError as error:
        if not json_log.is_on():
            raise
        complain(error.format_message(), error.exit_code)
        raise typer.Exit(error.exit_code) from error


class LazyGroup(HelpGroup):
    """A command group whose members are imported by name when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the sub-commands in the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Imports one stage's command line."""
        if cmd_name not in COMMANDS:
            if ctx is not None and ctx.resilient_parsing:  # a shell asks what may follow
                return None
            raise FeatxError(f"no command '{cmd_name}'{nearest(cmd_name, COMMANDS) or '; see featx --help'}")
        command = typer.main.get_command(importlib.import_module(COMMANDS[cmd_name][0]).app)
        command.name = cmd_name
        return command

    def make_context(self, *words: Any, **more: Any) -> Any:
        """Parses featx's own options."""
        with _usage_errors_as_logged():
            return super().make_context(*words, **more)

    def invoke(self, ctx: Any) -> Any:
        """Runs the sub-command; most say themselves what an interruption means for what they make."""
        with interruptible("stopped"), _usage_errors_as_logged():
            return super().invoke(ctx)

    def command_sections(self, ctx: Any) -> Sections:
        """Returns the sub-commands without importing them."""
        return {"Commands": [(name, summary) for name, (_, summary) in COMMANDS.items()]}


app = CommandLine(cls=LazyGroup, add_completion=True, pretty_exceptions_enable=False)

FIRST_STEPS = """\
compute  featx extract videos --to features/mine --model ViT-B/16
search   featx search features/mine "a person opens a door"
label    featx manifest folder --videos videos --to mine.jsonl
train    featx train --store features/mine --manifest mine.jsonl --to runs/mine
score    featx eval runs/mine
"""


def _print_versions() -> None:
    from featx.doctor.versions import versions
    from featx.output.terminal import fitted

    lines = versions()
    wide = max(len(name) for name, _ in lines)
    typer.echo("\n".join(fitted(f"{name:<{wide}}  {version}", wide + 2) for name, version in lines))


@app.callback(invoke_without_command=True)
def featx(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version."),
    verbose: bool = typer.Option(
        False, "--verbose", help="With --version: print the versions of all that matters, and the devices."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    offline: bool = typer.Option(
        False, "--offline", help="Download nothing: a model that is not on this machine is an error."
    ),
    log_format: str | None = typer.Option(
        None,
        "--log-format",
        help="Form of the lines on standard error: text, or json (an object per line). Default: text, or what the "
        "environment variable FEATX_LOG says.",
        autocompletion=one_of(json_log.FORMATS),
    ),
) -> None:
    """Frozen CLIP features of videos, computed once; prompts learned on them; benchmark tables.

    featx COMMAND --help explains a command and shows examples. featx alone shows the first steps.

    Examples:
        featx extract videos --to features/mine --model ViT-B/16
        featx search features/mine "a person opens a door"
    """
    json_log.choose(log_format)
    if verbose and not version:
        raise FeatxError("--verbose: goes with --version; leave it out")
    if version:
        _print_versions() if verbose else typer.echo(f"featx {__version__}")
        raise typer.Exit
    if debug:
        os.environ["FEATX_DEBUG"] = "1"
    if offline:
        os.environ["FEATX_OFFLINE"] = "1"  # for the processes that it starts, too
    if context.invoked_subcommand is None:
        typer.echo(f"{FIRST_STEPS}\nfeatx --help lists all commands, featx COMMAND --help explains one.")


def _flush() -> None:
    """Writes what was printed, while an error can still be said."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the end of Python tries again
        if isinstance(error, BrokenPipeError):  # its reader has enough
            sys.exit(1)
        raise OSError(error.errno, error.strerror, "standard output") from error


def main() -> None:
    """Runs the command line; a `FeatxError`, a full disk or a full GPU becomes one line and its exit code."""
    interrupt_on_signals()
    try:
        try:
            app(prog_name="featx")  # also as python -m featx
        finally:
            _flush()
    except FeatxError as error:
        if os.environ.get("FEATX_DEBUG"):
            raise
        complain(str(error), error.exit_code)
        sys.exit(error.exit_code)
    except OSError as error:
        if os.environ.get("FEATX_DEBUG"):
            raise
        complain(system_error_line(error), FeatxError.exit_code)
        sys.exit(FeatxError.exit_code)
    except RuntimeError as error:
        from featx.devices import first_line, ran_out_of_memory

        if os.environ.get("FEATX_DEBUG") or not ran_out_of_memory(error):
            raise
        way_out = "take a smaller --batch-size, or a --device with more free memory"
        complain(f"{first_line(error)} {way_out}", FeatxError.exit_code)
        sys.exit(FeatxError.exit_code)


if __name__ == "__main__":
    main()
