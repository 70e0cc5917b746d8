"""Executes the notebooks of docs/notebooks in a temporary folder and stores their outputs in them.

.venv/bin/python tools/run_notebooks.py [--check]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
SECONDS = 900


def executed(file: Path, folder: Path) -> Any:
    """Returns a notebook with the outputs that it has now, run in a folder."""
    notebook = nbformat.read(file, as_version=4)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["FEATX_LOG"] = "text"
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ from run to run
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return notebook


def main() -> None:
    """Runs all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="run only, write nothing")
    arguments = parser.parse_args()
    for file in sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(file, Path(folder))
        if not arguments.check:
            nbformat.write(notebook, file)
        print(file.name)


if __name__ == "__main__":
    main()
