"""Features of one's own video files, the same as those that a run learned from.

Extraction is another stage, and stages meet only on disk: `featx extract` runs as a process of its own and makes a
store in a temporary folder, which is then read like any other.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.clip.preprocess import way_of
from featx.errors import FeatxError, Interrupted, PartialFailure
from featx.manifest.videos import Header, Manifest, Video, write_manifest
from featx.store.reader import FeatureStore
from featx.store.schema import FAILURES_FILE, Fingerprint
from featx.video.folder import reason_to_refuse, search_folder

SAMPLINGS: dict[str, list[str]] = {"every frame": [], "keyframes": ["--keyframes"]}


@dataclass(frozen=True)
class Extracted:
    """A temporary store.

    Attributes:
        store: Its videos have the paths as ids that the user gave.
        ids: Those that have features, in the user's order.
        failures: Path to reason, of those that could not be decoded.
    """

    store: FeatureStore
    ids: list[str]
    failures: dict[str, str]


@dataclass(frozen=True)
class Listed:
    """The videos that a user means.

    Attributes:
        files: Files as they were given, and the videos below folders.
        failures: Path to reason, of what was found in a folder but is not opened.
        left_out: What was not looked at in folders, as lines for the user.
    """

    files: list[Path]
    failures: dict[str, str]
    left_out: list[str]


def list_files(given: Sequence[Path]) -> Listed:
    """Finds files as they were given, and the videos below folders, the same that `featx extract` finds.

    Raises:
        FeatxError: If something is not there, or a folder holds no video.
    """
    files: dict[Path, None] = {}
    failures: dict[str, str] = {}
    left_out: list[str] = []
    for path in given:
        if path.is_dir():
            below = search_folder(path)
            lines = below.left_out(
                "a hidden folder or file that is named is taken", "a file that is named is taken"
            )
            if not below.videos and not below.linked_folders:
                raise FeatxError("; ".join([f"{path}: no video in this folder", *lines]))
            left_out += [f"{path}: {line}" for line in lines]
            reasons = {
                name: reason_to_refuse(path / name, path, False, "name the file") for name in below.videos
            }
            reasons |= dict.fromkeys(below.unnameable, "its name is not UTF-8; rename the file")
            reasons |= dict.fromkeys(
                below.linked_folders, "a symbolic link to a folder; give that folder itself"
            )
            files |= {path / name: None for name, reason in reasons.items() if not reason}
            failures |= {str(path / name): reason for name, reason in reasons.items() if reason}
        elif path.exists():
            files[path] = None
        else:
            raise FeatxError(f"{path}: no such file or folder")
    return Listed(list(files), failures, left_out)


@contextlib.contextmanager
def extracted(files: list[Path], fingerprint: Fingerprint, model: str, device: str) -> Iterator[Extracted]:
    """Extracts videos into a store that is gone afterwards.

    Args:
        files: The videos.
        fingerprint: What the features must be like.
        model: Where the CLIP is.
        device: That it runs on.

    Raises:
        FeatxError: If `featx extract` refuses, for instance because this is another CLIP.
        Interrupted: After Ctrl-C.
    """
    with tempfile.TemporaryDirectory(prefix="featx-predict-") as name:
        folder = Path(name)
        manifest, to = folder / "videos.jsonl", folder / "features"
        videos = [Video(id=str(file), path=str(file.absolute())) for file in files]
        try:
            write_manifest(Manifest(Header(name="predict"), videos, manifest))
        except UnicodeEncodeError as error:
            raise FeatxError(
                f"{ascii(error.object)[:200]}: a name that is not UTF-8; rename the file"
            ) from error
        _run(["extract", str(manifest), "--to", str(to), "--follow-links", "--model", model, "--device", device,
              *options_of(fingerprint)])  # fmt: skip
        store = FeatureStore(to)
        differences = fingerprint.differences(store.header.fingerprint)
        if differences:
            raise FeatxError(
                f"--model {model}: makes other features than the run needs ({'; '.join(differences)})"
            )
        yield Extracted(store, [str(file) for file in files if str(file) in store], _failures(to))


def options_of(fingerprint: Fingerprint) -> list[str]:
    """Returns the options of `featx extract` that make features with a fingerprint.

    Raises:
        FeatxError: If no options do, as for features that were imported.
    """
    kind, _, value = fingerprint.sampling.partition(" ")
    sampling = SAMPLINGS.get(fingerprint.sampling)
    if sampling is None and kind in ("fps", "every", "frames"):
        sampling = [f"--{kind}", value]
    preprocess = way_of(fingerprint.preprocess)
    decoding = _decoding_options(fingerprint.decoding)
    if sampling is None or preprocess is None or decoding is None:
        raise FeatxError(
            f"these features cannot be made here (sampling {fingerprint.sampling}, preprocess {fingerprint.preprocess}, "
            f"decoding {fingerprint.decoding or 'plain'}); give --store with features that were made like those of the training"
        )
    return [
        *sampling,
        *("--preprocess", preprocess),
        *("--channel-order", fingerprint.channel_order),
        *("--precision", fingerprint.precision),
        *("--dtype", fingerprint.dtype),
        *decoding,
    ]


def _decoding_options(decoding: str) -> list[str] | None:
    """Returns the options behind what a fingerprint says of the decoder, or None if there are none."""
    plain = {"square pixels": "--square-pixels", "deinterlaced": "--deinterlace"}
    with_value = {"stream": "--stream", "hwaccel": "--decode-hwaccel"}
    options: list[str] = []
    for words in decoding.split(", ") if decoding else []:
        kind, _, value = words.partition(" ")
        if words in plain:
            options.append(plain[words])
        elif kind in with_value:
            options += [with_value[kind], value]
        else:
            return None
    return options


def _run(words: list[str]) -> None:
    shown = sys.stderr.isatty()  # a terminal gets the progress of the extraction
    command = [sys.executable, "-m", "featx", *words]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=None if shown else subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        said = process.communicate()[1] or ""
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if process.returncode in (0, PartialFailure.exit_code):
        return
    if process.returncode == Interrupted.exit_code:
        raise KeyboardInterrupt
    lines = said.strip().splitlines()
    reason = lines[-1].removeprefix("featx: ") if lines else "it says why above"
    raise FeatxError(f"featx extract could not make the features: {reason}")


def _failures(store: Path) -> dict[str, str]:
    file = store / FAILURES_FILE
    if not file.exists():
        return {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    return {one["id"]: one["error"] for one in lines}
