"""Worker processes on the machines of a Ray cluster.

Every machine must see the same folders at the same places: this repository, the Python
environment, the data and the output folder (a network file system does). A Ray task starts the
same worker process that a local run would, waits for it and says how it ended; the driver alone
writes results. A task whose machine or Ray worker is lost is run again elsewhere, where it goes on
after the sequences that the lost one has finished.
"""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.config import ROOT
from benchmarks.jobs import JobFiles, Kind
from benchmarks.pool import Ended, Needs, launch, oom_kills, outcome
from dafnet_plugin.errors import ConfigError

RETRIES = 3
"""How often a task is run again whose worker was lost."""

CANCEL_SECONDS = 10.0
CONNECT_SECONDS = 10.0

PASSED_ON = ("EASYEDIT_HOME", "HF_HOME", "OMP_WAIT_POLICY", "PYTHONPATH")
"""Environment variables of the driver that its workers get, wherever they run."""


class RayPool:
    """A Ray cluster as a :class:`benchmarks.pool.Pool`.

    Args:
        address: of the cluster; None for the one of ``RAY_ADDRESS``, or else one on this machine.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str | None = None) -> None:
        self._ray = ray = _import_ray()
        self._owner = not ray.is_initialized()
        if self._owner:
            try:
                _knock(address or os.environ.get("RAY_ADDRESS", ""))
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (OSError, RuntimeError, ValueError) as error:
                raise ConfigError(f"--ray {address or ''}: {error}") from error
        self._run = ray.remote(_task(str(ROOT)))
        self._running: dict[Any, JobFiles] = {}
        self._machines: dict[str, dict[str, float]] = {}

    def has_room(self, needs: Needs) -> bool:
        """Always: Ray decides what runs when."""
        return True

    def start(self, kind: Kind, files: JobFiles, needs: Needs) -> None:
        """Hand a job to Ray.

        Raises:
            ConfigError: no machine of the cluster could ever run it.
        """
        fitting = self._fitting(needs)
        options: dict[str, Any] = {
            "name": f"{files.path.parent.name}/{files.path.stem}",
            "num_cpus": needs.cpus,
            "num_gpus": needs.gpus,
            "max_retries": RETRIES,
        }
        if needs.memory_mb is not None:
            # An estimate above what any machine has would make the task wait for ever.
            most = max(machine.get("memory", 0.0) for machine in fitting)
            options["memory"] = int(min(needs.memory_mb * 1024**2, most))
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        if "EASYEDIT_HOME" in environment:
            environment["EASYEDIT_HOME"] = os.path.abspath(environment["EASYEDIT_HOME"])
        reference = self._run.options(**options).remote(kind, str(files.path), environment)
        self._running[reference] = files

    def ended(self) -> list[tuple[JobFiles, Ended]]:
        """The jobs that have ended since the last call."""
        if not self._running:
            return []
        references = list(self._running)
        over, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        return [(self._running.pop(reference), self._outcome(reference)) for reference in over]

    def close(self) -> None:
        """Cancel what still runs; a cluster that was started for this run goes, too."""
        running = list(self._running)
        for reference in running:
            self._ray.cancel(reference, force=True)
        if running:
            self._ray.wait(running, num_returns=len(running), timeout=CANCEL_SECONDS)
        self._running.clear()
        if self._owner:
            self._ray.shutdown()

    def _outcome(self, reference: Any) -> Ended:
        try:
            return Ended(**self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            first = str(error).strip().partition("\n")[0]
            return Ended(-1, f"Ray: {type(error).__name__}: {first}")

    def _fitting(self, needs: Needs) -> list[dict[str, float]]:
        """The machines, those lost since included, with cores and accelerators enough."""
        for machine in self._ray.nodes():
            if machine["Alive"]:
                self._machines[machine["NodeID"]] = machine["Resources"]
        wanted = {"CPU": needs.cpus, "GPU": needs.gpus}
        fitting = [
            machine
            for machine in self._machines.values()
            if all(machine.get(name, 0.0) >= count for name, count in wanted.items())
        ]
        if not fitting:
            raise ConfigError(
                f"no machine of the Ray cluster has {needs.cpus} CPUs and {needs.gpus} GPUs, as a "
                "worker needs; set threads or device in the config"
            )
        return fitting


def _task(root: str) -> Callable[[Kind, str, Mapping[str, str]], dict[str, Any]]:
    """What Ray runs. A function inside a function travels with its code, so that machines find
    this package although it is not installed there.
    """

    def run(kind: Kind, path: str, environment: Mapping[str, str]) -> dict[str, Any]:
        import sys

        if root not in sys.path:
            sys.path.insert(0, root)
        from benchmarks.distributed import run_here

        return run_here(kind, path, environment)

    return run


def run_here(kind: Kind, path: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a worker process on this machine; returns the fields of :class:`Ended`."""
    files = JobFiles(Path(path))
    if not files.path.is_file():
        place = f"{socket.gethostname()} does not see {files.path}"
        return asdict(Ended(1, f"{place}: the output folder must be shared by all machines"))
    kills = oom_kills()
    process = launch(kind, files, environment)
    try:
        return asdict(outcome(files, process.wait(), kills))
    finally:
        process.kill()


def _knock(address: str) -> None:
    """Fail at once where nobody answers, which Ray would try for minutes.

    Raises:
        OSError: says why.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS):
            pass


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ConfigError(
            "--ray needs Ray, which is not installed: pip install 'dafnet-plugin[distributed]'"
        ) from error
