"""Every example of README and docs runs: the commands and the Python of a page, in their order, in a reader's folder."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from pages import EXAMPLES, FILES, Example
from readers_folder import make_readers_folder

from featx.cli import app

RUN_BY_OTHERS = {"docs/api.md": "tests/api/test_page.py"}
PAGES = sorted({example.page for example in EXAMPLES} - set(RUN_BY_OTHERS))


@pytest.fixture(scope="module")
def readers_folder(work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It is never written to: a page gets a copy."""
    folder = tmp_path_factory.mktemp("reader")
    make_readers_folder(folder, work / "videos", work / "door.jpg")
    return folder


def parse(words: list[str]) -> None:
    """Parses a command as featx would, without running it."""
    command: Any = typer.main.get_command(app)
    path: list[str] = []
    while hasattr(command, "list_commands") and words and not words[0].startswith("-"):
        path.append(words.pop(0))
        command = command.get_command(None, path[-1])
    command.make_context(" ".join(path), words)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(
    page: str,
    readers_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    featx: Callable[..., Any],
) -> None:
    desk = tmp_path / "desk"
    shutil.copytree(readers_folder, desk, symlinks=True)
    monkeypatch.chdir(desk)
    monkeypatch.setenv("HOME", str(tmp_path))  # an example must not change that of whoever runs the tests
    mine = [example for example in EXAMPLES if example.page == page]
    for example in mine:
        for made in re.findall(
            r"--to (runs/[\w-]+)", example.text
        ):  # what a page makes itself, it makes anew
            shutil.rmtree(desk / made, ignore_errors=True)
        for beginning, name in FILES.items():
            if example.is_python and beginning in example.text:
                (desk / name).write_text(example.text)
    names: dict[str, Any] = {}
    for example in mine:
        where = f"{page}:{example.line}: {example.text}"
        if example.reason is not None:
            if not example.is_python and not re.search(r"…| DATA ", example.text):
                parse(example.words())
        elif example.is_python:
            exec(compile(example.as_run(), where, "exec"), names)
        else:
            outcome = featx(*example.words())
            assert outcome.code == 0, (where, outcome.err)


def test_most_examples_are_run() -> None:
    """A new example is run, or the reason why not stands in tests/support/pages.py."""
    left_out: dict[str, list[Example]] = {}
    for example in EXAMPLES:
        if example.reason is not None and example.page not in RUN_BY_OTHERS:
            left_out.setdefault(example.reason, []).append(example)
    counts = {reason: len(examples) for reason, examples in left_out.items()}
    assert sum(counts.values()) < len(EXAMPLES) * 0.45, counts
