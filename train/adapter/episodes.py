"""`featx train --episodes`: few-shot episodes, each learned on its own and scored at once, in one process."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from featx.errors import FeatxError
from featx.features.dataset import LabelledVideos, join, list_labelled
from featx.files.digest import read_json, write_json
from featx.files.lock import locked
from featx.manifest.episodes import TEST, TRAIN, Episode, episode_manifest, read_episodes, ways_and_shots
from featx.model.adapter import ADAPTER_FILE, save_adapter
from featx.scoring.compose import measure_items, results_of
from featx.scoring.results import FewShot, Item, Results, TrainedOn, write_results

from ..engine.checkpoint import Checkpoints
from ..engine.loop import Loop, LoopComponents
from ..engine.ranks import Ranks, join_ranks
from ..engine.run_context import RunContext
from ..engine.run_folder import EPISODES_FILE
from ..engine.run_identity import digest_of, digest_of_videos, record_identity
from ..engine.stopwatch import Stopwatch
from .inputs import AdapterInputs, SharedResources, make_sampler, objective_of, prepare
from .joint_episodes import JointSampler, JointStep
from .learn import header_of, make_components, must_recompute
from .loader import Loader
from .scoring import score, scored_data, scored_model
from .settings import TrainSettings

FOLDER = "episodes"
TEXTS_TOGETHER = (
    256  # class texts of the episodes whose steps are done together; docs/training.md has the times
)


class FinishedEpisode(BaseModel):
    """``RUN/episodes/0007.json``: an episode is finished when it is there.

    Attributes:
        item: Its part of the results.
        missing: Ids of the test videos that the store lacks.
        untrained: How many of its training videos the store lacks.
    """

    model_config = ConfigDict(extra="forbid")

    item: Item
    missing: list[str]
    untrained: int


@dataclass(frozen=True)
class Outcome:
    """What a run over episodes did.

    Attributes:
        results: Means over the episodes.
        file: Where they are written.
        learned: Episodes that were learned now; others were finished before.
        seconds: That took.
        untrained: Training videos without features, over all episodes.
    """

    results: Results
    file: Path
    learned: int
    seconds: float
    untrained: int

    def lines(self) -> list[str]:
        """Returns what a user should read."""
        results = self.results
        measured = (
            f"{name} {100 * mean:.1f}%{_plus_minus(results, name)}" for name, mean in results.metrics.items()
        )
        lines = [
            f"{self.file}: {len(results.items)} episodes, {self.learned} of them learned now in {self.seconds:.1f} s; "
            f"{results.learned_parameters:,} learned parameters each",
            f"{', '.join(measured)}; {results.videos.scored} of {results.asked} scorings done",
        ]
        if results.videos.missing:
            lines.append(f"{len(results.videos.missing)} test videos have no features")
        if self.untrained:
            lines.append(
                f"{self.untrained} training videos of the episodes have no features: fewer shots than they say"
            )
        return lines


def _plus_minus(results: Results, name: str) -> str:
    half = results.spread[name].interval95
    return "" if half is None else f" ± {100 * half:.1f}"


def train_episodes(
    settings: TrainSettings, run: Path, fresh: bool = False, say: Callable[[str], None] = print
) -> Outcome:
    """Learns and scores every episode of a file; goes on with those that an interrupted run left.

    Args:
        settings: Of every episode; ``settings.episodes`` is the file.
        run: Folder of the run.
        fresh: Whether to throw away what is in the folder and start over.
        say: Prints a line for the user.

    Raises:
        FeatxError: If the episodes do not fit manifest and store, or the folder holds another run.
        Interrupted: After Ctrl-C or SIGTERM; finished episodes and the state of the others are kept.
    """
    assert settings.episodes is not None
    with join_ranks(settings.device) as ranks, locked(run, "run"):
        shared = SharedResources(settings)
        episodes = read_episodes(settings.episodes, shared.manifest).episodes
        if (run / ADAPTER_FILE).exists() or Checkpoints(run).files():
            raise FeatxError(f"{run}: holds a run without episodes; choose another --to")
        if fresh:
            clear(run)
        _record_identity(settings, shared, episodes, run)
        began, learned = time.monotonic(), 0
        shared.hold(_stored(shared, episodes), settings, ranks)
        for number, group in enumerate(groups(episodes, settings)):
            if all(_file(run, index).exists() for index in group):
                continue
            some = {index: episodes[index] for index in group}
            _learn(settings, shared, some, RunContext(run, ranks, say), run / FOLDER / f"group-{number:04d}")
            learned += len(group)
            say(f"{run}: {group[-1] + 1} of {len(episodes)} episodes")
        finished = [read_finished(_file(run, index)) for index in range(len(episodes))]
        results = _aggregate(settings, shared, episodes, finished, run)
        untrained = sum(one.untrained for one in finished) if results.learned_parameters else 0
        return Outcome(results, write_results(results, run), learned, time.monotonic() - began, untrained)


def _stored(shared: SharedResources, episodes: list[Episode]) -> list[str]:
    """Returns the ids of the store's videos that episodes use, once."""
    by_id = shared.manifest.by_id
    ids = dict.fromkeys(
        by_id[one].stored_id for episode in episodes for one in [*episode.train, *episode.test]
    )
    return [one for one in ids if one in shared.store]


