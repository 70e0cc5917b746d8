"""`import featx`: quick, whole, and typed."""

import ast
import subprocess
import sys
import time
from pathlib import Path
from typing import assert_type

import pytest
import torch

import featx
from featx.evaluate.api import LoadedAdapter
from featx.evaluate.search.exact.search import Hit
from featx.extract.api import ExtractReport
from featx.store.reader import FeatureStore
from featx.train.api import TrainedRun

HEAVY = {"torch", "numpy", "clip", "zarr", "h5py", "pydantic", "typer", "rich"}
SOURCE = Path(featx.__file__).read_text()


def test_importing_featx_loads_nothing_heavy() -> None:
    began = time.perf_counter()
    script = "import sys, featx; dir(featx); featx.FeatxError; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    print(f"Python and `import featx`: {time.perf_counter() - began:.3f} s")
    loaded = set(done.stdout.split())
    assert "featx.errors" in loaded and not loaded & HEAVY


def test_every_name_is_there() -> None:
    assert featx.__all__ == sorted(featx.__all__)
    assert set(featx._HOMES) == set(featx.__all__) <= set(dir(featx))
    for name in featx.__all__:
        assert getattr(featx, name).__name__ == name
        assert getattr(featx, name).__doc__


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    (block,) = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == featx._HOMES


def test_nothing_is_imported_of_featx_when_it_is_imported() -> None:
    """The list of names is the one place of the shared part that may name the stages."""
    body = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in body]
    assert modules == ["__future__", "importlib", "typing"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'extractfeatures'"):
        featx.extractfeatures  # type: ignore[attr-defined]  # noqa: B018


def what_a_type_checker_sees() -> None:
    """Never called: `make lint` checks it."""
    store = assert_type(featx.open_store("features"), FeatureStore)
    assert_type(featx.extract_features(["videos"], to=Path("features")), ExtractReport)
    assert_type(featx.encode_text(store, ["a"]), torch.Tensor)
    assert_type(featx.ClipDataset(store, "mine.jsonl")[0], tuple[torch.Tensor, int])
    tower = assert_type(featx.TextTower.load("tiny"), featx.TextTower)
    assert_type(tower.encode(tower.plan(["a"])), torch.Tensor)
    run = assert_type(featx.train_adapter(store=store, manifest="m.jsonl", to="run"), TrainedRun)
    assert_type(featx.evaluate_runs([run, "other"]).to_markdown(), str)
    assert_type(featx.load_adapter(run), LoadedAdapter)
    assert_type(featx.search(store, "a"), list[Hit])
