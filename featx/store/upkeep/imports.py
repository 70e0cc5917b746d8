"""Features that others computed: a folder of .npy files, one a video, into a store."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from featx.clip.choices import MODELS
from featx.completion import Offers
from featx.encoders.families import OPENAI_FAMILY, family_of
from featx.errors import FeatxError
from featx.help_pages import Panel, Panels
from featx.settings import Settings
from featx.store.failures import Failure, FailureList
from featx.store.folder_changes import FoundFile, compare, stored_files
from featx.store.schema import UNKNOWN_FRAME, Fingerprint, VideoFeatures, VideoInfo
from featx.store.source_files import content_sha256, state_of
from featx.store.upkeep.export import TIMES_DTYPE, TIMES_ENDING
from featx.store.writing.checks import problem_of
from featx.store.writing.writer import StoreWriter


class ImportSettings(Settings):
    """What is known about features that come as files; it becomes the store's fingerprint."""

    panels: ClassVar[Panels] = {
        Panel.FRAMES: "fps sampling",
        Panel.ENCODER: "model channel_order preprocess precision weights_sha256 input_size",
        Panel.FILES: "ending",
        Panel.STORE: "format dtype",
        Panel.RARE: "decoding",
    }

    model: Annotated[str, MODELS] = Field(
        description="CLIP that made the features: one of OpenAI's names, a checkpoint's path, or 'tiny'. It "
        "is loaded to get its fingerprint, unless --weights-sha256 and --input-size are given. Required, here or in the recipe."
    )
    weights_sha256: str | None = Field(
        None,
        pattern="^([0-9a-f]{64}|unknown)$",
        description="SHA-256 of CLIP's weights, as featx store info prints it, or 'unknown'. With 'unknown', "
        "featx train and eval refuse to load a CLIP for these features.",
    )
    input_size: int | None = Field(None, ge=1, description="Side length of CLIP's input picture in pixels.")
    preprocess: str = Field("unknown", description="How frames were scaled and cropped, such as clip-exact.")
    channel_order: Literal["rgb", "bgr"] = Field("rgb", description="Order of the colours that CLIP got.")
    sampling: str = Field(
        "unknown",
        description="Which frames the rows are: 'every frame', 'every 4' or 'fps 2', as featx extract "
        "records it. The first two also give the rows' frame numbers; otherwise these are "
        "unknown.",
    )
    decoding: str = Field("", description="Decoder options that were used, as featx store info prints them.")
    precision: Annotated[str, Offers("fp32", "fp16", "bf16")] = Field(
        "unknown", description="Number type in which CLIP computed: fp32, fp16 or bf16."
    )
    dtype: Literal["float16", "float32"] = Field(
        "float16", description="Number type in which features are stored."
    )
    format: Literal["zarr", "hdf5"] = Field("zarr", description="File format of the store's shards.")
    fps: str | None = Field(
        None,
        description="Rows per second, such as 25 or 30000/1001. By default times come from the files ID.pts "
        "that featx store export wrote beside the features; without these they are unknown.",
    )
    ending: str = Field(
        "", description="Ending that replaces .npy in the ids, such as .mp4. By default .npy is removed."
    )


@dataclass
class Imported:
    """What an import did; ``changed`` of the ``added`` took the place of others, the files of ``gone`` are missing."""

    added: int = 0
    changed: int = 0
    there_already: int = 0
    accepted: int = 0
    failed: int = 0
    gone: list[str] = field(default_factory=list)
    failures_file: Path = Path()


def import_folder(
    folder: Path,
    to: Path,
    settings: ImportSettings,
    say: Callable[[str], None] = lambda line: None,
) -> Imported:
    """Puts every .npy file below a folder into a store; files that cannot be taken become its failures.

    The same call again goes on where it stopped, and takes files that have changed since.

    Args:
        folder: Holds files of (N, D) numbers.
        to: The store.
        settings: What the features are.
        say: Takes a line about each bad file.

    Raises:
        FeatxError: If there is no file, none of them has the shape of features, or the store has another fingerprint.
    """  # noqa: DOC501 - its ValueError does not leave it
    rate = _rate(settings.fps)
    files = _npy_files(folder)
    ids = {file: _id_of(file, folder, settings.ending) for file in files}
    fingerprint, source = _fingerprint(settings, _usual_width(files, folder))
    done = Imported()
    with StoreWriter(
        to, fingerprint, settings.format, source, versions={"featx import": "unknown"}
    ) as writer:
        failures = FailureList(to, writer.index.failures)
        done.failures_file = failures.file
        root = os.path.realpath(folder)
        found = [
            FoundFile(video_id, file, str(file.relative_to(folder)), root, state_of(file))
            for file, video_id in ids.items()
        ]
        changes = compare(found, stored_files(writer.index), {root})
        writer.amend(changes.drops, changes.updates, changes.root_moves)
        done.changed, done.gone = len(changes.changed), changes.gone
        for each in found:
            if each.id in writer.done:
                done.there_already += 1
                continue
            if failures.is_accepted(each.id, each.state):
                done.accepted += 1
                continue
            try:
                video = _read(each.file, fingerprint, rate)
                sha256 = content_sha256(each.file)
                if each.state is None or state_of(each.file) != each.state:
                    raise ValueError("changed while it was read")
            except (OSError, ValueError, MemoryError) as error:
                failure = Failure(
                    each.id, each.path, "import", str(error), "not imported", [], root=each.root
                )
                if each.state is not None:
                    failure = replace(failure, size_bytes=each.state.size_bytes, mtime_ns=each.state.mtime_ns)
                failures.record(failure)
                say(f"{each.file}: {error}")
                done.failed += 1
                continue
            duration_s = float(len(video) / rate) if rate else None
            video_info = VideoInfo(
                each.path, *each.state, None, None, duration_s, root=root, content_sha256=sha256
            )
            writer.add(each.id, video, video_info)
            done.added += 1
        writer.commit()
        failures.tidy(writer.done)
    return done