def clear(run: Path) -> None:
    """Removes what a run over episodes wrote into its folder, and nothing else."""
    if (run / EPISODES_FILE).exists():
        shutil.rmtree(run / FOLDER, ignore_errors=True)
        for file in [*run.glob("results-*.json"), *run.glob("missing-*.txt"), run / EPISODES_FILE]:
            file.unlink(missing_ok=True)


def groups(episodes: list[Episode], settings: TrainSettings) -> Iterator[list[int]]:
    """Yields the indices of episodes that are learned together: neighbours with equally many classes.

    It depends on the file and the settings alone, so that a run that goes on does what it would have done.
    """
    for ways, some in groupby(range(len(episodes)), lambda index: len(episodes[index].classes)):
        indices = list(some)
        most = settings.episodes_together or max(1, TEXTS_TOGETHER // ways)
        if settings.validation or settings.accumulate > 1 or ways > settings.class_limit:
            most = 1  # these look at one adapter at a time
        for first in range(0, len(indices), most):
            yield indices[first : first + most]


def _learn(
    settings: TrainSettings,
    shared: SharedResources,
    episodes: dict[int, Episode],
    context: RunContext,
    folder: Path,
) -> None:
    """Learns and scores some episodes together; ``folder`` holds their state meanwhile.

    Raises:
        FeatxError: If a class of an episode has no training video with features.
    """
    ranks = context.ranks
    views = {index: episode_manifest(shared.manifest, episode) for index, episode in episodes.items()}
    inputs = [prepare(settings, shared, view, TRAIN) for view in views.values()]
    for index, one in zip(views, inputs, strict=True):
        unseen = set(range(len(one.manifest.labels))) - set(_labelled(one).labels.tolist())
        if unseen:
            label = one.manifest.labels[unseen.pop()]
            raise FeatxError(
                f"{settings.episodes}: episode '{episodes[index].name}': no training video of '{label}' has features"
            )
    tests = {index: list_labelled(shared.store, view, TEST) for index, view in views.items()}
    if inputs[0].adapter.parameter_count():
        recompute = must_recompute(settings, inputs, context)
        components = (
            make_components(settings, inputs[0], ranks, recompute)
            if len(inputs) == 1
            else _joined(settings, inputs, ranks, recompute)
        )
        identity = {"settings": settings.lasting(), "episodes": _digest(list(episodes.values()))}
        loop = Loop(settings, components, folder, identity, context.say)
        loop.resume()
        loop.run()
        components.learned.load_state_dict(loop.chosen)
    for index, one in zip(views, inputs, strict=True):
        file = _file(context.folder, index)
        _finish(settings, one, tests[index], episodes[index].name, file, ranks)
    Checkpoints(folder).clear()


def _joined(
    settings: TrainSettings, inputs: list[AdapterInputs], ranks: Ranks, recompute: bool
) -> LoopComponents:
    shared = inputs[0].shared
    adapters = nn.ModuleList([one.adapter for one in inputs]).to(ranks.device)
    tower = shared.tower(ranks.device, settings.precision, settings.compile, recompute)
    watch = Stopwatch(ranks.device)
    everything = join([_labelled(one) for one in inputs])
    firsts = np.cumsum([0, *(len(one.videos) for one in inputs[:-1])])
    sampler = JointSampler(
        [make_sampler(settings, one) for one in inputs],
        [first + np.arange(len(one.videos)) for first, one in zip(firsts, inputs, strict=True)],
    )
    plans = [one.plan.to(ranks.device) for one in inputs]
    return LoopComponents(
        learned=adapters,
        step=JointStep(adapters, plans, tower, objective_of(settings, inputs[0]), watch),
        loader=Loader(sampler, shared.source(everything, settings, ranks), ranks, 1, settings.workers),
        validator=None,
        ranks=ranks,
        watch=watch,
    )


def _labelled(inputs: AdapterInputs) -> LabelledVideos:
    assert isinstance(inputs.videos, LabelledVideos)  # episodes are for recognition
    return inputs.videos


def _finish(
    settings: TrainSettings,
    inputs: AdapterInputs,
    test: LabelledVideos,
    name: str,
    file: Path,
    ranks: Ranks,
) -> None:
    """Scores an episode and writes its files; the one that says that it is finished last."""
    scored = score(inputs.adapter, inputs.shared, inputs.manifest, test, settings, ranks)
    if settings.keep_adapters and inputs.adapter.parameter_count():
        save_adapter(file.with_suffix(".safetensors"), inputs.adapter, header_of(settings, inputs))
    item = Item(name=name, scored=len(test), missing=len(test.missing), metrics=scored.metrics)
    finished = FinishedEpisode(item=item, missing=test.missing, untrained=len(inputs.videos.missing))
    write_finished(file, finished)


def _aggregate(
    settings: TrainSettings,
    shared: SharedResources,
    episodes: list[Episode],
    finished: list[FinishedEpisode],
    run: Path,
) -> Results:
    assert settings.episodes is not None
    ways, shots = ways_and_shots(episodes, shared.manifest)
    view = episode_manifest(shared.manifest, episodes[0])
    missing = dict.fromkeys(video_id for one in finished for video_id in one.missing)
    learned_labels = {label for episode in episodes for label in episode.classes}
    adapter = prepare(settings, shared, view, TRAIN).adapter
    trained_on = TrainedOn(
        data_set=shared.manifest.header.name,
        manifest=str(settings.manifest),
        classes=[label for label in shared.manifest.labels if label in learned_labels],
    )
    protocol = FewShot(episodes=str(settings.episodes), ways=ways, shots=shots)
    return results_of(
        settings.task,
        scored_model(adapter, run, shared, trained_on),
        scored_data(adapter, shared, view, settings.episodes.stem),
        measure_items([one.item for one in finished], sorted(missing), protocol),
    )


def _record_identity(
    settings: TrainSettings, shared: SharedResources, episodes: list[Episode], run: Path
) -> None:
    """Writes what the run is about into its folder, or refuses a folder that is about something else."""
    used = dict.fromkeys(one for episode in episodes for one in [*episode.train, *episode.test])
    now = {
        "settings": settings.lasting(),
        "model code": shared.own_model.record.identity if shared.own_model else None,
        "features": shared.store.header.fingerprint.model_dump(),
        "classes": shared.manifest.header.classes,
        "episodes": len(episodes),
        "list of episodes": _digest(episodes),
        "list of videos": digest_of_videos((shared.manifest.by_id[one] for one in used), shared.store),
    }
    record_identity(run / EPISODES_FILE, "episodes learned", now)


def _digest(episodes: list[Episode]) -> str:
    return digest_of([episode.model_dump() for episode in episodes])


def _file(run: Path, index: int) -> Path:
    return run / FOLDER / f"{index:04d}.json"


def write_finished(file: Path, finished: FinishedEpisode) -> None:
    """Says that an episode is finished."""
    write_json(file, finished.model_dump(mode="json"))


def read_finished(file: Path) -> FinishedEpisode:
    """Reads what an episode scored.

    Raises:
        FeatxError: If it cannot be read, or is damaged.
    """
    way_out = "delete it, and the same command learns it again"
    try:
        return FinishedEpisode(**read_json(file, way_out))
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        raise FeatxError(f"{file}: cannot read it ({reason}); {way_out}") from error
