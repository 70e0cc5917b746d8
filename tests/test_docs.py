"""README and docs are true: every command, option, link and file that they name exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from featx.cli import COMMANDS, app
from featx.errors import FeatxError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Options that the pages name and that are not featx's: of other programs, by the program.
FOREIGN = {
    "the authors' released code": {"--prefix", "--postfix", "--temporal", "--tfm_layers", "--tfm_heads"},
    "benchmarks/gpu_check.py": {"--quick", "--only"},
    "benchmarks/bench_encoders.py": {"--classes", "--layers", "--rounds", "--threads"},
    "torchrun": {"--nproc-per-node"},
    "docker": {"--build-arg", "--rm", "--gpus", "--shm-size", "--user"},
    "zensical": {"--strict"},
    "Slurm": {"--signal", "--requeue", "--array", "--gres", "--cpus-per-task"},
}
FILE_NAME = re.compile(
    r"(?:(?:featx|extract|train|evaluate|data_manifests|tests|benchmarks|tools|docs)/[\w./-]*)"
    r"|(?:[\w./-]+/)?(?:CONTRIBUTING|CHANGELOG|README)\.md|pyproject\.toml|constraints\.txt|Makefile"
)
# A command on a line ends at a comment, a closing tick, another command, or the end of a table cell.
COMMAND = re.compile(r"\bfeatx ((?:[^#`|\n;&]|#(?=NAME))+)")


def code_of(page: Path) -> list[str]:
    """Returns the code on a page: fenced and indented lines, and what stands in ticks."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    rest = re.sub(r"```\w*\n.*?```", "", text, flags=re.DOTALL)
    indented = re.findall(r"^    (.+)$", rest, re.MULTILINE)
    ticks = re.findall(r"`([^`\n]+)`", rest)
    return [*(line for block in fenced for line in block.splitlines()), *indented, *ticks]


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields each command of a group and its groups, with the words that call it."""
    if not hasattr(group, "list_commands"):
        yield path, group
        return
    for name in group.list_commands(None):
        yield from commands(group.get_command(None, name), (*path, name))


def options_of(command: Any) -> set[str]:
    """Returns the spellings of a command's options."""
    spellings = {word for option in command.params for word in (*option.opts, *option.secondary_opts)}
    return {word for word in spellings if word.startswith("--")} | {"--help"}


OPTIONS = {path: options_of(command) for path, command in commands(typer.main.get_command(app))}
GENERAL = options_of(typer.main.get_command(app))
GROUPS = {path[:-1] for path in OPTIONS if len(path) > 1}


def test_the_pages_are_found() -> None:
    assert len(PAGES) > 15 and len(OPTIONS) > 25
    assert any("featx extract videos" in line for page in PAGES for line in code_of(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    for line in code_of(page):
        for words in (found.split() for found in COMMAND.findall(line)):
            while words and words[0] in GENERAL:
                if words.pop(0) == "--log-format":
                    words.pop(0)
            if not words or not re.fullmatch(r"[a-z][\w-]*", words[0]):
                continue  # featx alone, or COMMAND
            path = (words[0],)
            assert words[0] in COMMANDS, (page.name, line)
            if path in GROUPS:
                if len(words) == 1 or not re.fullmatch(r"[a-z][\w-]*", words[1]):
                    continue
                path = (words[0], words[1])
                assert path in OPTIONS, (page.name, line)
            used = set(re.findall(r"--[a-z][\w-]*", " ".join(words)))
            assert used <= OPTIONS[path] | GENERAL, (page.name, line, used - OPTIONS[path])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_option_that_a_page_names_exists(page: Path) -> None:
    known = GENERAL.union(*OPTIONS.values(), *FOREIGN.values())
    named = {word for line in code_of(page) for word in re.findall(r"(?<![\w-])--[a-z][\w-]*\w", line)}
    assert not named - known, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_and_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", text):
        if re.match(r"\w+:", link):
            continue
        target = page if not link else page.parent / link
        assert target.exists(), (page.name, link)
        if anchor:
            assert anchor[1:] in anchors(target), (page.name, link + anchor)
    for line in code_of(page):
        for name in FILE_NAME.findall(line.split("::")[0]):
            if "{" in line or "*" in line or name.endswith(".list") or re.search("/(CLASS|NAME)", name):
                continue  # a pattern, a list of the method's authors (train/split_0.list), a placeholder
            assert (ROOT / name).exists(), (page.name, name)


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_environment_variable_is_documented() -> None:
    """Those that the sources read, and no others."""
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    sources = [
        file
        for top in ("featx", "extract", "train", "evaluate", "data_manifests", "tests")
        for file in (ROOT / top).rglob("*.py")
    ]
    read = {
        name
        for file in sources
        for name in re.findall(r"\"(FEATX_[A-Z_]+)\"", file.read_text(encoding="utf-8"))
    }
    assert read == set(re.findall(r"`(FEATX_[A-Z_]+)` \|", page))


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    said = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}

    def codes(kind: type[FeatxError]) -> set[int]:
        return {kind.exit_code}.union(*(codes(child) for child in kind.__subclasses__()))

    assert said == {0} | codes(FeatxError)
