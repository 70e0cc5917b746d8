"""`featx --version` is one line and loads nothing; with --verbose it is a table that a report of a fault needs."""

import os
import subprocess
import sys
from pathlib import Path

import featx as package


def test_the_version_alone_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom featx.cli import main\nsys.argv = ['featx', '--version']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    line, loaded = done.stdout.split("LOADED")
    assert line == f"featx {package.__version__}\n"
    assert not set(loaded.split()) & {
        "torch",
        "numpy",
        "clip",
        "zarr",
        "h5py",
        "rich",
        "featx.doctor.versions",
    }


def test_versions_name_what_matters(featx) -> None:
    import torch

    lines = dict(line.split(maxsplit=1) for line in featx("--version", "--verbose").out.splitlines())
    assert lines["torch"] in (torch.__version__, torch.__version__.split("+")[0])
    wanted = {
        "featx",
        "Python",
        "torchvision",
        "clip-anytorch",
        "numpy",
        "pillow",
        "zarr",
        "h5py",
        "ffmpeg",
        "CPU",
    }
    assert wanted <= set(lines)
    assert f"{os.cpu_count()} cores" in lines["CPU"] and "GiB" in lines["CPU"]
    assert "--version" in featx("--verbose", "doctor").err


def test_a_broken_torch_is_said(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so: cannot open')")
    done = subprocess.run(
        [sys.executable, "-m", "featx", "--version", "--verbose"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "OSError: libcudart.so: cannot open" in done.stdout
