"""The driver: from a config to ``results.jsonl``, going on from whatever is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.collect import RESULTS, Collector
from benchmarks.config import BenchmarkConfig
from benchmarks.display import Display
from benchmarks.estimates import Estimates, Timing, append_timing
from benchmarks.grid import Cell, Filter, Setting, clipped
from benchmarks.inventory import Inventory, easyedit_version
from benchmarks.manifest import check_same_benchmark, write_manifest
from benchmarks.methods import check_alg_name, get_adapter
from benchmarks.pool import Ended, LocalPool, Needs, Pool
from benchmarks.preparation import describe
from benchmarks.results import Result, read_results
from benchmarks.schedule import Task, run_tasks
from benchmarks.tasks import Editing, Preparation, Training
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.locks import exclusive


def run_benchmark(
    config: BenchmarkConfig,
    *,
    data_dir: Path,
    out: Path,
    only: Sequence[str] | None = None,
    command: str = "",
    pool: Pool | None = None,
    resume: bool = False,
    display: Display | None = None,
) -> list[Result]:
    """Run what has not been run yet, and return the results of the cells asked for.

    Each step is kept under ``out`` with a hash of its inputs: a second call only shows what the
    first one found. Failed sequences are tried again.

    Args:
        only: see :class:`benchmarks.grid.Filter`.
        command: the command line, for the results.
        pool: where workers run; this machine, one after another, by default.
        resume: go on in a folder that another benchmark has used, too.

    Raises:
        ConfigError, DataError: before any method is run, where that can be known.
        ConfigError: in the end, if code has changed that some of the cells depend on; the others
            have been run.
    """
    inventory = Inventory(config, data_dir, out, command)
    wanted = list(filter(Filter(config, only), inventory.cells()))
    for cell in wanted:
        check_alg_name(cell.entry.name, cell.entry.hparams_path(cell.setting.model))
        get_adapter(cell.entry.name, cell.entry.repaired, **cell.entry.options)
    display = display or Display()
    _say_what_is_left_out(inventory, display)
    with exclusive(out / ".lock", 0.0, "another run is writing into this folder"):
        check_same_benchmark(config, out, resume=resume)
        collector = Collector(out)
        collector.take_leftovers(out / "jobs")
        estimates = Estimates.of_folders([out])
        tasks = tasks_of(inventory, wanted, collector, estimates)
        with display.showing(tasks):
            observer = _Recorder(inventory, display)
            run_tasks(tasks, pool or LocalPool(), observer)
        write_manifest(inventory, out)
        editings = sorted(
            (task for task in tasks if isinstance(task, Editing)),
            key=lambda task: wanted.index(task.cell),
        )
        changed = [task for task in editings if task.changed]
        if changed:
            names = ", ".join(task.cell.name for task in changed)
            raise ConfigError(f"{changed[0].changed}. Not run: {names}")
        keys = [line.key for task in editings for line in task.wanted]
        found = {result.key: result for result in read_results(out / RESULTS)}
        return [found[key] for key in keys]


def tasks_of(
    inventory: Inventory, cells: Sequence[Cell], collector: Collector, estimates: Estimates
) -> list[Task]:
    """The work of some cells, in the order it should be done: base models first."""
    config = inventory.config
    preparations: dict[Setting, Preparation] = {}
    for setting in dict.fromkeys(cell.setting for cell in cells):
        needs = needs_of(config, estimates.preparation(setting).memory_mb)
        preparations[setting] = Preparation(inventory, setting, needs)
    trainings: dict[Cell, Training] = {}

    def training(cell: Cell) -> Training | None:
        if cell.entry.training is None:
            return None
        cell = inventory.trainee(cell)
        if cell not in trainings:
            pacemaker = inventory.pacemaker(cell)
            first = training(pacemaker) if pacemaker else None
            needs = needs_of(config, estimates.training(cell).memory_mb)
            trainings[cell] = Training(inventory, cell, preparations[cell.setting], first, needs)
        return trainings[cell]

    rest: list[Task] = []
    for setting, preparation in preparations.items():
        # The longest first, so that no core is left with one of them alone in the end.
        mine = sorted(
            (cell for cell in cells if cell.setting == setting),
            key=lambda cell: -(estimates.cell(cell, 1000).seconds or 0.0),
        )
        editings = [
            Editing(
                inventory,
                cell,
                preparation,
                training(cell),
                collector,
                needs_of(config, estimates.cell(cell, 1).memory_mb),
            )
            for cell in mine
        ]
        rest += [one for cell, one in trainings.items() if cell.setting == setting]
        rest += editings
    return [*preparations.values(), *rest]


def _say_what_is_left_out(inventory: Inventory, display: Display) -> None:
    here = {cell.entry.label for cell in inventory.cells()}
    absent = [entry.label for entry in inventory.config.entries if entry.label not in here]
    if absent:
        display.note(
            f"left out, as EasyEdit {easyedit_version()} does not have them: {', '.join(absent)}",
            style="yellow",
        )


def needs_of(config: BenchmarkConfig, memory_mb: float | None) -> Needs:
    """What a worker takes; without ``threads`` in the config, it is said to take one core."""
    on_gpu = str(config.device).startswith("cuda") or str(config.device).isdigit()
    return Needs(config.threads or 1, int(on_gpu), memory_mb)


class _Recorder:
    """Keeps the records of a run up to date, and passes on what happens to the display."""

    def __init__(self, inventory: Inventory, display: Display) -> None:
        self.inventory, self.display = inventory, display
        write_manifest(inventory, inventory.out)

    def skipped(self, task: Task) -> None:
        """See :class:`benchmarks.schedule.Observer`."""
        self.display.skipped(task)
        self._comment(task)

    def started(self, task: Task) -> None:
        """See :class:`benchmarks.schedule.Observer`."""
        self.display.started(task)

    def ended(self, task: Task, how: Ended) -> None:
        """See :class:`benchmarks.schedule.Observer`."""
        self.display.ended(task, how)
        self._comment(task)
        if how.status == 0 and how.seconds is not None:
            append_timing(self.inventory.out, self._timing(task, how))
        if not isinstance(task, Editing):  # hashes are known that were not
            write_manifest(self.inventory, self.inventory.out)

    def refresh(self) -> None:
        """See :class:`benchmarks.schedule.Observer`."""
        self.display.refresh()

    def _comment(self, task: Task) -> None:
        if not isinstance(task, Preparation):
            return
        found = self.inventory.ready(task.setting)
        if found is None:
            return
        self.display.note(f"{task.setting.name}: {describe(found)}")
        short = clipped(self.inventory.config, found.eval_cases)
        if short:
            self.display.note(
                f"{task.setting.name}: no {' or '.join(map(str, short))} edits in a sequence, "
                f"but {found.eval_cases}: all evaluation cases there are",
                style="yellow",
            )

    def _timing(self, task: Task, how: Ended) -> Timing:
        """What a task took, for later estimates."""
        seconds = how.seconds or 0.0
        if isinstance(task, Preparation):
            setting, label, method = task.setting, "", ""
        else:
            assert isinstance(task, Training | Editing)
            setting, entry = task.cell.setting, task.cell.entry
            label, method = entry.label, entry.name
        if isinstance(task, Training):
            # Of a training that was interrupted, this worker has only made the last part.
            record = self.inventory.training_record(task.cell)
            seconds = max(seconds, record["seconds"] if record else 0.0)
        return Timing(
            kind=task.kind,
            dataset=setting.dataset.name,
            model=setting.model.name,
            label=label,
            method=method,
            seconds=seconds,
            edits=task.edits if isinstance(task, Editing) else 0,
            peak_memory_mb=how.peak_memory_mb,
            setup_seconds=how.setup_seconds,
        )
