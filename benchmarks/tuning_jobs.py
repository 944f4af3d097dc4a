"""Tuning in worker processes: one search, of one method on one model, in each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from benchmarks.config import ROOT, BenchmarkConfig
from benchmarks.display import Display
from benchmarks.grid import Cell, cells_of
from benchmarks.inventory import Inventory
from benchmarks.jobs import JobFiles, Kind, TuneJob, job_files
from benchmarks.pool import Ended, Needs, Pool
from benchmarks.schedule import Task, run_tasks
from benchmarks.tasks import Preparation
from benchmarks.tuning import Budget, Trial, best_trial, trials_path, tune
from benchmarks.tuning.arena import settings_for
from benchmarks.tuning.winner import write_settings
from dafnet_plugin.errors import ConfigError
from dafnet_plugin.files import read_json, write_json
from dafnet_plugin.locks import exclusive

SPACES = ROOT / "benchmarks" / "tuning"


class Tuning:
    """The search of a cell's settings.

    Attributes:
        error: why it failed.
    """

    kind: Kind = "tune"

    def __init__(
        self, inventory: Inventory, cell: Cell, preparation: Preparation, budget: Budget, root: Path
    ) -> None:
        self.inventory, self.cell, self.budget = inventory, cell, budget
        self.name = f"{cell.name}: tuning"
        self.files: JobFiles = job_files(inventory.out, self.kind, cell.name)
        self.preparation, self.needs = preparation, preparation.needs
        self.after: list[Task] = [preparation]
        self.trials = trials_path(root, cell.entry.label, cell.setting.model.name)
        self.found = self.files.path.with_suffix(".trials")
        self.error = ""

    def job(self) -> TuneJob | None:
        """See :class:`benchmarks.schedule.Task`."""
        if self.preparation.error:
            self.error = f"no facts or base model: {self.preparation.error}"
            return None
        setting = self.cell.setting
        self.found.unlink(missing_ok=True)
        return TuneJob(
            config=self.inventory.config.to_dict(),
            dataset=setting.dataset.name,
            model=setting.model.name,
            seed=setting.seed,
            label=self.cell.entry.label,
            budget=dataclasses.asdict(self.budget),
            space=str(space_of(self.cell)),
            trials=str(self.trials.resolve()),
            found=str(self.found),
            data_dir=str(self.inventory.data_dir.resolve()),
            out=str(self.inventory.out.resolve()),
        )

    def waits_for(self, other: Task) -> bool:
        """Nothing that another search makes."""
        return False

    def look(self) -> None:
        """See :class:`benchmarks.schedule.Task`."""

    def ended(self, how: Ended) -> None:
        """See :class:`benchmarks.schedule.Task`."""
        if how.status:
            self.error = how.error

    @property
    def tried(self) -> list[Trial]:
        """The trials of this search; none if it did not come to its end."""
        return [Trial(**item) for item in read_json(self.found)] if self.found.is_file() else []


def space_of(cell: Cell) -> Path:
    """The search space of a cell's method."""
    return SPACES / f"{cell.entry.name}.yaml"


def tune_cells(
    inventory: Inventory,
    cells: Sequence[Cell],
    budget: Budget,
    pool: Pool,
    display: Display,
    root: Path = ROOT,
) -> list[Tuning]:
    """Tune the methods of some cells, all with the same budget.

    Args:
        root: trials go to ``benchmarks/results/tuning`` below it.

    Raises:
        ConfigError: there is nothing to tune, or a method would be tuned in more than one setting
            of a model: its YAML file can hold one outcome only.
    """
    cells = _to_tune(cells, display)
    with exclusive(inventory.out / ".lock", 0.0, "another run is writing into this folder"):
        needs = Needs(inventory.config.threads or 1)
        settings = dict.fromkeys(cell.setting for cell in cells)
        preparations = {one: Preparation(inventory, one, needs) for one in settings}
        tunings = [
            Tuning(inventory, cell, preparations[cell.setting], budget, root) for cell in cells
        ]
        tasks: list[Task] = [*preparations.values(), *tunings]
        with display.showing(tasks):
            run_tasks(tasks, pool, display)
    return tunings


def _to_tune(cells: Sequence[Cell], display: Display) -> list[Cell]:
    """The cells with a search space, one for each YAML file that is tuned."""
    places: dict[Path, Cell] = {}
    without: dict[str, None] = {}
    for cell in cells:
        path = cell.entry.hparams_path(cell.setting.model)
        if not space_of(cell).is_file():
            without[cell.entry.label] = None
        elif path not in places:  # entries that share a file share its settings
            places[path] = cell
        elif places[path].setting != cell.setting:
            raise ConfigError(
                f"{cell.entry.label} is tuned once for each model, but both {cell.setting.name} "
                f"and {places[path].setting.name} are asked for; choose with --only dataset=..."
            )
    if without:
        display.note(f"no search space in {SPACES}: {', '.join(without)}", style="yellow")
    if not places:
        raise ConfigError("there is nothing to tune")
    return list(places.values())


def best_table(tunings: Sequence[Tuning]) -> Table:
    """The best trial of each search."""
    table = Table(title="best trials", title_justify="left")
    for header in ("model", "method", "trials", "as it was", "best", "settings"):
        table.add_column(header)
    for tuning in tunings:
        trials = tuning.tried
        best = best_trial(trials)
        first = next((trial.score for trial in trials if trial.number == 0), None)
        row = [tuning.cell.setting.model.name, tuning.cell.entry.label, str(len(trials))]
        if best is None or tuning.error:
            table.add_row(*row, "", "[red]failed[/red]", escape(tuning.error))
            continue
        found = {key: value for part in best.settings.values() for key, value in part.items()}
        shown = ", ".join(f"{key}: {value}" for key, value in found.items()) or "as they were"
        scores = ["failed" if score is None else f"{score:.3f}" for score in (first, best.score)]
        table.add_row(*row, *scores, escape(shown))
    return table


def write_best(tuning: Tuning) -> list[Path]:
    """Put the settings of the best trial into the YAML files; returns those that changed."""
    entry, model, trials = tuning.cell.entry, tuning.cell.setting.model, tuning.tried
    best = best_trial(trials)
    if best is None:
        return []
    which = "the best" if best.settings else "the first (these settings), and the best,"
    how = (
        f"{which} of {len(trials)} trials on training facts of {best.dataset}, "
        f"benchmarks/results/tuning/{tuning.trials.name}."
    )
    files = {"editing": entry.hparams_path(model), "training": entry.training_path(model)}
    written = []
    for section, path in files.items():
        settings = settings_for(best.settings, section)
        if path is not None and (settings or not best.settings):
            write_settings(path, settings, how)
            written.append(path)
    return written


def run_tuning(job: TuneJob, progress: Callable[[float, float], object]) -> None:
    """Do the search of a job in this process."""
    config = BenchmarkConfig.from_dict(job.config)
    place = (job.dataset, job.model, job.seed, job.label)
    cell = next(
        cell
        for cell in cells_of(config)
        if (cell.setting.dataset.name, cell.setting.model.name, cell.setting.seed, cell.entry.label)
        == place
    )
    budget = Budget(**job.budget)
    trials = tune(
        config,
        cell.entry,
        cell.setting,
        Path(job.space),
        budget,
        trials=Path(job.trials),
        data_dir=Path(job.data_dir),
        out=Path(job.out),
        progress=lambda trial: progress(trial.number + 1, budget.trials),
    )
    write_json(job.found, [dataclasses.asdict(trial) for trial in trials])
