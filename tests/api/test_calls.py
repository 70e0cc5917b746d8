"""What every function of `import featx` does: Python's words, nothing printed, Ctrl-C and signal handlers as they were."""

import signal
import threading
from pathlib import Path

import pytest

import featx
from featx.errors import FeatxWarning, Interrupted
from featx.extract.plan.settings import ExtractSettings
from featx.library.calls import settings_of
from featx.output.console import say, warn
from featx.output.library_function import in_python_words, library_function


@pytest.mark.parametrize(
    ("command_line", "python"),
    [
        ("--batch-size 0: must be 1 or more", "batch_size=0: must be 1 or more"),
        ("--device cuda:7: no driver", "device=cuda:7: no driver"),
        (
            "choose another --to, or start over with --fresh",
            "choose another to, or start over with fresh=True",
        ),
        ("say --no-suffix", "say suffix=False"),
        ("--store: is needed (as an option, in a recipe, or with --set)", "store: is needed"),
        ("saved; run the same command again to go on", "saved; make the same call again to go on"),
        ("a file a--b.mp4 -- or --x", "a file a--b.mp4 -- or x"),
    ],
)
def test_options_become_arguments(command_line: str, python: str) -> None:
    assert in_python_words(command_line, {"fresh", "suffix"}) == python
    assert in_python_words(python, {"fresh", "suffix"}) == python


@library_function(ExtractSettings)
def speaking(error: BaseException | None = None) -> int:
    say("a line")
    warn("--model x: is cut")
    if error:
        raise error
    return 1


def test_nothing_is_printed_and_warnings_are_of_the_caller(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(FeatxWarning, match="model=x: is cut") as caught:
        assert speaking() == 1
    assert caught[0].filename == __file__
    assert capfd.readouterr() == ("", "")
    warn("x")
    assert capfd.readouterr().err == "warning: x\n"


@pytest.mark.filterwarnings("ignore::featx.errors.FeatxWarning")
def test_errors_are_those_of_the_command_line_and_an_interruption_is_python_s() -> None:
    with pytest.raises(featx.FeatxError, match="^hidden=True or stats$"):
        speaking(featx.FeatxError("--hidden or --stats"))
    with pytest.raises(KeyboardInterrupt, match="make the same call again"):
        speaking(Interrupted("run the same command again"))


def test_unknown_and_missing_arguments() -> None:
    with pytest.raises(featx.FeatxError, match="^modle: no such argument; did you mean 'model'"):
        settings_of(ExtractSettings, {"modle": "tiny"})
    with pytest.raises(TypeError, match="to"):
        featx.extract_features("videos")  # type: ignore[call-arg]


def test_signal_handlers_are_as_before_and_another_thread_sets_none(at_work: Path, tmp_path: Path) -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    before = handlers()
    found = []

    def extract() -> None:
        found.append(featx.extract_features("videos/growing", to=tmp_path / "a", model="tiny"))

    thread = threading.Thread(target=extract)
    thread.start()
    thread.join()
    assert found[0].added == 5 and handlers() == before
    featx.extract_features("videos/growing", to=tmp_path / "b", model="tiny")
    assert handlers() == before


def test_ctrl_c_keeps_what_is_whole(at_work: Path, tmp_path: Path) -> None:
    """The signal comes when a video has been stored; the call goes on from there."""
    calls = []

    def stop(done: int, total: int, figures: str) -> None:
        calls.append(done)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        featx.extract_features("videos", to=tmp_path / "a", model="tiny", progress=stop)
    stored = len(featx.open_store(tmp_path / "a")) if (tmp_path / "a" / "store.json").exists() else 0
    assert stored < 20
    report = featx.extract_features("videos", to=tmp_path / "a", model="tiny")
    assert (report.there_already, report.added) == (stored, 20 - stored)
