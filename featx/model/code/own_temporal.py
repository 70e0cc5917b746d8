"""A temporal model of somebody else's in the place of featx's: its class is loaded, built, and called."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from featx.devices import ran_out_of_memory
from featx.errors import FeatxError
from featx.model.code.record import ModelCode
from featx.model.code.source import CodeSource


def own_rows(rows: np.ndarray) -> np.ndarray:
    """Returns (B, T) bool, False where a clip repeats its last row because its video has fewer than T.

    Args:
        rows: (B, T) rows of the clips in their videos. They ascend, so that equal ones are repetitions.
    """
    own = np.ones(rows.shape, dtype=bool)
    own[:, 1:] = rows[:, 1:] > rows[:, :-1]
    return own


class OwnTemporal(nn.Module):
    """Calls somebody's module, and says whose error it is."""

    def __init__(self, record: ModelCode, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._record = record
        self.wants_mask = "mask" in inspect.signature(module.forward).parameters

    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        """Turns clips into video features.

        Args:
            clips: (B, T, D) frame features.
            mask: (B, T) bool, False where a clip's last row is repeated because its video has fewer rows. Without it all
                rows are the video's own.

        Returns:
            (B, D).

        Raises:
            FeatxError: If the module fails, or returns something else.
        """
        more = {}
        if self.wants_mask:
            more["mask"] = (
                torch.ones(clips.shape[:2], dtype=torch.bool, device=clips.device) if mask is None else mask
            )
        try:
            video = self.module(clips, **more)
        except FeatxError:
            raise
        except Exception as error:
            if ran_out_of_memory(error):
                raise
            raise FeatxError(
                f"{self._record.label}: forward on clips {tuple(clips.shape)}: {said_by(error)}"
            ) from error
        wanted = (len(clips), clips.shape[-1])
        got = tuple(video.shape) if isinstance(video, Tensor) else type(video).__name__
        if got != wanted:
            raise FeatxError(
                f"{self._record.label}: forward turns clips {tuple(clips.shape)} into {got}; it must return one feature a clip, "
                f"{wanted}"
            )
        features: Tensor = video
        return features


@dataclass(frozen=True)
class OwnModel:
    """A class that may be run.

    Attributes:
        record: What an adapter keeps of it.
        kind: The class.
    """

    record: ModelCode
    kind: type[nn.Module]

    def build(self, width: int) -> OwnTemporal:
        """Makes the module, with start values of its own.

        Args:
            width: D.

        Raises:
            FeatxError: If its constructor wants other arguments, or fails.
        """
        label, options = self.record.label, self.record.options
        given = ", ".join([str(width), *(f"{name}={value!r}" for name, value in options.items())])
        try:
            signature = inspect.signature(self.kind)
            signature.bind(width, **options)
        except TypeError as error:
            raise FeatxError(
                f"{label}: is made as {self.record.name}({given}), with the feature width and every --model-option, and takes "
                f"{signature} ({error})"
            ) from error
        except ValueError:  # it has no signature that could be read
            pass
        try:
            module = self.kind(width, **options)
        except Exception as error:
            raise FeatxError(f"{label}: {self.record.name}({given}): {said_by(error)}") from error
        return OwnTemporal(self.record, module)


def open_own(source: CodeSource, options: dict[str, Any]) -> OwnModel:
    """Runs the source of a class: only what the user has agreed to.

    Args:
        source: What is run.
        options: Keyword arguments of the class.

    Raises:
        FeatxError: If it cannot be run, or has no such `torch.nn.Module`.
    """
    record = ModelCode(
        reference=source.reference,
        name=source.name,
        file=str(source.file),
        sha256=source.sha256,
        source=source.text,
        options=options,
    )
    module = _run(source)
    kind = getattr(module, source.name, None)
    if kind is None:
        there = [
            name
            for name, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, nn.Module)
            and value.__module__ == module.__name__
        ]
        hint = f"its modules are {', '.join(there)}" if there else "it has no torch.nn.Module"
        raise FeatxError(f"{record.label}: {source.file} has no {source.name}; {hint}")
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise FeatxError(f"{record.label}: {source.name} is no class of torch.nn.Module; make it one")
    return OwnModel(record, kind)


def _run(source: CodeSource) -> ModuleType:
    label = f"{source.file.name}:{source.name}"
    try:
        if source.module is not None:
            return importlib.import_module(source.module)
        return _run_file(source)
    except ImportError as error:
        raise FeatxError(
            f"{label}: {said_by(error)}; install it, or, if it is a file beside this one, make both a package that is installed "
            f"and give package.module:{source.name}"
        ) from error
    except (Exception, SystemExit) as error:
        raise FeatxError(f"{label}: {said_by(error)}") from error


def _run_file(source: CodeSource) -> ModuleType:
    name = f"featx_model_code_{source.sha256[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(source.file)
    sys.modules[name] = module  # dataclasses and pickle look for it there
    try:
        exec(compile(source.content, str(source.file), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def said_by(error: BaseException) -> str:
    """Returns an error as one line, behind the line of code that it comes from."""
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if _is_foreign(one.filename)]
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{type(error).__name__}: {text}"


def _is_foreign(file: str) -> bool:
    """Whether a file is neither featx's, nor Python's or an installed library's that the code has called."""
    return file != __file__ and "site-packages" not in file and not file.startswith(("<", sys.base_prefix))
