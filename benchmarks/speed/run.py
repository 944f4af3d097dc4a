"""All benchmarks, each with the time it may take, and what is written about them."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.config import ROOT
from benchmarks.machine import commit, processor
from benchmarks.speed import edits, training_step
from benchmarks.speed.context import Context
from benchmarks.speed.editing_memory import editing_memory
from benchmarks.speed.figures import write_figures
from benchmarks.speed.floor import floor
from benchmarks.speed.forward import forward
from benchmarks.speed.meta_training import meta_training
from benchmarks.speed.result import Outcome
from benchmarks.speed.signal import signal
from benchmarks.speed.sizes import FULL, SMOKE
from benchmarks.speed.table import render, with_floor
from benchmarks.speed.vocabulary import vocabulary
from dafnet_plugin.files import write_json, write_text
from dafnet_plugin.versions import versions

RESULTS = "benchmarks/results/speed"
SOME = ".cache/benchmarks/speed/some"
"""Where a run goes that is not all of it."""
README = Path(__file__).with_name("README.md")


@dataclass(frozen=True)
class Benchmark:
    """Something to measure.

    Attributes:
        budget: seconds it may take on two cores of a quiet machine; all together less than 900.
    """

    run: Callable[[Context], Outcome]
    budget: int


BENCHMARKS = {
    "floor": Benchmark(floor, 50),
    "training_step": Benchmark(training_step.times, 90),
    "training_memory": Benchmark(training_step.memory, 120),
    "edits": Benchmark(edits.edits, 120),
    "batch_edit": Benchmark(edits.batch_edit, 120),
    "forward": Benchmark(forward, 15),
    "signal": Benchmark(signal, 15),
    "loss_memory": Benchmark(vocabulary, 25),
    "editing_memory": Benchmark(editing_memory, 45),
    "meta_training": Benchmark(meta_training, 290),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write ``speed.json``, ``speed.md`` and the plots; status 1 if some failed."""
    options = _parser().parse_args(arguments)
    sizes = SMOKE if options.smoke else FULL
    threads = options.threads or _cpus()
    torch.set_num_threads(threads)
    out = options.out or ROOT / (RESULTS if sizes == FULL and not options.only else SOME)
    work = options.work / ("smoke" if options.smoke else "full")
    context = Context(sizes, options.seed, threads, work)
    results: dict[str, Any] = {
        "provenance": _provenance(arguments, options, threads),
        "metrics": {},
        "curves": {},
        "machine_rates": None,
        "phases": [],
        "benchmarks": {},
        "failed": {},
    }
    for name in options.only or BENCHMARKS:
        start = time.perf_counter()
        try:
            add(results, BENCHMARKS[name].run(context))
        except Exception as error:  # whatever it is, the others shall be measured
            traceback.print_exc()
            results["failed"][name] = f"{type(error).__name__}: {error}"
        spent = time.perf_counter() - start
        results["benchmarks"][name] = {"seconds": spent, "budget": BENCHMARKS[name].budget}
        write_json(out / "speed.json", results)  # what is done is not lost when this one is killed
        print(f"{name}: {spent:.0f} s of {BENCHMARKS[name].budget}", file=sys.stderr)
    write_text(out / "speed.md", render(results))
    write_figures(results["curves"], out)
    if options.readme and results["phases"]:
        write_text(README, with_floor(README.read_text(encoding="utf-8"), results))
    print(render(results))
    return 1 if results["failed"] else 0


def add(results: dict[str, Any], outcome: Outcome) -> None:
    """Put what a benchmark found to the rest."""
    smoke = results["provenance"]["smoke"]
    results["metrics"] |= {metric.name: metric.to_dict(smoke) for metric in outcome.metrics}
    for plot, curves in (outcome.curves or {}).items():
        results["curves"][plot] = [asdict(curve) for curve in curves]
    results["phases"] += [
        asdict(phase) | {"over_floor": phase.over_floor} for phase in outcome.phases
    ]
    results["machine_rates"] = outcome.machine or results["machine_rates"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Measure DAFNet beside the same algorithm written the plain way.",
        epilog="Give it a machine with nothing else to do: 15 minutes on two cores.",
    )
    parser.add_argument(
        "--smoke", action="store_true", help="tiny sizes: what is counted holds, times do not"
    )
    parser.add_argument(
        "--only",
        action="extend",
        nargs="+",
        choices=BENCHMARKS,
        metavar="METRIC",
        help=", ".join(BENCHMARKS),
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where to ({RESULTS}, or {SOME} with --only or --smoke)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of models and facts (%(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="of torch (all CPUs)")
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / ".cache" / "benchmarks" / "speed",
        metavar="DIR",
        help="where the tiny world and its model are kept between runs",
    )
    parser.add_argument(
        "--readme", action="store_true", help="write the table of phases into the README as well"
    )
    return parser


def _provenance(
    arguments: Sequence[str] | None, options: argparse.Namespace, threads: int
) -> dict[str, Any]:
    given = sys.argv[1:] if arguments is None else arguments
    return {
        "command": " ".join(["python -m benchmarks.speed", *map(str, given)]),
        "smoke": options.smoke,
        "seed": options.seed,
        "machine": {
            "processor": processor(),
            "cpus": os.cpu_count(),
            "threads": threads,
            "platform": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version()} | versions(),
        "commit": commit(),
    }


def _cpus() -> int:
    """CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
