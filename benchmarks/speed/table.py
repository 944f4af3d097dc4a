"""The measurements as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.resources import MIB
from dafnet_plugin.errors import DataError

BEGIN, END = "<!-- measured / floor: begin -->", "<!-- measured / floor: end -->"
"""Between these lines of the README stands the table of the phases."""


def render(results: Mapping[str, Any]) -> str:
    """Everything, as ``speed.md`` has it."""
    parts = [*_head(results), "", *_metrics(results["metrics"]), *_notes(results["metrics"])]
    if results["phases"]:
        parts += ["", *floor_table(results)]
    parts += ["", *_budgets(results["benchmarks"])]
    parts += [f"\n**{name} failed:** {error}" for name, error in results["failed"].items()]
    return "\n".join(parts) + "\n"


def with_floor(readme: str, results: Mapping[str, Any]) -> str:
    """The README with its table of phases exchanged.

    Raises:
        DataError: it has no place for it.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise DataError(f"the README has no lines {BEGIN!r} and {END!r} to put the table between")
    return "\n".join([before + begin, "", *floor_table(results), "", end + after])


def floor_table(results: Mapping[str, Any]) -> list[str]:
    """Phases beside what the machine could do."""
    machine = results["machine_rates"]
    rows = [
        [
            phase["name"],
            _milliseconds(phase["seconds"]),
            " - ".join(map(_milliseconds, phase["spread"])),
            f"{phase['bytes'] / MIB:,.2f}",
            f"{phase['operations'] / 1e6:,.1f}",
            _milliseconds(phase["floor"]),
            f"{phase['over_floor']:.1f}",
            f"{phase['calls']:,}",
            ", ".join(f"{name} {share:.0%}" for name, share in phase["most"]),
        ]
        for phase in results["phases"]
    ]
    heads = ["phase", "ms", "spread", "MiB moved", "MFLOP", "floor, ms", "over floor"]
    heads += ["calls", "most time in (of operations)"]
    return [
        f"Copy {machine['copy_gib_per_s']:.2f} GiB/s (read and written), product of matrices "
        f"{machine['matmul_gflop_per_s']:.1f} GFLOP/s, float32. {_where(results['provenance'])}",
        "",
        *_table(heads, rows, "lrrrrrrrl"),
    ]


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    provenance = results["provenance"]
    yield f"    {provenance['command']}"
    yield ""
    kind = "Smoke test: sizes at which times mean nothing. " if provenance["smoke"] else ""
    yield f"{kind}{_where(provenance)} Medians, with the least and the most."


def _where(provenance: Mapping[str, Any]) -> str:
    machine = provenance["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in provenance["versions"].items())
    return (
        f"{machine['processor']}, {machine['threads']} of {machine['cpus']} CPUs, "
        f"{machine['platform']}; {versions}; seed {provenance['seed']}; "
        f"commit {provenance['commit']}."
    )


def _metrics(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    numbers = _numbers(metrics)
    for name, metric in metrics.items():
        spread = metric["spread"] or {}
        ratio = _number(metric["ratio"], spread.get("ratio"))
        if metric["ratio"] is not None and metric["ratio_of"] != "reference-like / ours":
            ratio += f" ({metric['ratio_of']})"
        rows.append(
            [
                metric["title"] + (f" [{numbers[name]}]" if name in numbers else ""),
                metric["unit"],
                _number(metric["ours"], spread.get("ours")),
                _number(metric["reference_like"], spread.get("reference_like")),
                ratio,
                metric["target"] or "",
                {True: "yes", False: "**no**", None: ""}[metric["met"]],
            ]
        )
    heads = ["what", "unit", "ours", "reference-like", "reference-like / ours", "target", "met"]
    return _table(heads, rows, "llrrrll")


def _notes(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    for name, number in _numbers(metrics).items():
        metric = metrics[name]
        missed = f" **Missed: {metric['missed']}.**" if metric["missed"] else ""
        yield f"- [{number}] {metric['note']}.{missed}"


def _numbers(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Numbers of those that have a note."""
    noted = [name for name, metric in metrics.items() if metric["note"]]
    return {name: number for number, name in enumerate(noted, 1)}


def _budgets(benchmarks: Mapping[str, Mapping[str, float]]) -> list[str]:
    rows = [
        [name, f"{spent['seconds']:.0f}", f"{spent['budget']:.0f}"]
        for name, spent in benchmarks.items()
    ]
    total = [sum(spent[key] for spent in benchmarks.values()) for key in ("seconds", "budget")]
    rows.append(["all", *(f"{value:.0f}" for value in total)])
    return _table(["benchmark", "seconds taken", "budget"], rows, "lrr")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> list[str]:
    marks = {"l": "---", "r": "--:"}
    lines = [heads, [marks[one] for one in align], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _number(value: float | None, spread: Sequence[float] | None) -> str:
    if value is None:
        return ""
    text = _short(value)
    if spread is not None and spread[0] != spread[1]:
        text += f" ({_short(spread[0])} - {_short(spread[1])})"
    return text


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _milliseconds(value: float) -> str:
    return _short(1000 * value)
