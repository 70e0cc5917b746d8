"""Help pages: whole sentences, every setting at its place, and examples that the real parser takes."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import typer

from featx.cli import FIRST_STEPS, app
from featx.evaluate.run.settings import BaselineSettings, EvalSettings, PredictSettings, ProposeSettings
from featx.evaluate.search.exact.settings import SearchSettings
from featx.extract.plan.settings import ExtractSettings
from featx.help_pages import Panel, examples_of, summary_of, without_examples
from featx.settings import Settings, gather, gather_task
from featx.store.upkeep.imports import ImportSettings
from featx.train.adapter.settings import TrainSettings
from featx.train.engine.recipe_files import find_recipe
from featx.train.start import SETTINGS as TASKS

ROOT = typer.main.get_command(app)


def pages(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields every command and group with the words that call it."""
    yield path, group
    if hasattr(group, "list_commands"):
        for name in group.list_commands(None):
            yield from pages(group.get_command(None, name), (*path, name))


PAGES = dict(pages())
LINES = [(path, line) for path, page in PAGES.items() for line in examples_of(page.help)]


def all_settings(kind: type[Settings] = Settings) -> Iterator[type[Settings]]:
    for child in kind.__subclasses__():
        yield child
        yield from all_settings(child)


SETTINGS: dict[str, Mapping[str, type[Settings]]] = {  # by task
    "extract": {"": ExtractSettings},
    "store import": {"": ImportSettings},
    "train": TASKS,
    "sweep": {"recognition": TrainSettings},
    "baseline": {"": BaselineSettings},
    "propose": {"": ProposeSettings},
    "diagnose": {"": EvalSettings},
    "predict": {"": PredictSettings},
    "search": {"": SearchSettings},
}


def check_settings(path: tuple[str, ...], given: dict[str, Any]) -> None:
    """Gathers the settings of a command as it would itself, with all that they demand of each other."""
    models = SETTINGS[" ".join(path)]
    known = {name for model in models.values() for name in model.model_fields}
    options = {name: value for name, value in given.items() if name in known and value != ()}
    recipe, words = find_recipe(given.get("recipe")), given.get("set") or []
    if len(models) > 1:
        gather_task(dict(models), recipe, options, words)
    else:
        gather(next(iter(models.values())), recipe, options, words)


def parse(line: str) -> tuple[str, ...]:
    """Parses a command line as featx would, without running it; returns the command's words."""
    name, *words = shlex.split(line, comments=True)
    assert name == "featx", line
    path: tuple[str, ...] = ()
    while hasattr(PAGES[path], "list_commands"):
        path = (*path, words.pop(0))
    context = PAGES[path].make_context(" ".join(path), words)  # raises of what is unknown or missing
    for parameter in PAGES[path].params:
        if parameter.name in ("device", "model"):  # cuda:1 and paths are possible too
            continue
        offered = [item.value for item in parameter.shell_complete(context, "")]
        given = context.params.get(parameter.name)
        for value in (given if isinstance(given, list | tuple) else [given]) if offered else ():
            known = {*offered, *(word.partition("=")[0] for word in offered)}
            assert value is None or str(value).partition("=")[0] in known, (line, value)
    if " ".join(path) in SETTINGS:
        check_settings(path, context.params)
    return path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: " ".join(path) or "featx")
def test_every_page_has_examples(path: tuple[str, ...]) -> None:
    lines = examples_of(PAGES[path].help)
    assert lines
    if not hasattr(PAGES[path], "list_commands"):
        assert parse(lines[0]) == path


@pytest.mark.parametrize(("path", "line"), LINES, ids=[line for _, line in LINES])
def test_examples_are_true(path: tuple[str, ...], line: str) -> None:
    parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "featx extract videos",
        "featx extrac",
        "featx extract v --to x --fp 2",
        "featx extract v --to x --format hdf6",
        "featx train --recipe hmdb52 --to x",
        "featx train --set step=3 --to x",
        "featx sweep hmdb51 --grid prompt=2 layers=1 --to x",
        "featx train --manifest m.jsonl --to x",
        "featx train --store s --manifest m.jsonl --steps 5 --warmup 9 --to x",
    ],
)
def test_the_parser_of_these_tests_refuses_what_is_wrong(line: str) -> None:
    with pytest.raises(
        Exception, match=r"(?i)missing|no such|extrac|hdf6|hmdb52|step=3|prompt=2|is needed|warmup"
    ):
        parse(line)


@pytest.mark.parametrize(
    "kind", [kind for kind in all_settings() if kind.panel_of_each()], ids=lambda kind: kind.__name__
)
def test_every_setting_has_a_place(kind: type[Settings]) -> None:
    assert set(kind.model_fields) <= set(kind.panel_of_each())
    for panel, names in vars(kind).get("panels", {}).items():
        assert isinstance(panel, Panel)
        assert all(name in kind.model_fields for name in names.split()), (kind, names)
    named = " ".join(vars(kind).get("panels", {}).values()).split()
    assert len(named) == len(set(named))


