"""Made-up results, in shape like those of a study. Test data: no model has said any of this."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import (
    CaseDetail,
    Details,
    Example,
    Result,
    append_result,
    details_path,
    write_details,
)
from dafnet_plugin.data.ripple import CRITERIA

KINDS = ("reliability", "generality", "locality", "portability")
# Reliability and locality of one edit, what a tenfold of edits takes from each; seconds per edit.
METHODS: dict[tuple[str, str], tuple[float, float, float, float, float]] = {
    ("DAFNET", ""): (0.99, 0.985, 0.012, 0.02, 0.03),
    ("DAFNET", "paper"): (0.80, 0.75, 0.30, -0.05, 0.03),
    ("GRACE", ""): (0.93, 0.96, 0.012, 0.012, 0.36),
    ("MEMIT", ""): (0.97, 0.92, 0.05, 0.22, 0.39),
    ("MEND", ""): (0.88, 0.90, 0.40, 0.20, 0.04),
    ("SERAC", ""): (0.80, 0.93, 0.03, 0.06, 0.002),
    ("SERAC", "as-is"): (0.80, 0.93, 0.35, 0.01, 0.002),
    ("FT", ""): (0.92, 0.70, 0.12, 0.20, 0.19),
}
MORE_METHODS = METHODS | {
    ("AlphaEdit", ""): (0.96, 0.95, 0.03, 0.15, 0.38),
    ("EMMET", ""): (0.94, 0.90, 0.06, 0.20, 0.33),
    ("LoRA", ""): (0.99, 0.60, 0.10, 0.12, 0.9),
    ("LoRA", "as-is"): (0.99, 0.60, 0.40, 0.02, 0.9),
    ("MALMEN", ""): (0.90, 0.93, 0.05, 0.10, 0.05),
    ("PMET", ""): (0.91, 0.94, 0.07, 0.17, 0.45),
    ("R-ROME", ""): (0.93, 0.88, 0.08, 0.23, 0.35),
    ("ROME", ""): (0.93, 0.87, 0.09, 0.25, 0.34),
    ("ULTRAEDIT", ""): (0.97, 0.95, 0.18, 0.2, 0.04),
    ("WISE", ""): (0.85, 0.97, 0.12, 0.04, 0.27),
}
MARKUP = "<script>alert(1)</script> & \"quotes\" 'n' {{ braces }}"


def write_results(
    folder: Path,
    *,
    methods: dict[tuple[str, str], tuple[float, float, float, float, float]] | None = None,
    datasets: Sequence[str] = ("pararel", "ripple"),
    models: Sequence[str] = ("tiny-gpt2", "tiny-llama"),
    lengths: dict[int, int] | None = None,
    failing: tuple[str, str, str, int] | None = ("pararel", "tiny-llama", "MEND", 100),
    missing: tuple[str, str, str, int] | None = ("ripple", "tiny-gpt2", "FT", 1000),
    with_details: bool = True,
) -> list[Result]:
    """Write ``results.jsonl`` and details; ``lengths``: number of edits to sequences.

    One sequence of the ``failing`` (data set, model, method, edits) fails; of the ``missing`` one
    there is no line.
    """
    lengths = lengths or {1: 12, 10: 5, 100: 3, 1000: 1}
    written = []
    for dataset in datasets:
        for model in models:
            for (method, variant), profile in (methods or METHODS).items():
                for num_edits, sequences in lengths.items():
                    place = (dataset, model, method, num_edits)
                    for sequence in range(sequences):
                        if place == missing:
                            continue
                        failed = place == failing and sequence == sequences - 1
                        result, details = make(
                            (method, variant), profile, dataset, model, num_edits, sequence, failed
                        )
                        append_result(folder / "results.jsonl", result)
                        if with_details and not failed:
                            write_details(details_path(folder, result), details)
                        written.append(result)
    return written


def make(
    entry: tuple[str, str],
    profile: tuple[float, float, float, float, float],
    dataset: str,
    model: str,
    num_edits: int,
    sequence: int,
    failed: bool,
) -> tuple[Result, Details]:
    """One sequence of edits."""
    method, variant = entry
    # Cases are as hard for all methods alike, so that comparing in pairs matters.
    cases = _rng(dataset, model, num_edits, sequence)
    rng = _rng(dataset, model, num_edits, sequence, method, variant)
    learn, keep, forget, harm, seconds = profile
    width = int(model.rpartition("inner")[2]) if "inner" in model else 768
    tens = max(0.0, np.log10(num_edits * 768 / width))
    learn -= 0.04 * (model == "tiny-llama")
    end = {
        "reliability": learn - forget * tens**1.5,
        "generality": 0.96 * learn - 1.2 * forget * tens**1.5,
        "locality": keep - harm * tens**1.2,
        "portability": 0.5 * learn - 0.6 * forget * tens**1.5,
    }
    start = {"reliability": learn, "generality": 0.96 * learn, "portability": 0.5 * learn}
    start["locality"] = keep - 0.5 * harm * tens**1.2
    hardness = {kind: cases.random(num_edits) for kind in KINDS}
    now = {k: _passed(start[k], hardness[k], rng) for k in KINDS}
    last = now if num_edits == 1 else {k: _passed(end[k], hardness[k], rng) for k in KINDS}
    if dataset != "ripple":
        now["portability"] = last["portability"] = np.full(num_edits, np.nan)

    def mean(scores: dict[str, np.ndarray], kind: str) -> float | None:
        return None if np.isnan(scores[kind]).all() else round(float(scores[kind].mean()), 6)

    identity = {
        "method": method,
        "variant": variant,
        "model": model,
        "dataset": dataset,
        "num_edits": num_edits,
        "sequence": sequence,
        "seed": 0,
        "config_hash": f"{zlib.crc32(repr((dataset, model, entry)).encode()):016x}",
        "versions": {
            "python": "3.11.7",
            "torch": "2.13.0+cpu",
            "easyeditor": "wheel 0.0.1.dev0",
            "commit": "0123456789ab",
        },
        "machine": {"device": "cpu", "cpus": 2, "threads": 1, "platform": "Linux x86_64"},
        "command": f"python -m benchmarks run made-up/{dataset}.yaml",
        "time": f"2026-01-0{1 + sequence % 3}T0{len(method) % 10}:00:00+00:00",
    }
    if failed:
        result = Result(**identity, status="failed", error="RuntimeError: <made up> & failed")
        return result, Details(result.config_hash, [])
    drift = max(0.0, 1 - end["locality"])
    result = Result(
        **identity,
        status="ok",
        before_reliability=0.01,
        before_generality=0.02,
        before_portability=0.1 if dataset == "ripple" else None,
        **{f"immediate_{kind}": mean(now, kind) for kind in KINDS},
        **{f"final_{kind}": mean(last, kind) for kind in KINDS},
        retention=_ratio(mean(last, "reliability"), mean(now, "reliability")),
        criteria=_criteria(num_edits, mean(now, "portability"), mean(last, "portability")),
        forgetting=_forgetting(num_edits, start, end),
        perplexity_before=12.0,
        perplexity_after=round(12 * (1 + 3 * drift**2 * tens), 4),
        kl=round(drift**2 * tens * 0.5, 6),
        unrelated_before=0.98,
        unrelated_after=round(0.98 - 0.6 * drift * tens / 3, 4),
        fluency_before=5.9,
        fluency_after=round(5.9 - drift * tens, 4),
        **(_consistency(end["reliability"], drift) if dataset == "ripple" else {}),
        weight_change=round(0.002 * num_edits**0.5, 6),
        seconds_per_edit=round(seconds * (1 + 0.2 * tens + 0.05 * float(rng.random())), 6),
        seconds_growth=round(1 + 0.1 * tens, 4) if num_edits >= 20 else None,
        memory_mb=900.0,
        peak_memory_mb=round(950 + 30 * len(method) + num_edits * 0.2, 1),
        training_seconds=300.0 if method in ("DAFNET", "MEND", "SERAC") else None,
        stored_mb=round(2 + num_edits * 0.01 * len(method), 3),
    )
    details = Details(
        result.config_hash,
        [
            CaseDetail(
                f"{dataset}-{sequence}-{i}",
                i,
                {kind: _maybe(now[kind][i]) for kind in KINDS},
                {kind: _maybe(last[kind][i]) for kind in KINDS},
                seconds,
            )
            for i in range(num_edits)
        ],
        _examples(dataset, sequence, last, min(num_edits, 3)),
    )
    return result, details


def _consistency(learnt: float, drift: float) -> dict[str, Any]:
    """Fields of consistency; the last swap is one that no pair has."""
    learnt = min(max(learnt, 0.0), 1.0)
    fields: dict[str, Any] = {"agreement_greedy_before": 0.0, "agreement_sampled_before": 0.01}
    for score, share in (("consistency", 0.5), ("consistency_pmi", 0.6)):
        fields |= {
            f"{score}_edited_before": share,
            f"{score}_edited_after": round(share + 0.4 * learnt, 4),
            f"{score}_untouched_before": 0.9,
            f"{score}_untouched_after": round(0.9 - 0.4 * drift, 4),
        }
    fields["agreement_greedy_after"] = round(0.5 * learnt, 4)
    fields["agreement_sampled_after"] = round(0.3 * learnt, 4)
    row = {"before": 0.5, "after": learnt, "pmi_before": 0.6, "pmi_after": 1 - learnt / 2}
    return fields | {
        "consistency_swaps": {"entity": {"pairs": 6, **row}, "number": row | {"pairs": 2}}
    }


def _rng(*what: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(what).encode()))


def _passed(chance: float, hardness: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    mixed = 0.7 * hardness + 0.3 * rng.random(len(hardness))
    return (mixed < np.clip(chance, 0.0, 1.0)).astype(float)


def _ratio(last: float | None, first: float | None) -> float | None:
    return round(last / first, 6) if first and last is not None else None


def _maybe(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _criteria(
    num_edits: int, now: float | None, last: float | None
) -> dict[str, dict[str, float | None]]:
    if now is None or last is None:
        return {}
    return {
        name: {
            "before": 0.1,
            "immediate": round(max(0.0, now - 0.05 * index), 6),
            "final": round(max(0.0, last - 0.05 * index), 6),
            "cases": max(1, num_edits - index),
            "excluded": index * num_edits // 4,
        }
        for index, name in enumerate(CRITERIA)
    }


def _forgetting(
    num_edits: int, start: dict[str, float], end: dict[str, float]
) -> list[dict[str, float | None]]:
    points: list[dict[str, float | None]] = []
    for followed in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 999):
        if followed >= num_edits:
            break
        share = np.log1p(followed) / np.log(max(2, num_edits))
        scores = {
            kind: round(float(np.clip(start[kind] + share * (end[kind] - start[kind]), 0, 1)), 6)
            for kind in KINDS[:3]
        }
        points.append({"followed": followed, "edits": num_edits - followed, **scores})
    return points


def _examples(
    dataset: str, sequence: int, last: dict[str, np.ndarray], cases: int
) -> list[Example]:
    found = []
    for i in range(cases):
        case_id = f"{dataset}-{sequence}-{i}"
        subject = ("Arno Vell", MARKUP, "the river Ystra, the longest of its country")[i]
        right = bool(last["reliability"][i])
        unchanged = bool(last["locality"][i])
        for kind, prompt, wanted, before in (
            ("reliability", f"{subject} was born in", "Lisbon", " Prague, where"),
            ("generality", f"The birthplace of {subject} is", "Lisbon", " Prague. It"),
            ("locality", "The capital of Norway is", "Oslo", " Oslo, the"),
        ):
            after = before if (unchanged if kind == "locality" else not right) else " Lisbon, and"
            found.append(Example(case_id, kind, prompt, wanted, before, after or " Lisbon", after))
    return found
