"""``run.json``: what belongs to a run, so that what is missing can be told from what does not.

Keys: ``config``, and ``lines``, a list of [dataset, model, seed, label, num_edits, sequence,
config_hash] with one entry for each line that ``results.jsonl`` has once everything has been run;
the hash is null as long as it is not known (facts or meta-training are not there yet).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.config import BenchmarkConfig
from benchmarks.grid import Cell, choose_sequences
from benchmarks.inventory import Inventory
from benchmarks.results import Result, read_results
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import read_json, write_json

MANIFEST = "run.json"


def write_manifest(inventory: Inventory, out: Path) -> None:
    """Write what belongs to the run, with the hashes that are known by now."""
    lines = [line for cell in inventory.cells() for line in _lines(inventory, cell)]
    write_json(out / MANIFEST, {"config": inventory.config.to_dict(), "lines": lines})


def check_same_benchmark(config: BenchmarkConfig, out: Path, *, resume: bool) -> None:
    """Refuse to add to the results of another benchmark, unless ``resume`` says so.

    A config of the same name that was changed is the same benchmark: each line of the results has
    a hash of what it depends on.

    Raises:
        ConfigError: names both benchmarks and the ways out.
    """
    path = out / MANIFEST
    if resume or not path.is_file() or not read_results(out / "results.jsonl"):
        return
    try:
        other = read_json(path)["config"]["name"]
    except (DataError, KeyError, TypeError):
        return  # it will be written anew
    if other != config.name:
        raise ConfigError(
            f"{out}: holds results of the benchmark {other!r}, not of {config.name!r}; give "
            "another folder with --out, or --resume to go on in this one"
        )


def in_order(out: Path, results: Sequence[Result]) -> list[Result]:
    """Results in the order of their run's config, others last; they are written as they come."""
    path = out / MANIFEST
    lines = read_json(path).get("lines", []) if path.is_file() else []
    places = {tuple(line[:4]): number for number, line in reversed(list(enumerate(lines)))}
    return sorted(results, key=lambda result: places.get(result.cell, len(lines)))


def _lines(inventory: Inventory, cell: Cell) -> list[list[Any]]:
    setting, entry = cell.setting, cell.entry
    job = inventory.cell_job(cell)
    if inventory.ready(setting) is not None:
        sequences = inventory.sequences(cell)
    else:  # as asked for: how many cases there are is not known yet
        asked = [edits * count for edits, count in inventory.config.lengths if edits != "max"]
        cases = max(asked, default=1)
        sequences = choose_sequences(inventory.config, setting.seed, cases, cell.longest)
    place = [setting.dataset.name, setting.model.name, setting.seed, entry.label]
    known = None if job is None else job.result["config_hash"]
    return [[*place, one.num_edits, one.number, known] for one in sequences]
