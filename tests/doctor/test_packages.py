"""Packages that do not import, or are too old, are named."""

import sys
from pathlib import Path

import pytest

from featx.doctor.check import State
from featx.doctor.packages import check_packages


def distribution(folder: Path, name: str, version: str, requires: tuple[str, ...] = ()) -> None:
    """Installs a package that has nothing but its metadata."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires)]) + "\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose packages are found."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_what_is_installed_here_is_fine() -> None:
    assert check_packages().state is State.OK


def test_a_package_that_does_not_import_is_a_failure(installed: Path) -> None:
    (installed / "torchvisionx.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist\\nmore')"
    )
    check = check_packages(("numpy", "torchvisionx", "not_there_at_all"))
    assert check.state is State.FAILURE and "pip install" in check.advice
    assert (
        "torchvisionx: cannot be imported (RuntimeError: operator torchvision::nms does not exist)"
        in check.found
    )
    assert "not_there_at_all" in check.found and "more" not in check.found
    sys.modules.pop("torchvisionx", None)


def test_versions_that_do_not_fit_are_a_warning(installed: Path) -> None:
    distribution(installed, "oldone", "1.2")
    distribution(installed, "mine", "1", ("oldone>=2", "missingone", "numpy>=2.0", "extraone; extra == 'x'"))
    check = check_packages((), "mine")
    assert check.state is State.WARNING
    assert check.found == "oldone 1.2: featx needs oldone>=2; missingone: is not installed"
