"""EasyEdit's scorer and ours on one model; reports what the tests assert on.

Usage: ``python easyedit_worker.py FAMILY MODEL_FOLDER REPORT``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.methods import build_hparams
from benchmarks.scoring import Scorer, Scores
from dafnet_plugin.cases import EditCase, EditRequest, Probe
from dafnet_plugin.easyedit import register
from dafnet_plugin.editing.scoring import scored_labels, scored_logits
from dafnet_plugin.tokens import collate, encode

FAMILY, MODEL, REPORT = sys.argv[1], sys.argv[2], Path(sys.argv[3])
ROOT = Path(__file__).resolve().parents[3]
CITIES = ["London", "Paris", "Rome", "Michigan, not of Illinois", "Italy and the river Thames"]
NAMES = ["Ada", "Watts Humphrey", "Babbage", "The capital of France", "nq question: who"]


def case_of(index: int) -> EditCase:
    """A case with several probes of each kind, of different lengths."""
    name, city = NAMES[index % 5], CITIES[(index + index // 5) % 5]
    # Means of many thirds and fifths: where the order of additions shows.
    ways = ["went to", "was in", "saw", "left", "likes", "knows", "paints", "sells", "owns"]
    return EditCase(
        str(index),
        EditRequest(f"{name} was {'very ' * (index % 4)}born in", city, name),
        (Probe(f"The place where {name} grew up is", city), Probe(f"{name}:", city)),
        (
            Probe(f"The song of {NAMES[index % 3]} is", CITIES[index % 5]),
            Probe("The river flows through", CITIES[(index + 2) % 5]),
        ),
        {
            "Compositionality_I": tuple(
                Probe(f"{name} {way}", CITIES[(index + place) % 5])
                for place, way in enumerate(ways)
            ),
            "Subject_Aliasing": (Probe(f"Who {name} is lives in", city),),
        },
    )


def same_length(index: int, tokenizer: Any) -> EditCase:
    """A case whose probes of one kind have the same number of tokens, so none is padded."""
    probes = [Probe(f"{letter} was born in", CITIES[index % 5]) for letter in "XYZQKJVW"]
    lengths = [len(tokenizer(f"{p.prompt} {p.answer}")["input_ids"]) for p in probes]
    kept = tuple(p for p, size in zip(probes, lengths) if size == lengths[0])
    assert len(kept) > 1
    return EditCase(
        f"same-{index}", case_of(index).request, locality=kept, portability={"Logical": kept}
    )


class Peer:
    """EasyEdit's scorer, asked as its users ask it."""

    def __init__(self) -> None:
        easyedit = register()
        hparams = build_hparams(
            easyedit,
            "FT",
            ROOT / "hparams" / "FT" / f"tiny-{FAMILY}.yaml",
            {"model_name": MODEL, "device": "cpu", "layers": [1]},
        )
        editor = easyedit.base_editor.from_hparams(hparams)
        self.version, self.hparams = easyedit.version, hparams
        self.model, self.tok = editor.model.eval(), editor.tok
        self._quality = easyedit.module("evaluate").compute_edit_quality

    def ask(self, record: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._quality(
            self.model, MODEL, self.hparams, self.tok, record, "cpu"
        )
        return found

    def one_by_one(self, case: EditCase) -> dict[str, Any]:
        """Ask for every probe by itself, under a key of its own."""
        request = case.request
        record = {"prompt": request.prompt, "target_new": request.target_new, "ground_truth": ""}
        probes = {f"{c}/{i}": p for c, ps in case.portability.items() for i, p in enumerate(ps)}
        found = self.ask(
            record
            | {
                "locality": _keyed({f"probe{i}": p for i, p in enumerate(case.locality)}),
                "portability": _keyed(probes),
            }
        )
        return {
            "reliability": found["rewrite_acc"][0],
            "generality": [
                self.ask(record | {"rephrase_prompt": probe.prompt})["rephrase_acc"][0]
                for probe in case.generality
            ],
            "locality": [found["locality"][f"probe{i}_output"] for i in range(len(case.locality))],
            "portability": {
                c: [found["portability"][f"{c}/{i}_acc"][0] for i in range(len(ps))]
                for c, ps in case.portability.items()
            },
        }

    def in_lists(self, case: EditCase) -> dict[str, Any]:
        """Ask for all probes of a kind at once, as a list."""
        request = case.request
        found = self.ask(
            {
                "prompt": request.prompt,
                "target_new": request.target_new,
                "ground_truth": "",
                "locality": {"neighborhood": _listed(case.locality)},
                "portability": {c: _listed(ps) for c, ps in case.portability.items()},
            }
        )
        return {
            "reliability": found["rewrite_acc"][0],
            "generality": [],
            "locality": found["locality"]["neighborhood_output"],
            "portability": {c: found["portability"][f"{c}_acc"] for c in case.portability},
        }


def _keyed(probes: dict[str, Probe]) -> dict[str, dict[str, str]]:
    return {name: {"prompt": p.prompt, "ground_truth": p.answer} for name, p in probes.items()}


def _listed(probes: Sequence[Probe]) -> dict[str, list[str]]:
    return {"prompt": [p.prompt for p in probes], "ground_truth": [p.answer for p in probes]}


def summary(new: dict[str, Any], old: dict[str, Any]) -> list[Any]:
    """What EasyEdit's editor makes of its scores: numpy's mean within a key, then over keys."""
    criteria = {name: float(np.mean(found)) for name, found in new["portability"].items()}
    kept = [np.mean(np.equal(a, b)) for a, b in zip(new["locality"], old["locality"])]
    return [
        float(new["reliability"]),
        float(np.mean(new["generality"])) if new["generality"] else None,
        float(np.mean(kept)),
        float(np.mean(list(criteria.values()))),
        criteria,
    ]


def row(scores: Scores) -> list[Any]:
    """Ours in the same order."""
    return [*scores.by_kind().values(), dict(scores.criteria)]


def teach(peer: Peer, cases: Sequence[EditCase], steps: int) -> None:
    """Train for a few steps, so that the model is right here and there."""
    texts = [(case.request.prompt, case.request.target_new) for case in cases]
    texts += [
        (p.prompt, p.answer) for case in cases[::3] for p in (*case.locality, *case.generality)
    ]
    texts += [
        (p.prompt, p.answer) for case in cases for ps in case.portability.values() for p in ps
    ]
    batch = collate(encode(peer.tok, texts[::2]), 0)
    for parameter in peer.model.parameters():
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(peer.model.parameters(), lr=3e-3)
    for _ in range(steps):
        logits = scored_logits(peer.model, batch)
        loss = torch.nn.functional.cross_entropy(logits, scored_labels(batch))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def compare(
    peer: Peer, cases: Sequence[EditCase], way: Any, max_length: int = 120, steps: int = 15
) -> dict[str, Any]:
    """Both scorers after the model has changed, and how much longer EasyEdit's took for that."""
    weights = {name: value.clone() for name, value in peer.model.state_dict().items()}
    peer.hparams.max_length = max_length
    before = [way(case) for case in cases]
    cut = max_length if peer.version == "wheel" else None
    scorer = Scorer(peer.model, peer.tok, cases, max_length=cut)
    teach(peer, cases, steps)
    start = time.perf_counter()
    after = [way(case) for case in cases]
    middle = time.perf_counter()
    scores = scorer.score(peer.model, range(len(cases)))
    end = time.perf_counter()
    peer.model.load_state_dict(weights)
    return {
        "easyedit": [summary(new, old) for new, old in zip(after, before)],
        "ours": [row(score) for score in scores],
        "times_faster": (middle - start) / (end - middle),
    }


def main() -> None:
    """Run everything and write the report."""
    torch.set_num_threads(1)
    peer = Peer()
    cases = [case_of(index) for index in range(64)]
    pairs = [(c.request.prompt, c.request.target_new) for c in cases]
    pairs += [(p.prompt, p.answer) for c in cases for p in (*c.generality, *c.locality)]
    pairs += [(p.prompt, p.answer) for c in cases for ps in c.portability.values() for p in ps]
    encoded = encode(peer.tok, pairs)
    shortest = max(text.target_start for text in encoded) + 1
    report = {
        "version": peer.version,
        "padding_side": peer.tok.padding_side,
        "whole": compare(peer, cases, peer.one_by_one),
        "hardly_changed": compare(peer, cases[:16], peer.one_by_one, steps=1),
        "cut": compare(peer, cases[:10], peer.one_by_one, shortest),
        "number_cut": sum(len(text.ids) > shortest for text in encoded),
        "lists": compare(peer, [same_length(i, peer.tok) for i in range(5)], peer.in_lists),
        "padded": compare(peer, cases[:10], peer.in_lists),
    }
    REPORT.write_text(json.dumps(report))


main()
