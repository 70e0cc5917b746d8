"""`featx work --engine ray`: a station on every machine of a Ray cluster, or on every GPU.

Ray only starts stations and sees whether they live. What is to be done, and what is done, stands in the store: a station
chooses its parts as one that was started by hand. No feature passes through Ray, and nothing depends on the driver: the same
command goes on if it dies.

A station is a process below one of Ray's, and dies with it; otherwise Ray leaves subprocesses behind.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from featx.errors import FeatxError
from featx.output.console import say, stderr_console
from featx.output.progress import Progress
from featx.ray_cluster import connected
from featx.store.backends.interface import Backend
from featx.store.backends.open import open_backend
from featx.store.parts.claims import read_claims, release
from featx.store.parts.committed import committed_parts
from featx.store.parts.plan import Plans, read_plans
from featx.store.parts.status import PlanStatus, status_of

from .settings import WorkSettings

STATION_VARIABLE = "FEATX_STATION"
LOOK_S = 2.0  # between two looks at the stations
MOST_DEATHS = 20  # of stations without a part done meanwhile: then something is wrong with all of them
PR_SET_PDEATHSIG = 1
EXIT_CODES_OF_WORK = (0, 3)  # all parts are done; some videos failed


@dataclass(frozen=True)
class Share:
    """What a station takes of a machine.

    Attributes:
        node: Ray's id of the machine.
        address: Its address.
        cpus: Cores.
        gpus: 1 or 0.
    """

    node: str
    address: str
    cpus: float
    gpus: int


def shares_of(nodes: list[dict[str, Any]], has_gpus: bool) -> list[Share]:
    """Returns the stations that a cluster can hold: one a GPU, or where there are none one a machine.

    Args:
        nodes: As `ray.nodes()` lists them.
        has_gpus: Whether GPUs are used.
    """
    shares = []
    for node in nodes:
        there = node.get("Resources", {})
        cpus, gpus = float(there.get("CPU", 0)), int(there.get("GPU", 0)) if has_gpus else 0
        if node.get("Alive") and cpus >= 1:
            each = max(int(cpus // max(gpus, 1)), 1)
            shares += [
                Share(node["NodeID"], node["NodeManagerAddress"], each, int(gpus > 0))
                for _ in range(max(gpus, 1))
            ]
    return shares


def words_of(place: str, own: WorkSettings, share: Share) -> list[str]:
    """Returns the command of a station.

    Args:
        place: Folder or URL of the store.
        own: How the machines work.
        share: What the station takes of its machine.
    """
    words = [sys.executable, "-m", "featx", "work", place]
    given = own.model_dump(mode="json", exclude_defaults=True, exclude={"engine", "address", "part_slice"})
    given.setdefault("device", "cuda" if share.gpus else "cpu")
    given.setdefault("decoders", int(share.cpus))
    for name, value in given.items():
        flag = name.replace("_", "-")
        words += (
            [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
        )
    return words


def die_with_parent() -> None:
    """Has the kernel kill this process as soon as the one that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run_station(words: list[str], name: str) -> tuple[int, str]:
    """Runs a station to its end, on its machine.

    Args:
        words: The command.
        name: What the station calls itself in its claims.

    Returns:
        Its exit code, and the last lines that it said.
    """
    environment = os.environ | {"FEATX_LOG": "json", STATION_VARIABLE: name}
    done = subprocess.run(
        words, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent, check=False
    )
    said = []
    for line in done.stderr.splitlines()[-5:]:
        try:
            said.append(json.loads(line)["message"])
        except (ValueError, KeyError, TypeError):
            said.append(line)
    return done.returncode, "; ".join(said)


def work_on_ray(place: str, own: WorkSettings) -> PlanStatus:
    """Has a cluster do all parts of a plan.

    Args:
        place: Folder or URL of the store, which all machines reach.
        own: How the machines work; `address` names the cluster.

    Returns:
        What was done, by these machines and by others.

    Raises:
        FeatxError: If Ray is missing, the cluster is not reached, or stations fail again and again.
    """
    backend = open_backend(place)
    plans = read_plans(backend)
    with connected(own.address) as ray:
        _Driver(ray, backend, place, own).run(plans)
    return status_of(backend)


class _Driver:
    """Keeps a station on every share of the cluster until all parts are done."""

    def __init__(self, ray: Any, backend: Backend, place: str, own: WorkSettings) -> None:
        self._ray, self._backend, self._place, self._own = ray, backend, place, own
        self._running: dict[
            Any, tuple[str, Share]
        ] = {}  # name and share, by the reference of the station's result
        self._started = 0
        self._deaths = 0

    def run(self, plans: Plans) -> None:
        console = stderr_console()
        self._release_of_dead_drivers()
        parts = plans.parts
        done = parts - len(plans.open_parts(committed_parts(self._backend)))
        with Progress(self._place, parts, "parts", self._own.quiet, console, done=done) as bar:
            while True:
                now_done = parts - len(plans.open_parts(committed_parts(self._backend)))
                if now_done > done:
                    done, self._deaths = now_done, 0
                bar.show(done, f"{len(self._running)} stations")
                if done >= parts and not self._running:
                    return
                if done < parts:
                    self._fill()
                if not self._running:
                    raise FeatxError(
                        f"--address {self._own.address}: the cluster has no machine with a free core"
                    )
                self._look(console)

    def _release_of_dead_drivers(self) -> None:
        """Lets others take what stations of this cluster had in hand: they end with the driver that started them."""
        addresses = {node["NodeManagerAddress"] for node in self._ray.nodes()}
        for number, claim in read_claims(self._backend).items():
            if claim.station.rpartition("#")[0] in addresses:
                release(self._backend, number)

    def _fill(self) -> None:
        """Starts a station on every share that has none."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        has_gpus = self._own.device != "cpu"
        taken = [(share.node, share.gpus) for _, share in self._running.values()]
        for share in shares_of(self._ray.nodes(), has_gpus):
            if (share.node, share.gpus) in taken:
                taken.remove((share.node, share.gpus))
                continue
            # max_calls: a process of its own, which ends with the station
            station = self._ray.remote(max_calls=1, max_retries=0)(run_station).options(
                num_cpus=share.cpus,
                num_gpus=share.gpus,
                scheduling_strategy=NodeAffinitySchedulingStrategy(share.node, soft=False),
            )
            self._started += 1
            name = f"{share.address}#{self._started}"
            words = words_of(self._place, self._own, share)
            self._running[station.remote(words, name)] = name, share

    def _look(self, console: Any) -> None:
        """Waits a while; says which stations have ended badly, and lets others take their parts at once.

        Raises:
            FeatxError: If stations end badly again and again.
        """
        ended, _ = self._ray.wait(list(self._running), timeout=LOOK_S)
        for reference in ended:
            name, _ = self._running.pop(reference)
            try:
                code, said = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                code, said = None, str(error).strip().splitlines()[-1] or type(error).__name__
            if code in EXIT_CODES_OF_WORK:
                continue
            self._deaths += 1
            say(f"station {name} ended ({said}); another one takes its place", console)
            if self._deaths >= MOST_DEATHS:
                raise FeatxError(
                    f"{self._place}: {self._deaths} stations ended one after another without a part done; the last one said: "
                    f"{said}"
                )
            for number, claim in read_claims(self._backend).items():
                if claim.station == name:
                    release(self._backend, number)
