"""Gathers the pages of the documentation site in build/docs, and the package as it is installed in build/docs-sources.

The pages are those of docs/. README, CONTRIBUTING and CHANGELOG become pages, too, and the API's reference, whose text
mkdocstrings takes from the docstrings. Notebooks become Markdown, with the outputs that are stored in them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = ("extract", "train", "evaluate", "data_manifests")
TOP_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
NOT_A_PAGE = re.compile(r"\[([^\]]+)\]\((?:LICENSE|CITATION\.cff)\)")


def gather(build: Path) -> None:
    """Writes all pages and sources anew.

    Args:
        build: The folder; `docs` and `docs-sources` in it are replaced.
    """
    pages, sources = build / "docs", build / "docs-sources" / "featx"
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(ROOT / "docs", pages, ignore=shutil.ignore_patterns("*.ipynb", "after-demo.txt"))
    for name, target in TOP_PAGES.items():
        (pages / target).write_text(of_site((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    (pages / "reference.md").write_text(reference(), encoding="utf-8")
    (pages / "notebooks").mkdir(exist_ok=True)
    for notebook in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        for name, content in of_notebook(notebook).items():
            (pages / "notebooks" / name).write_bytes(content)
    for page in pages.rglob("*.md"):
        depth = len(page.relative_to(pages).parts)
        page.write_text(with_first_page(page.read_text(encoding="utf-8"), depth), encoding="utf-8")
    shutil.rmtree(sources, ignore_errors=True)
    only_python = shutil.ignore_patterns("__pycache__", "*.pt")
    shutil.copytree(ROOT / "featx", sources, ignore=only_python)
    for stage in STAGES:
        shutil.copytree(ROOT / stage, sources / stage, ignore=only_python)


def with_first_page(text: str, depth: int) -> str:
    """Has links of a page to the repository's own README and its like lead to their pages.

    Args:
        text: Of the page.
        depth: How many folders above it the repository is.
    """
    for name, target in TOP_PAGES.items():
        text = text.replace(f"]({'../' * depth}{name}", f"]({'../' * (depth - 1)}{target}")
    return text


def of_site(text: str) -> str:
    """Returns a page of the repository's top as one of the site: links into docs/, to each other, and to no others."""
    text = text.replace("](docs/decisions)", "](decisions/README.md)").replace("](docs/", "](")
    for name, page in TOP_PAGES.items():
        text = text.replace(f"]({name}", f"]({page}")
    return NOT_A_PAGE.sub(r"\1", text)


def reference() -> str:
    """Returns the page of the public names, in the order in which featx/__init__.py lists their modules."""
    text = (ROOT / "featx" / "__init__.py").read_text(encoding="utf-8")
    homes = re.findall(r'^    "(\w+)": "(featx[\w.]+)",$', text, re.MULTILINE)
    functions = [(name, module) for name, module in homes if name[0].islower()]
    classes = [(name, module) for name, module in homes if name[0].isupper()]
    lines = [
        "# Reference",
        "",
        "All public names of `import featx`. [The API by example](api.md) shows them at work.",
        "",
    ]
    return "\n".join([*lines, *(f"::: {module}.{name}\n" for name, module in functions + classes)])


def of_notebook(file: Path) -> dict[str, bytes]:
    """Returns an executed notebook as Markdown, and its pictures, by their names."""
    from nbconvert import MarkdownExporter

    text, resources = MarkdownExporter().from_filename(str(file), resources={"unique_key": file.stem})
    return {f"{file.stem}.md": text.encode(), **resources["outputs"]}


if __name__ == "__main__":
    gather(ROOT / "build")
