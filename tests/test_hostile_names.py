"""Names that others chose stay text in every format that is opened elsewhere."""

import csv
import html.parser
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from synthetic import CLASSES, make_class_data

from featx.evaluate.predict.classify import Prediction
from featx.evaluate.predict.output import render_predictions
from featx.evaluate.report.table import FORMATS, PlusMinus, Table, print_tables, render
from featx.evaluate.search.answers import Answer
from featx.evaluate.search.exact.search import Hit
from featx.evaluate.search.output import render_answers
from featx.manifest.videos import Manifest, read_manifest, write_manifest
from featx.output.formats import csv_text

HOSTILE = [
    "two\nlines", "carriage\rreturn", "\x1b[31mred\x1b[0m", "[2cm] wide", "*star", "a | b", "a \\| b", "\\input{/etc/passwd}",
    "<script>alert(1)</script>", "a & b", "50% of $1_000 #1 {x} ~ ^", "=cmd|'/c calc'!A1", "+1+1", "-1+1", "@SUM(A1)",
    "\t=1+1", "[link](javascript:alert(1))", "`code`", ":smile:", "[bold]", "two\u2028lines", "\u202egnp.exe", "'\"", "\udcff",
]  # fmt: skip
COLUMNS = ["name", "top-1 %", "±"]
TABLE = Table(HOSTILE[0], COLUMNS, [[name, 12.5, PlusMinus(50.0, 1.5)] for name in HOSTILE], list(HOSTILE))


def is_plain(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "json"])
def test_every_row_is_one_line_of_plain_characters(format: str) -> None:
    text = render(TABLE, format)
    assert is_plain(text)
    text.encode()
    assert text.count("12.5") == len(HOSTILE)
    rows = [line for line in text.splitlines() if "12.5" in line]
    assert len(rows) == len(HOSTILE) and ":smile:" in text


def test_json_has_the_names_as_they_are() -> None:
    assert [row["name"] for row in json.loads(render(TABLE, "json"))["rows"]] == HOSTILE


def test_markdown() -> None:
    text = render(TABLE, "markdown")
    assert "<script>" not in text and "](javascript" not in text.replace("\\]", "")
    for line in (line for line in text.splitlines() if "12.5" in line):
        # a pipe ends a cell unless an odd number of backslashes stands before it
        bare = [i for i, c in enumerate(line) if c == "|" and (i - len(line[:i].rstrip("\\"))) % 2 == 0]
        assert len(bare) == len(COLUMNS) + 1, line


def test_html() -> None:
    class Reader(html.parser.HTMLParser):
        tags: set[str] = set()  # noqa: RUF012
        cells: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.tags.add(tag)

        def handle_data(self, data: str) -> None:
            self.cells.append(data)

    reader = Reader()
    reader.feed(render(TABLE, "html"))
    assert reader.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    assert "<script>alert(1)</script>" in reader.cells


@pytest.mark.parametrize(
    "text",
    [
        render(TABLE, "csv"),
        render_predictions(
            [Prediction(name, None, None, [(name, 0.5)]) for name in HOSTILE], {}, "csv", False
        ),
        render_answers([Answer(name, [Hit(name, 0, 5, 0.0, 1.0, 0.5)]) for name in HOSTILE], [], "csv", ""),
        csv_text([[name, name] for name in HOSTILE]),
    ],
)
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) >= len(HOSTILE)
    for cell in (cell for row in rows for cell in row):
        assert not cell.lstrip().startswith(("=", "+", "-", "@")), cell
    assert any(cell == "'=cmd|'/c calc'!A1" for row in rows for cell in row)


def test_numbers_in_a_csv_stay_numbers() -> None:
    assert csv_text([[-1, -0.5, "-0.6", "+0.6", "-1e-3", "-"]]) == "-1,-0.5,-0.6,+0.6,-1e-3,'-\n"


def test_latex_rows_cannot_be_left(tmp_path: Path) -> None:
    text = render(TABLE, "latex")
    for line in text.splitlines():
        if "12.5" in line:
            assert not line.startswith(("[", "*")) and line.endswith(r" \\") and r"\input" not in line
            assert line.count("&") - line.count(r"\&") == len(COLUMNS) - 1
    compiler = shutil.which("pdflatex") or shutil.which("tectonic")
    if compiler is None:
        pytest.skip("no TeX is installed")
    document = f"\\documentclass{{article}}\\begin{{document}}\n{text}\n\\end{{document}}\n"
    (tmp_path / "t.tex").write_text("".join(c if ord(c) < 128 else "?" for c in document))
    options = ["-interaction=nonstopmode", "-halt-on-error"] if compiler.endswith("pdflatex") else []
    done = subprocess.run(
        [compiler, *options, "t.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_what_is_missing_is_said_also_where_the_format_has_no_place_for_it(capsys) -> None:
    print_tables([Table("t", ["a"], [["b"]], ["3 videos have no features\x1b[2J"])], "csv")
    said = capsys.readouterr()
    assert said.out == "a\nb\n" and said.err == "3 videos have no features\\x1b[2J\n"


def test_commands_print_no_escape_of_a_label(tmp_path: Path, featx) -> None:
    """A class whose label would clear the screen, from the manifest to the terminal."""
    make_class_data(tmp_path)
    manifest = read_manifest(tmp_path / "manifest.jsonl")
    label, *_ = CLASSES
    evil = "\x1b[2J=evil"
    classes = {evil if one == label else one: text for one, text in manifest.header.classes.items()}
    videos = [v.model_copy(update={"label": evil}) if v.label == label else v for v in manifest.videos]
    write_manifest(
        Manifest(
            manifest.header.model_copy(update={"classes": classes, "name": "a\nb"}),
            videos,
            tmp_path / "m.jsonl",
        )
    )
    given = ["--store", tmp_path / "features", "--manifest", tmp_path / "m.jsonl", "--to", tmp_path / "run"]
    for words in (
        ["baseline", "zero-shot", *given, "--device", "cpu"],
        ["diagnose", tmp_path / "run", "--device", "cpu"],
        ["predict", "--store", tmp_path / "features", "--adapter", tmp_path / "run", "--device", "cpu"],
        ["eval", tmp_path / "run", "--device", "cpu", "--format", "markdown"],
    ):
        outcome = featx(*words)
        assert outcome.code == 0, outcome.err
        assert "\x1b" not in outcome.out + outcome.err
    (folder,) = (tmp_path / "run").glob("diagnosis-*")
    for file in folder.glob("*.csv"):
        assert "\x1b" not in file.read_text()
    assert np.sum([r"\x1b[2J=evil" in file.read_text() for file in folder.glob("*.csv")]) >= 2
