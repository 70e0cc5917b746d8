"""The loop over steps: gradients, optimiser, log, validation, checkpoints. It does not know what is learned from what."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from featx.errors import FeatxError, Interrupted
from featx.output.progress import Progress

from .checkpoint import Checkpoint, Checkpoints, optimiser_tensors, restore_optimiser
from .interrupts import GracefulStop
from .ranks import Ranks
from .run_identity import differing, may_go_further, some_of, with_current_names
from .run_log import RunLog
from .schedule import rate_at
from .score import Score, Scorer
from .settings import LearnSettings
from .stopwatch import Stopwatch


@dataclass
class RunProgress:
    """How far a run has come.

    Attributes:
        step: Steps that are done.
        seconds: Time that they took, interruptions left out.
        best: Score of the best validation; None before the first one.
        best_step: The step it was made after.
        stale: Validations since then.
        ended_early: Whether ``patience`` was used up.
    """

    step: int = 0
    seconds: float = 0.0
    best: Score | None = None
    best_step: int = 0
    stale: int = 0
    ended_early: bool = False


class TrainingStep(Protocol):
    """Computes the gradients of what is learned."""

    def gradients(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Leaves the gradients in the parameters; returns the loss, and how right it was (`LoopComponents.measure`)."""
        ...

    def clip(self, norm: float) -> None:
        """Makes the gradients no longer than ``norm``."""
        ...


class FeatureSource(Protocol):
    """Says where features are kept, for people."""

    location: str


class BatchLoader(Protocol):
    """Gives each step what its `TrainingStep` wants to see."""

    @property
    def source(self) -> FeatureSource:
        """Features."""
        ...

    def batches(self, first: int, last: int) -> Generator[Any, None, None]:
        """Yields the steps ``first`` to ``last``, both included."""
        ...


@dataclass(frozen=True)
class LoopComponents:
    """What a loop is made of.

    Attributes:
        learned: An adapter, those of several episodes, or a detector.
        step: Computes gradients.
        loader: Gives it something to see.
        validator: Chooses the best step; None to take the last.
        ranks: That learn together.
        watch: Measures.
        measure: What `TrainingStep.gradients` returns beside the loss, for the log.
    """

    learned: nn.Module
    step: TrainingStep
    loader: BatchLoader
    validator: Scorer | None
    ranks: Ranks
    watch: Stopwatch
    measure: str = "accuracy"


