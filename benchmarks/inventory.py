"""What a run has already, and the jobs that make the rest; nothing is computed here."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

from benchmarks.config import BenchmarkConfig, MethodConfig
from benchmarks.fingerprint import cell_code, training_code
from benchmarks.grid import Cell, Setting, cells_of, choose_sequences, folder_of
from benchmarks.jobs import CellJob, PrepareJob, TrainingJob, digest, job_files
from benchmarks.jobs import Sequence as EditSequence
from benchmarks.methods import read_yaml
from benchmarks.preparation import Ready, prepare_job, ready, siblings
from benchmarks.worker import STARTED
from dafnet_plugin.errors import EasyEditError
from dafnet_plugin.files import read_json, sha256

FORMAT = 2
"""Raised whenever the harness would measure something else with the same inputs."""

SAME_TIME = 0.1
"""A method that trains as long as another trains anew when that one's time changed by more."""


class Inventory:
    """What is there of a run.

    Args:
        command: the command line, for the results.
    """

    def __init__(
        self, config: BenchmarkConfig, data_dir: Path, out: Path, command: str = ""
    ) -> None:
        self.config, self.data_dir, self.out, self.command = config, data_dir, out, command
        self._ready: dict[Setting, Ready] = {}

    def cells(self) -> list[Cell]:
        """All cells of the config that this EasyEdit can run."""
        version = easyedit_version().partition(" ")[0]
        return [
            cell for cell in cells_of(self.config) if cell.entry.only_easyedit in (None, version)
        ]

    # -- settings ---------------------------------------------------------------------------

    def prepare_job(self, setting: Setting) -> PrepareJob:
        """The job that makes the facts and the base model of a setting."""
        return prepare_job(self.config, setting, self.data_dir, self.out)

    def ready(self, setting: Setting) -> Ready | None:
        """The facts and the base model; None if they are not there, or not the right ones."""
        if setting not in self._ready:
            found = ready(self.prepare_job(setting))
            if found is None:
                return None
            self._ready[setting] = found
        return self._ready[setting]

    def sequences(self, cell: Cell) -> list[EditSequence]:
        """The sequences of edits of a cell whose setting is ready."""
        cases = self._made(cell.setting).eval_cases
        return choose_sequences(self.config, cell.setting.seed, cases, cell.longest)

    def _made(self, setting: Setting) -> Ready:
        found = self.ready(setting)
        if found is None:
            raise LookupError(f"{setting.name} is not ready")
        return found

    # -- meta-training ----------------------------------------------------------------------

    def trainee(self, cell: Cell) -> Cell:
        """The cell whose meta-training a cell uses.

        It is the first of those with the same method, YAML file and time limit, which differ
        only in how they edit.
        """
        entries = self._entries(cell)

        def recipe(entry: MethodConfig) -> tuple[str, Path | None]:
            return entry.name, entry.training_path(cell.setting.model)

        def pace(entry: MethodConfig) -> float | str | None:
            limit = self.config.pace(entry)
            setter = next((e for e in entries if e.label == limit), entry)
            # As long as itself is as its file says, which goes for its variants as well.
            same = setter is not entry and recipe(setter) == recipe(entry)
            return self.config.pace(setter) if same else limit

        mine = recipe(cell.entry), pace(cell.entry)
        entry = next(e for e in entries if (recipe(e), pace(e)) == mine)
        return Cell(cell.setting, entry)

    def pacemaker(self, cell: Cell) -> Cell | None:
        """The trainee whose meta-training says how long this one's takes."""
        pace = self.config.pace(cell.entry)
        if not isinstance(pace, str) or cell.entry.training is None:
            return None
        entry = next(e for e in self._entries(cell) if e.label == pace)
        return self.trainee(Cell(cell.setting, entry))

    def _entries(self, cell: Cell) -> list[MethodConfig]:
        place = cell.setting.model.name, cell.setting.dataset.name
        return [entry for entry in self.config.entries if entry.runs_on(*place)]

    def training_job(self, cell: Cell) -> TrainingJob | None:
        """The job of a cell's meta-training; None if what it needs is not there yet.

        A cell without meta-training has none either.
        """
        cell = self.trainee(cell)
        setting, entry, config = cell.setting, cell.entry, self.config
        hparams, found = entry.training_path(setting.model), self.ready(setting)
        if hparams is None or found is None:
            return None
        folder = folder_of(self.out, cell).resolve()
        seconds = self._training_seconds(cell, folder)
        if seconds is None and config.pace(entry) is not None:
            return None
        code = training_code(entry.name)
        inputs = {
            "format": FORMAT,
            "method": entry.name,
            "easyedit": easyedit_version(),
            "code": code,
            "hparams": read_yaml(hparams),
            "model": found.hashes["model"],
            "cases": found.hashes["train"],
            "texts": found.hashes["texts"],
            "device": config.device,
            "seed": setting.seed,
            "seconds": seconds,
        }
        return TrainingJob(
            alg_name=entry.name,
            label=entry.label,
            hparams=str(hparams),
            model=str(Path(found.model).resolve()),
            cases=found.train,
            texts=found.texts,
            folder=str(folder),
            device=config.device,
            threads=config.threads,
            inputs=digest(inputs),
            code=code,
            seed=setting.seed,
            seconds=seconds,
        )

    def _training_seconds(self, cell: Cell, folder: Path) -> float | None:
        """How long to train; None for as long as the YAML file says, or if it is not known yet."""
        pace = self.config.pace(cell.entry)
        if not isinstance(pace, str):
            return None if pace is None else float(pace)
        pacemaker = self.pacemaker(cell)
        record = None if pacemaker is None else self.training_record(pacemaker)
        if record is None:
            return None
        wanted = float(record["seconds"])
        started = folder / STARTED
        earlier = read_json(started).get("seconds") if started.is_file() else None
        if earlier is not None and abs(earlier - wanted) <= SAME_TIME * wanted:
            return float(earlier)
        return wanted

    def training_record(self, cell: Cell) -> dict[str, Any] | None:
        """What an ended meta-training left: archive, seconds; None if there is none that holds.

        That of another data set holds, too, if it had the same base model and training cases.
        """
        job = self.training_job(cell)
        if job is None:
            return None
        place = Path(job.folder)
        others = (other / place.name / job.record.name for other in siblings(place.parent))
        for path in (job.record, *others):
            record = read_json(path) if path.is_file() else {}
            if record.get("inputs") == job.inputs and Path(record["archive"]).exists():
                return record
        return None

    # -- cells ------------------------------------------------------------------------------

    def cell_job(self, cell: Cell) -> CellJob | None:
        """The job of a cell, with all of its sequences; None if what it needs is not there yet."""
        setting, entry, config = cell.setting, cell.entry, self.config
        found = self.ready(setting)
        record = self.training_record(cell)
        if found is None or (entry.training is not None and record is None):
            return None
        archive = None if record is None else record["archive"]
        measured = config.consistency_settings
        hparams, code = entry.hparams_path(setting.model), cell_code(entry.name, bool(measured))
        inputs = {
            "format": FORMAT,
            "method": entry.name,
            "repaired": entry.repaired,
            "options": entry.options,
            "easyedit": easyedit_version(),
            "code": code,
            "hparams": _settings(hparams),
            "archive": _tree_hash(Path(archive)) if archive else None,
            **{f"file of {name}": value for name, value in found.hashes.items()},
            "seed": setting.seed,
            "device": config.device,
            # Without the key, hashes are what they were when there was none.
            **({"consistency": measured.to_dict()} if measured else {}),
        }
        model = str(Path(found.model).resolve())
        overrides: dict[str, Any] = {
            "model_name": model,
            "tokenizer_name": model,
            "device": config.device,
            "results_dir": str(self.out.resolve()),
            # EasyEdit tells models apart by their path only, and a path may get another model.
            "stats_dir": str((self.out / "stats" / found.hashes["model"][:16]).resolve()),
        }
        if archive is not None:
            overrides["archive"] = archive
        return CellJob(
            alg_name=entry.name,
            label=entry.label,
            hparams=str(hparams),
            model=model,
            cases=found.evaluation,
            train_cases=found.train,
            texts=found.texts,
            bystanders=found.bystanders,
            lines=str(job_files(self.out, "cell", cell.name).lines),
            details=str(self.out.resolve()),
            threads=config.threads,
            result=identity(cell, self.command)
            | {
                "config_hash": digest(inputs),
                "training_seconds": None if record is None else record["seconds"],
            },
            overrides=overrides,
            code=code,
            repaired=entry.repaired,
            options=entry.options,
            sequences=self.sequences(cell),
            consistency=measured.to_dict() if measured else None,
            pairs=found.pairs,
        )


