"""The wheel holds everything: built, installed alone into a fresh folder, it runs and every module imports."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMPORT_ALL = """
import importlib, pathlib, sys
fresh = pathlib.Path(sys.argv[1])
names = [".".join(file.relative_to(fresh).with_suffix("").parts) for file in sorted(fresh.glob("featx/**/*.py"))]
for name in names:
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert pathlib.Path(module.__file__).is_relative_to(fresh), module.__file__
print(len(names))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run = [sys.executable, "-m"]
    # A copy: what earlier builds left in the checkout would get into the wheel.
    not_ours = shutil.ignore_patterns(".*", "build", "demo", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "checkout", ignore=not_ours)
    build = [
        *run,
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder / "dist"),
        str(folder / "checkout"),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    install = [
        *run,
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder / "fresh"),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "fresh"


def test_every_module_imports_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", IMPORT_ALL, str(installed)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    in_checkout = sum(
        len(list((ROOT / folder).glob("**/*.py")))
        for folder in ("featx", "extract", "train", "evaluate", "data_manifests")
    )
    assert int(done.stdout) == in_checkout


def test_the_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [installed / "bin" / "featx", "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and "extract" in done.stdout


def test_data_files_are_in_the_wheel(installed: Path) -> None:
    assert (installed / "featx" / "clip" / "tiny.pt").stat().st_size <= 8_000_000
    siglip = {file.name for file in (installed / "featx" / "encoders" / "tiny-siglip").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= siglip
    assert (installed / "featx" / "doctor" / "clip.mp4").is_file()
    recipes = {file.name for file in (installed / "featx" / "train" / "recipes").glob("*.toml")}
    assert recipes == {file.name for file in (ROOT / "train" / "recipes").glob("*.toml")}


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    extras = [word for words in project["optional-dependencies"].values() for word in words]
    wanted = [*project["dependencies"], *extras]
    names = {word.split("=")[0].split("<")[0].split(">")[0].split("[")[0].strip().lower() for word in wanted}
    assert names - {"featx"} <= pinned  # one extra takes another