def test_many_options_are_never_one_list() -> None:
    for path, page in PAGES.items():
        loose = [
            parameter.name
            for parameter in page.params
            if parameter.param_type_name == "option"
            and not parameter.hidden
            and not getattr(parameter, "rich_help_panel", None)
        ]
        assert len(loose) <= 14, (path, loose)


def test_panels_come_in_order_and_nothing_is_left_out(featx) -> None:
    outcome = featx("train", "--help")
    headings = [line[:-1] for line in outcome.out.splitlines() if re.fullmatch(r"\S.*:", line)]
    panels = [heading for heading in headings if heading in list(Panel)]
    assert panels == [panel for panel in Panel if panel in panels] and len(panels) >= 6
    shown = re.findall(r"^  (--[\w[\]-]+)", outcome.out, re.MULTILINE)
    expected = {
        ("--[no-]" if parameter.secondary_opts else "--") + parameter.opts[0].removeprefix("--")
        for parameter in PAGES[("train",)].params
        if parameter.param_type_name == "option" and not parameter.hidden
    }
    assert set(shown) == expected and len(shown) == len(set(shown))


def test_what_is_always_needed_comes_first_and_what_is_rare_last(featx) -> None:
    """A subclass adds to the panels of its parent; what it adds must not stand above what everybody needs."""

    def options(*path: str) -> list[str]:
        return re.findall(r"^  --(?:\[no-\])?([\w-]+)", featx(*path, "--help").out, re.MULTILINE)

    for path in (("train",), ("sweep",), ("baseline",)):
        page = featx(*path, "--help").out.partition("Features and manifest:\n")[2]
        assert re.findall(r"^  --([\w-]+)", page, re.MULTILINE)[:2] == ["store", "manifest"]
    assert options("predict").index("adapter") < options("predict").index("top")
    for path, rare in (
        ("extract", "compile"),
        ("train", "recompute"),
        ("eval", "trust-code"),
        ("search", "trust-code"),
    ):
        assert options(path)[-8:].count(rare) == 1 and "Rarely needed:" in featx(path, "--help").out
    assert options("extract").index("device") < options("extract").index("on-damage")


def test_commands_of_a_group_stand_below_headings(featx) -> None:
    page = featx("manifest", "--help").out
    at = [
        page.index(word)
        for word in ("Your own videos:", " folder ", "Data sets:", " hmdb51 ", " check ", "Options:")
    ]
    assert at == sorted(at)


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("path", PAGES, ids=lambda path: " ".join(path) or "featx")
def test_every_page_fits_and_no_option_is_broken(
    path: tuple[str, ...], width: int, featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = featx(*path, "--help").out.splitlines()
    assert all(len(line) <= width or " " not in line.strip() for line in lines)
    page = " ".join(" ".join(lines).split())
    for parameter in PAGES[path].params:
        if not getattr(parameter, "hidden", False):
            assert " ".join(parameter.help.split()) in page
    assert not re.search(r"list\[| range>|\[default: \]|False|\{\w+\} |\[\[", page)


def test_the_short_way_to_help(featx) -> None:
    for path in ((), ("extract",), ("store",), ("store", "info")):
        assert featx(*path, "-h").out == featx(*path, "--help").out


def test_arguments_are_called_as_the_text_calls_them(featx) -> None:
    usage = {
        ("extract",): "featx extract [OPTIONS] VIDEOS...",
        ("search",): "featx search [OPTIONS] STORE [QUERY]",
        ("store", "accept-failures"): "featx store accept-failures [OPTIONS] STORE [ID...]",
        ("manifest",): "featx manifest [OPTIONS] COMMAND [ARGS]...",
        (): "featx [OPTIONS] COMMAND [ARGS]...",
    }
    for path, line in usage.items():
        assert featx(*path, "--help").out.startswith(f"Usage: {line}\n")


def test_a_group_says_of_each_command_what_it_does_in_a_whole_sentence(featx) -> None:
    for path in (("manifest",), ("store",), ("adapter",)):
        page = " ".join(featx(*path, "--help").out.split())
        for name in PAGES[path].list_commands(None):
            summary = summary_of(PAGES[(*path, name)].help)
            assert summary.endswith(".") and "..." not in summary
            assert f"{name} {summary}" in page


def test_examples_are_not_part_of_the_text() -> None:
    text = "Does it.\n\nMore.\n\nExamples:\n    featx a\n    featx b"
    assert without_examples(text) == "Does it.\n\nMore." and examples_of(text) == ["featx a", "featx b"]
    assert without_examples("Does it.") == "Does it." and examples_of("Does it.") == []


def test_featx_alone_shows_the_first_steps(featx) -> None:
    outcome = featx()
    assert (outcome.code, outcome.err) == (0, "") and outcome.out.startswith(FIRST_STEPS)
    steps = [line.split(maxsplit=1) for line in FIRST_STEPS.splitlines()]
    assert len(steps) == 5 and all(len(line) <= 80 for line in outcome.out.splitlines())
    assert [parse(line)[0] for _, line in steps] == ["extract", "search", "manifest", "train", "eval"]
