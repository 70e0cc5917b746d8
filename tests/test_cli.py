"""The command line: it loads only what a command needs, and says what is wrong in one line."""

import subprocess
import sys

import pytest

from featx.cli import COMMANDS

HEAVY = {"torch", "clip", "zarr", "h5py", "tensorboard", "safetensors", "rich.progress"}


def test_help_lists_every_command(featx) -> None:
    outcome = featx("--help")
    assert outcome.code == 0
    for name, (_, summary) in COMMANDS.items():
        assert name in outcome.out and summary.split()[0] in outcome.out


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys\nfrom featx.cli import main\n"
        f"sys.argv = ['featx', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split("LOADED")[1].split())
    assert "featx.cli" in loaded
    assert not loaded & HEAVY


def test_an_unknown_command_suggests_the_nearest(featx) -> None:
    outcome = featx("extrct")
    assert outcome.code == 2
    assert outcome.err == "featx: no command 'extrct'; did you mean 'extract'?\n"


def test_version(featx) -> None:
    import featx as package

    assert featx("--version").out == f"featx {package.__version__}\n"


def test_no_warning_of_a_library_reaches_the_user() -> None:
    script = "from featx.encoders.openai_text import openai_format; openai_format().tokenize('a star')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
