"""The grid on a Ray cluster of two workers on this machine, one of which is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import benchmarks.runner as runner
from benchmarks.distributed import RayPool, run_here
from benchmarks.jobs import JobFiles
from benchmarks.pool import Needs
from benchmarks.results import read_results
from dafnet_plugin.errors import ConfigError
from tests.benchmarks.stand_in import config, install, noted
from tests.benchmarks.test_runner import MODELS, SEQUENCES, Grid, last_worker

NO_RAY = "no Ray: pip install 'dafnet-plugin[distributed]'"


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'dafnet-plugin\[distributed\]'"):
        RayPool()


def test_a_machine_that_does_not_see_the_output_folder_says_so(tmp_path: Path) -> None:
    ended = run_here("cell", str(tmp_path / "a.cell.json"), {})
    assert ended["status"] == 1 and "must be shared by all machines" in ended["error"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A cluster whose head runs no tasks, with two machines of one core each."""
    pytest.importorskip("ray", reason=NO_RAY)
    from ray.cluster_utils import Cluster

    for name, value in install(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STAND_IN_PACE", "0.05")
    monkeypatch.setattr(runner, "easyedit_version", lambda: "stand-in")
    monkeypatch.setattr("benchmarks.inventory.easyedit_version", lambda: "stand-in")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.machines = [made.add_node(num_cpus=1) for _ in range(2)]
    made.wait_for_nodes()
    yield made
    import ray

    ray.shutdown()
    made.shutdown()


def when(condition: Callable[[], Any], then: Callable[[Any], object]) -> threading.Thread:
    """Do something in the background as soon as a condition holds."""

    def wait() -> None:
        while not (found := condition()):
            time.sleep(0.02)
        then(found)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_lost_worker_and_a_lost_machine_cost_nothing(cluster: Any, tmp_path: Path) -> None:
    grid = Grid(tmp_path)

    def editing() -> int | None:
        return last_worker(grid) if grid.done("edit", "FT", "1") else None

    def kill_ray_worker(process: int) -> None:
        """Of a worker process the parent, which Ray has started."""
        stat = Path(f"/proc/{process}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)

    first = when(editing, kill_ray_worker)
    second = when(
        lambda: grid.done("edit", "MEND", "1"), lambda _: cluster.remove_node(cluster.machines[0])
    )
    results = runner.run_benchmark(
        config(), data_dir=tmp_path, out=grid.out, pool=RayPool(cluster.address)
    )
    first.join(1)
    second.join(1)
    assert not first.is_alive() and not second.is_alive()
    assert [(r.model, r.label, r.num_edits, r.sequence, r.status) for r in results] == [
        (model, label, *place, "ok")
        for model in MODELS
        for label in ("FT", "MEND")
        for place in SEQUENCES
    ]
    lines = (grid.out / "results.jsonl").read_text().splitlines()
    assert len(lines) == len(results) == len(read_results(grid.out / "results.jsonl"))
    # The sequences that the lost ones had finished were not run again; at most those under way.
    edited = Counter(tuple(words[1:]) for words in noted(grid.folder) if words[1] == "edit")
    assert sum(edited.values()) <= len(results) + 3


@pytest.mark.slow
def test_what_no_machine_can_run_is_refused(cluster: Any, tmp_path: Path) -> None:
    pool = RayPool(cluster.address)
    files = JobFiles(tmp_path / "a.cell.json")
    for needs in (Needs(cpus=8), Needs(gpus=1)):
        message = rf"has {needs.cpus} CPUs and {needs.gpus} GPUs, as a worker needs; set threads"
        with pytest.raises(ConfigError, match=message):
            pool.start("cell", files, needs)
    # More memory than there is would make Ray wait for ever.
    pool.start("cell", files, Needs(memory_mb=1e9))
    deadline = time.monotonic() + 60
    while not (ended := pool.ended()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [how.status for _, how in ended] == [1]
    pool.close()


def test_an_address_where_nobody_answers_is_named() -> None:
    pytest.importorskip("ray", reason=NO_RAY)
    with pytest.raises(ConfigError, match=r"--ray 127\.0\.0\.1:1: .*refused"):
        RayPool("127.0.0.1:1")


def _noted(grid: Grid) -> list[list[str]]:
    from tests.benchmarks.stand_in import noted

    return noted(grid.folder)
