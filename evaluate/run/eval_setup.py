"""What a run is to be scored on: store, manifest, and the classes that compete."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from featx.errors import FeatxError
from featx.features.dataset import check_fingerprint
from featx.manifest.videos import Manifest, read_manifest
from featx.output.console import warn
from featx.scoring.compose import ScoredData, ScoredModel
from featx.store.mirror import url_of
from featx.store.reader import FeatureStore

from .class_sets import ClassChoice, choose_classes
from .provenance import is_same_data_set, trained_on
from .runs import AdapterRun, BaselineRun, Run, config_of, open_run
from .settings import EvalSettings, ScoreSettings


@dataclass(frozen=True)
class EvalSetup:
    """A run and what it is to be scored on, read and checked.

    Attributes:
        run: What was learned.
        store: Features.
        choice: The classes that compete.
    """

    run: AdapterRun | BaselineRun
    store: FeatureStore
    choice: ClassChoice

    @property
    def manifest(self) -> Manifest:
        """The videos that show the classes that compete."""
        return self.choice.manifest

    def scored_data(self, split: str, clips: int) -> ScoredData:
        """Returns what results say of the data.

        Args:
            split: That was scored.
            clips: Of each video.
        """
        classes = self.manifest.header.classes
        return ScoredData(
            store=self.store,
            manifest=self.manifest,
            split=split,
            clips=clips,
            classes=len(classes),
            class_set=self.choice.class_set,
            class_split=self.choice.source,
            classes_as_trained=list(classes.items()) == list(self.run.header.classes.items()),
            truncated_texts=self.run.truncated(classes),
        )


def open_setup(folder: Path, settings: EvalSettings) -> EvalSetup:
    """Reads everything that scoring a run needs, but the videos.

    Args:
        folder: That `featx train` or `featx baseline` made.
        settings: On what it is scored.

    Raises:
        FeatxError: If run, store, manifest and classes do not belong together.
    """
    run = open_run(folder, settings.trust_code, settings.model)
    store_path = settings.store or made_with(run, "store", folder)
    manifest_path = settings.manifest or made_with(run, "manifest", folder)
    store, manifest = FeatureStore(store_path), read_manifest(manifest_path)
    check_fingerprint(run.header.fingerprint, store, run.file)
    learned = trained_on(run)
    choice = choose_classes(
        manifest,
        run.header.classes if learned else None,
        is_same_data_set(learned, manifest),
        settings,
        settings.split,
    )
    for warning in choice.warnings:
        warn(f"{folder}: {warning}")
    return EvalSetup(run, store, choice)


def scored_model(run: Run, folder: Path, settings: ScoreSettings) -> ScoredModel:
    """Returns what results say of a run.

    Args:
        run: What was learned.
        folder: Its folder, as the user calls it.
        settings: How it was scored.
    """
    return ScoredModel(
        run=str(folder),
        method=run.method,
        config=config_of(run, settings),
        learned_parameters=run.learned_parameters,
        fingerprint=run.header.fingerprint,
        trained_on=trained_on(run),
    )


def made_with(run: Run, name: str, folder: Path) -> Path:
    """Returns the store or manifest that a run was trained with.

    Raises:
        FeatxError: If the run does not say, or it is not there.
    """
    if name not in run.header.settings:
        raise FeatxError(
            f"{folder}: does not say which {name} it was trained with; say which to use with --{name}"
        )
    path = Path(run.header.settings[name])
    if url_of(path) is None and not path.exists():
        raise FeatxError(
            f"{folder}: was trained with {name} {path}, which is not there (relative paths count from the current "
            f"folder); say where it is with --{name}"
        )
    return path
