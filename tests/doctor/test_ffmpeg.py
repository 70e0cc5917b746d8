"""A program in the place of ffmpeg that does not do what ffmpeg does is found out."""

from pathlib import Path

import numpy as np
import pytest
from programs import program, wrapped

from featx.doctor.check import State
from featx.doctor.ffmpeg import CLIP, check_ffmpeg, known_frames
from featx.video.ffmpeg import ffmpeg_path

ADVICE = "unset FEATX_FFMPEG"


@pytest.fixture(autouse=True)
def bundled(monkeypatch: pytest.MonkeyPatch) -> str:
    """The bundled ffmpeg, unless a test names another."""
    monkeypatch.delenv("FEATX_FFMPEG", raising=False)
    return ffmpeg_path()


def test_the_bundled_ffmpeg_is_fine(bundled: str) -> None:
    (check,) = check_ffmpeg()
    assert check.state is State.OK and bundled in check.found


def test_the_clip_holds_the_known_frames() -> None:
    """As PyAV decodes it, which has a libavcodec of its own."""
    av = pytest.importorskip("av")
    with av.open(str(CLIP)) as container:
        decoded = list(container.decode(video=0))
    assert {av.video.frame.PictureType(frame.pict_type).name for frame in decoded} == {"I", "P", "B"}
    frames = [frame.to_ndarray(format="gray") for frame in decoded]
    assert np.abs(np.stack(frames).astype(int) - known_frames()).mean() < 1


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("-frames:v 2", "a clip of 6 frames came back as 2"),
        ("-vf eq=brightness=0.3", "came back as others"),
        ("-vf reverse", "came back as others"),
    ],
)
def test_an_ffmpeg_that_decodes_something_else_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: str, options: str, found: str
) -> None:
    monkeypatch.setenv("FEATX_FFMPEG", str(wrapped(tmp_path / "ffmpeg", bundled, options)))
    (check,) = check_ffmpeg()
    assert check.state is State.FAILURE and found in check.found and ADVICE in check.advice


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("echo broken on purpose >&2; exit 1", "broken on purpose"),
        ("exit 3", "ended with code 3"),
        ("kill -SEGV $$", "ended with code -11"),
    ],
)
def test_an_ffmpeg_that_ends_is_a_failure_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, found: str
) -> None:
    monkeypatch.setenv("FEATX_FFMPEG", str(program(tmp_path / "ffmpeg", lines)))
    (check,) = check_ffmpeg()
    assert check.state is State.FAILURE and found in check.found and ADVICE in check.advice


def test_an_ffmpeg_that_hangs_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.video.ffmpeg.SECONDS", 0.5)
    monkeypatch.setenv("FEATX_FFMPEG", str(program(tmp_path / "ffmpeg", "exec sleep 60")))
    (check,) = check_ffmpeg()
    assert check.state is State.FAILURE and "does not answer" in check.found


def test_a_file_that_is_no_program_of_this_machine_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ffmpeg"
    file.write_bytes(b"\x7fELF of another processor")
    file.chmod(0o755)
    monkeypatch.setenv("FEATX_FFMPEG", str(file))
    (check,) = check_ffmpeg()
    assert check.state is State.FAILURE and "Exec format error" in check.found


def test_a_path_without_ffmpeg_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATX_FFMPEG", "ffmpeg")
    monkeypatch.setenv("PATH", str(tmp_path))
    (check,) = check_ffmpeg()
    assert check.state is State.FAILURE and "FEATX_FFMPEG=ffmpeg: no such program" in check.found


def test_missing_decoders_are_a_warning_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: str
) -> None:
    without = f'case "$*" in *-decoders*) {bundled} "$@" | grep -vE "hevc|dav1d|aom";; *) exec {bundled} "$@";; esac'
    monkeypatch.setenv("FEATX_FFMPEG", str(program(tmp_path / "ffmpeg", without)))
    (check,) = check_ffmpeg()
    assert check.state is State.WARNING and "cannot decode HEVC, AV1" in check.found