class Loop:
    """A run between its steps: what changes, how it is saved, and how it goes on."""

    def __init__(
        self,
        settings: LearnSettings,
        components: LoopComponents,
        run: Path,
        identity: dict[str, Any],
        say: Callable[[str], None],
    ) -> None:
        """Prepares a run that has done no step yet.

        Args:
            settings: Of the run.
            components: What it is made of.
            run: The run's folder.
            identity: What a checkpoint must have been made with to be gone on from.
            say: Prints a line for the user.
        """
        self._settings = settings
        self._components = components
        self._run = run
        self._identity = identity
        self._say = say
        self._checkpoints = Checkpoints(run)
        self._parameters = [p for p in components.learned.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._mean = copy.deepcopy(components.learned) if settings.ema else None
        self._best: dict[str, Tensor] = {}
        self._unchecked: list[tuple[int, Tensor]] = []  # losses that nobody has looked at yet
        self.progress = RunProgress()

    @property
    def last(self) -> dict[str, Tensor]:
        """The tensors after the last step: the running mean, if one is kept."""
        return self._evaluated.state_dict()

    @property
    def chosen(self) -> dict[str, Tensor]:
        """The tensors after the best step, or the last one where nothing was validated."""
        return self._best or self.last

    @property
    def shares(self) -> dict[str, float]:
        """Each phase's share of the steps' time."""
        return self._components.watch.shares()

    @property
    def features_in(self) -> str:
        """Where the features are kept."""
        return self._components.loader.source.location

    @property
    def _evaluated(self) -> nn.Module:
        return self._mean or self._components.learned

    def resume(self) -> None:
        """Goes on from the newest whole checkpoint, if there is one.

        Raises:
            FeatxError: If it belongs to a run with other settings or data.
        """
        ranks = self._components.ranks
        found = self._checkpoints.newest(self._say) if ranks.first else None
        record, tensors = ranks.broadcast((found.record, found.tensors) if found else (None, None))
        if record is None:
            return
        then = with_current_names(record["identity"])
        if may_go_further(then["settings"], self._identity["settings"]):
            then = {**then, "settings": {**then["settings"], "steps": self._settings.steps}}
        differences = differing(then, self._identity)
        if differences:
            raise FeatxError(
                f"{self._run}: holds an interrupted run with other settings ({some_of(differences)}); give those "
                "again, choose another --to, or start over with --fresh"
            )
        checkpoint = Checkpoint(record, tensors)
        self._components.learned.load_state_dict(checkpoint.under("adapter"))
        restore_optimiser(self._optimiser, checkpoint.under("optimiser"))
        if self._mean is not None:
            self._mean.load_state_dict(checkpoint.under("mean"))
        self._best = checkpoint.under("best")
        progress = record["progress"]
        self.progress = RunProgress(
            **progress | {"best": Score(**progress["best"]) if progress["best"] else None}
        )
        self._components.watch.seconds = record["phases"]
        self._say(f"{self._run}: going on after step {self.progress.step} of {self._settings.steps}")
        threads = torch.get_num_threads()
        if record.get("threads", threads) != threads:  # files of before do not say
            self._say(
                f"{self._run}: began with {record['threads']} threads, goes on with {threads}: sums are rounded "
                f"differently, so the last bits differ; OMP_NUM_THREADS={record['threads']} keeps them"
            )

    def run(self) -> None:
        """Does the steps that are left.

        Raises:
            Interrupted: After Ctrl-C or SIGTERM; the state is saved.
            FeatxError: If the loss, or what is learned, is no longer a number.
        """
        settings, components, progress = self._settings, self._components, self.progress
        if progress.step:
            self._check_weights()
        if progress.ended_early or progress.step == settings.steps:
            return
        log = RunLog(self._run, progress.step) if components.ranks.first else None
        saved_at, began = time.monotonic(), time.monotonic() - progress.seconds
        batches = components.loader.batches(progress.step + 1, settings.steps)
        quiet = settings.quiet or not components.ranks.first
        try:
            with (
                GracefulStop(components.ranks.count > 1) as stop,
                Progress(str(self._run), settings.steps, "steps", quiet, done=progress.step) as shown,
            ):
                for step in range(progress.step + 1, settings.steps + 1):
                    components.watch.begin(step)
                    with components.watch.phase("loader"):
                        batch = next(batches)
                    loss, accuracy = components.step.gradients(batch)
                    with components.watch.phase("exchange"):
                        stopping = components.ranks.sum_gradients(self._parameters, stop.requested)
                    with components.watch.phase("optimiser"):
                        rate = self._update(step)
                    components.watch.end()
                    self._unchecked.append((step, loss))
                    progress.step, progress.seconds = step, time.monotonic() - began
                    if step % settings.log_every == 0 or step in (1, settings.steps):
                        self._check_numbers()
                        if log:
                            self._write_line(log, step, loss.item(), accuracy.item(), rate)
                    if shown.is_due or step == settings.steps:
                        shown.show(step, f"loss {loss.item():.4g}")
                    if components.validator and (
                        step % settings.validate_every == 0 or step == settings.steps
                    ):
                        self._check_numbers()
                        self._validate(components.validator, log)
                    due = settings.checkpoint_steps and step % settings.checkpoint_steps == 0
                    if due or stopping or time.monotonic() - saved_at >= settings.checkpoint_seconds:
                        self._check_numbers()
                        if log:
                            log.sync()
                            self._save()
                        saved_at = time.monotonic()
                    if stopping and step < settings.steps:
                        raise Interrupted(
                            f"stopped after step {step} of {settings.steps}, saved in {self._run}; run the same "
                            "command again to go on"
                        )
                    if progress.ended_early:
                        break
        finally:
            batches.close()
            if log:
                log.close()

    def finish(self) -> None:
        """Keeps the state of the last step, from which a finished run can be given more, or nothing."""
        if self._settings.keep_state:
            self._save()
            self._checkpoints.keep_newest()
        else:
            self._checkpoints.clear()

    def _update(self, step: int) -> float:
        settings, components = self._settings, self._components
        rate = rate_at(step, settings.learning_rate, settings.steps, settings.warmup, settings.schedule)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        if settings.clip_norm:
            components.step.clip(settings.clip_norm)
        self._optimiser.step()
        self._optimiser.zero_grad()
        if self._mean is not None:
            decay = min(settings.ema, step / (step + 9))  # the first steps' mean would be the random start
            with torch.no_grad():
                for mean, value in zip(self._mean.parameters(), components.learned.parameters(), strict=True):
                    mean.lerp_(value, 1 - decay)
                for kept, buffer in zip(self._mean.buffers(), components.learned.buffers(), strict=True):
                    kept.copy_(buffer)  # statistics of a module of one's own are means already
        return rate

    def _check_numbers(self) -> None:
        """Looks at all losses since the last look, and at what their updates made: that of the last has no loss yet.

        Raises:
            FeatxError: If a loss, or a number that an update left, is not finite.
        """
        losses, self._unchecked = self._unchecked, []
        finite = torch.stack([loss for _, loss in losses]).isfinite().tolist() if losses else []
        for (step, loss), good in zip(losses, finite, strict=True):
            if not good:
                raise FeatxError(
                    f"step {step}: the loss is {loss.item()}; lower --learning-rate, or set --clip-norm 1"
                )
        self._check_weights()

    def _check_weights(self) -> None:
        modules = [self._components.learned, *([] if self._mean is None else [self._mean])]
        tensors = [(name, value) for module in modules for name, value in module.state_dict().items()]
        finite = torch.stack([value.isfinite().all() for _, value in tensors]).tolist()
        broken = sorted({name for (name, _), good in zip(tensors, finite, strict=True) if not good})
        if broken:
            names = some_of([f"'{name}'" for name in broken], most=3)
            raise FeatxError(
                f"step {self.progress.step}: its update left numbers that are not finite ({names}), and nothing of it is "
                "saved; lower --learning-rate, or set --clip-norm 1"
            )

    def _write_line(self, log: RunLog, step: int, loss: float, accuracy: float, rate: float) -> None:
        shares = {f"share_{name}": share for name, share in self._components.watch.shares().items()}
        seconds = round(self.progress.seconds, 3)
        log.write(
            step, loss=loss, **{self._components.measure: accuracy}, rate=rate, seconds=seconds, **shares
        )

    def _validate(self, validator: Scorer, log: RunLog | None) -> None:
        progress, adapter = self.progress, self._evaluated
        score = validator.score(adapter)
        if score.better_than(progress.best):
            progress.best, progress.best_step, progress.stale = score, progress.step, 0
            self._best = {name: value.clone() for name, value in adapter.state_dict().items()}
        else:
            progress.stale += 1
            progress.ended_early = bool(self._settings.patience) and progress.stale >= self._settings.patience
        if log:
            log.write(progress.step, **{f"validation_{score.name}": score.value}, validation_loss=score.loss)

    def _save(self) -> None:
        groups = {
            "adapter": self._components.learned.state_dict(),
            "optimiser": optimiser_tensors(self._optimiser),
            "mean": self._mean.state_dict() if self._mean is not None else {},
            "best": self._best,
        }
        tensors = {f"{group}.{name}": value for group, some in groups.items() for name, value in some.items()}
        record = {
            "identity": self._identity,
            "progress": asdict(self.progress),
            "phases": self._components.watch.seconds,
            "threads": torch.get_num_threads(),
        }
        self._checkpoints.save(self.progress.step, Checkpoint(record, tensors))