def _npy_files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise FeatxError(f"{error.filename}: cannot read the folder ({error.strerror})") from error

    files = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        files += [Path(parent, name) for name in sorted(names) if name.endswith(".npy")]
    if not files:
        raise FeatxError(f"{folder}: no .npy file in this folder")
    return files


def _id_of(file: Path, folder: Path, ending: str) -> str:
    return file.relative_to(folder).as_posix().removesuffix(".npy") + ending


def _rate(fps: str | None) -> Fraction | None:
    if fps is None:
        return None
    try:
        rate = Fraction(fps)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise FeatxError(f"--fps {fps}: must be a positive number or fraction, such as 25 or 30000/1001")
    return rate


def _usual_width(files: list[Path], folder: Path) -> int:
    """Returns the width of most of the first files: a single odd one must not decide.

    Raises:
        FeatxError: If none of the files holds numbers of shape (rows, width).
    """
    widths: Counter[int] = Counter()
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            widths[int(_load(file).shape[1])] += 1
        if widths.total() == 100:
            break
    if not widths:
        raise FeatxError(
            f"{folder}: none of its {len(files)} .npy files holds numbers of shape (rows, width)"
        )
    return widths.most_common(1)[0][0]


def _fingerprint(settings: ImportSettings, width: int) -> tuple[Fingerprint, str]:
    """Returns the fingerprint, and where the model is found.

    Raises:
        FeatxError: If the model has to be loaded and cannot be, or its features have another width.
    """
    name, sha256, size = settings.model, settings.weights_sha256, settings.input_size
    made_by: dict[str, Any] = {}
    if sha256 is None or size is None or family_of(settings.model) != OPENAI_FAMILY:
        from featx.encoders.load import load_model

        loaded = load_model(settings.model)
        name, sha256, size = loaded.name, sha256 or loaded.weights_sha256, size or loaded.input_size
        made_by = {"family": loaded.family, "activation": loaded.activation}
        if loaded.width != width:
            raise FeatxError(
                f"--model {settings.model}: its features have {loaded.width} numbers, those of the files {width}"
            )
    same = {
        key: getattr(settings, key)
        for key in ("preprocess", "channel_order", "sampling", "precision", "dtype", "decoding")
    }
    fingerprint = Fingerprint(
        model=name, weights_sha256=sha256, input_size=size, width=width, **made_by, **same
    )
    return fingerprint, settings.model


def _load(file: Path) -> np.ndarray:
    """Maps a file of numbers (N, D).

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is something else.
    """
    if not file.is_file():
        raise ValueError("not a regular file")
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except (
        Exception
    ) as error:  # numpy raises many kinds for a damaged header, those of Python's parser among them
        raise ValueError(f"not a .npy file ({error})") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind != "f":
        what = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else "an archive"
        raise ValueError(f"holds {what}, not floating-point numbers of shape (rows, width)")
    return values


def _read(file: Path, fingerprint: Fingerprint, rate: Fraction | None) -> VideoFeatures:
    with np.errstate(over="ignore"):  # said below, with the row
        features = np.ascontiguousarray(_load(file)).astype(fingerprint.dtype)
    index = np.arange(len(features))
    step = _frame_step(fingerprint.sampling)
    pts = index / float(rate) if rate else np.full(len(features), np.nan)
    frame_index = index * step if step else np.full(len(features), UNKNOWN_FRAME)
    times = None if rate else _times_beside(file, len(features))
    if times is not None:
        pts, frame_index = times["pts"].copy(), times["frame_index"].copy()
    video = VideoFeatures(features, pts, frame_index.astype(np.int32))
    if problem := problem_of(video, fingerprint):
        raise ValueError(problem)
    return video


def _times_beside(file: Path, rows: int) -> np.ndarray | None:
    """Returns when the rows of a file are shown, as `featx store export` wrote it beside; None if it did not.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is damaged, or about other rows.
    """
    beside = file.with_name(file.name.removesuffix(".npy") + TIMES_ENDING)
    if not beside.exists():
        return None
    try:
        times = np.load(beside, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # as in _load
        raise ValueError(f"{beside.name} beside it holds no times ({error})") from error
    if not isinstance(times, np.ndarray) or times.dtype != TIMES_DTYPE or times.shape != (rows,):
        raise ValueError(f"{beside.name} beside it does not hold the times of its {rows} rows")
    return times


def _frame_step(sampling: str) -> int:
    """Returns how many frames apart rows are, or 0 if nobody knows."""
    if sampling == "every frame":
        return 1
    word, _, number = sampling.partition(" ")
    return int(number) if word == "every" and number.isdecimal() else 0
