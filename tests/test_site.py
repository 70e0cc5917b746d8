"""The documentation site builds without a warning, has every page, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[1]
LOADED = re.compile(
    r"<(?:script|img|iframe)[^>]* src=\"?(https?:[^\" >]+)|<link[^>]* href=\"?(https?:[^\" >]+)"
)


def navigation() -> set[str]:
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(), yaml.BaseLoader)

    def files(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for one in entry if isinstance(entry, list) else entry.values():
                yield from files(one)

    return set(files(settings["nav"]))


def test_every_page_stands_in_the_navigation() -> None:
    """If this fails, put the new page at its place in `nav` of mkdocs.yml."""
    pages = {file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs").rglob("*.md")}
    pages |= {f"notebooks/{file.stem}.md" for file in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert navigation() == pages | {"index.md", "contributing.md", "changelog.md", "reference.md"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from a copy of the settings in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    script = (
        "import sys; from pathlib import Path\n"
        f"sys.path.append({str(ROOT / 'tools')!r})\n"
        "from site_pages import gather; gather(Path('build'))"
    )
    (folder / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text())
    for words in (["-c", script], ["-m", "zensical", "build", "--strict"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return folder / "build" / "site"


def test_the_site_has_every_page_and_every_public_name(site: Path) -> None:
    for page in navigation():
        built = site / page.replace("README.md", "index.html").replace(".md", ".html")
        assert built.is_file(), page
    import featx

    reference = (site / "reference.html").read_text()
    for name in featx.__all__:
        assert f'.{name}"' in reference, name
    assert "(C, D) float32" in reference  # the docstrings are there


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        assert not LOADED.findall(page.read_text()), page.name


NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_and_its_stored_outputs_are_whole(file: Path, tmp_path: Path) -> None:
    sys.path.append(str(ROOT / "tools"))
    from run_notebooks import executed

    stored = nbformat.read(file, as_version=4)
    again = executed(file, tmp_path)
    for before, now in zip(stored.cells, again.cells, strict=True):
        kinds = [
            {(one.output_type, one.get("name")) for one in cell.get("outputs", [])} for cell in (before, now)
        ]
        assert kinds[0] == kinds[1], before.source
    assert not any(
        one.output_type == "error" or one.get("name") == "stderr"
        for cell in again.cells
        for one in cell.get("outputs", [])
    )