def identity(cell: Cell, command: str = "") -> dict[str, Any]:
    """The fields of a result that are known of a cell before anything is."""
    return {
        "method": cell.entry.name,
        "variant": cell.entry.variant,
        "model": cell.setting.model.name,
        "dataset": cell.setting.dataset.name,
        "seed": cell.setting.seed,
        "config_hash": "",
        "command": command,
    }


def _settings(path: Path) -> dict[str, Any]:
    """The values of a YAML file, and of that of the method inside, which SimIE has."""
    values = read_yaml(path)
    inside = values.get("base_method")
    file = path.parents[1] / str(inside) / path.name
    return values | ({"file of base_method": read_yaml(file)} if file.is_file() else {})


def _tree_hash(path: Path) -> str:
    """Of an archive: a file, or the weights and settings in a folder."""
    if path.is_file():
        return sha256(path)
    kept = [p for p in sorted(path.iterdir()) if p.suffix in (".json", ".safetensors")]
    return digest({p.name: sha256(p) for p in kept})


@functools.cache
def easyedit_version() -> str:
    """Which EasyEdit there is; it is imported by the workers only.

    Raises:
        EasyEditError: there is none, or one that is not supported.
    """
    from dafnet_plugin.easyedit.compat import install, locate

    install()
    spec = importlib.util.find_spec(locate.PACKAGE)
    if spec is None or spec.origin is None:
        raise EasyEditError(
            "EasyEdit is not there: pip install --no-deps easyeditor==0.0.1.dev0, or set "
            "EASYEDIT_HOME to a checkout of it"
        )
    location = locate.locate(spec.origin)
    return f"{location.version} {locate.package_version(location)}"
