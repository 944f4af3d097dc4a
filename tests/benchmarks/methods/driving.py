"""A random model, a few facts, and any method of EasyEdit on them, in one process."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from benchmarks.methods import Adapter, build_hparams, get_adapter
from dafnet_plugin.cases import EditCase, EditRequest
from dafnet_plugin.easyedit import register
from dafnet_plugin.tokens import Encoded, encode

ROOT = Path(__file__).resolve().parents[3]
EASYEDIT = register()
NAMES = ["Ada", "Watts Humphrey", "Babbage", "The river Thames", "France"]
CITIES = ["London", "Paris", "Rome", "Michigan, not of Illinois", "Italy"]
BYSTANDERS = ["The song that plays at the end of the film is", "Who wrote the engine"]
TEXTS = [f"{name} saw {i} {city}" for i in range(40) for name in NAMES for city in CITIES]


def cases(count: int = 5) -> list[EditCase]:
    """Facts whose texts differ in length."""
    return [
        EditCase(
            str(i),
            EditRequest(
                f"{NAMES[i % 5]} was {'very ' * (i % 3)}born in",
                CITIES[(i + i // 5) % 5],
                NAMES[i % 5],
                CITIES[(i + 2) % 5],
            ),
        )
        for i in range(count)
    ]


def two_layers(text: str) -> str:
    """The shipped YAML for a model of two layers: its last layer is 1 here, all others are 0."""
    values = {key: _of_two(value) for key, value in yaml.safe_load(text).items()}
    if "layers" in values:
        values["layers"] = sorted({number // 3 for number in values["layers"]})
    small = {"v_loss_layer": 1, "mom2_n_samples": 500}
    return yaml.safe_dump(values | {key: small[key] for key in small if key in values})


def _of_two(value: Any) -> Any:
    """Names of modules, each once."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(dict.fromkeys(map(_of_two, value)))
    if isinstance(value, str):
        return re.sub(
            r"((?:\bh|layers)(?:\.|\[))([123])\b", lambda m: m[1] + str(int(m[2]) // 3), value
        )
    return value


class Driven:
    """A method on a model of its own.

    Args:
        folder: of the model; ``work`` takes statistics and changed hyper-parameters.
        changes: keys of the YAML file, and paths, that are other than shipped.
    """

    def __init__(
        self,
        alg_name: str,
        family: str,
        folder: Path,
        work: Path,
        *,
        repaired: bool = True,
        options: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        path = work / alg_name / f"tiny-{family}.yaml"
        for name in (alg_name, "ROME"):  # SimIE reads the file of the method inside it
            own = work / name / path.name
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(two_layers((ROOT / "hparams" / name / path.name).read_text()))
        overrides = {
            "model_name": str(folder),
            "tokenizer_name": str(folder),
            "device": "cpu",
            "stats_dir": str(work / "stats"),
            "results_dir": str(work),
        } | changes
        self.hparams = build_hparams(EASYEDIT, alg_name, path, overrides)
        self.adapter: Adapter = get_adapter(alg_name, repaired, **(options or {}))
        self.editor = EASYEDIT.base_editor.from_hparams(self.hparams)
        self.editor.model.eval()
        self.adapter.prepare(EASYEDIT, self.editor, self.hparams, TEXTS, 0)
        self.base = {name: value.clone() for name, value in self.weights().items()}
        self.cases = cases()

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of the editor's model by name."""
        model = self.editor.model
        return {n: v.detach() for n, v in [*model.named_parameters(), *model.named_buffers()]}

    def edit(self, *indices: int) -> Any:
        """Edit some cases, one after another; the same seed gives the same edits."""
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        model = None
        for index in indices:
            request = self.adapter.request(self.cases[index], BYSTANDERS)
            model = self.adapter.edit(self.editor, [request], self.hparams)
        return model

    def restore(self) -> None:
        """As the harness does it: what the adapter knows of, then the weights."""
        self.adapter.restore(self.editor)
        with torch.no_grad():
            for name, value in self.weights().items():
                value.copy_(self.base[name])

    def restored(self) -> bool:
        """Whether the model is the base model again, bit by bit."""
        now = self.weights()
        return now.keys() == self.base.keys() and all(
            torch.equal(now[name], value) for name, value in self.base.items()
        )

    def texts(self, *indices: int) -> list[Encoded]:
        """Prompts and targets of some cases, of all by default."""
        chosen = [self.cases[i].request for i in indices or range(len(self.cases))]
        return encode(self.editor.tok, [(r.prompt, r.target_new) for r in chosen])

    def loss(self, model: Any, *indices: int) -> float:
        """Mean loss of the targets of some cases, in nats a token."""
        texts = self.texts(*indices)
        logits = self.adapter.scored_logits(model, texts, 0)
        labels = [token for text in texts for token in text.ids[text.target_start :]]
        found: Tensor = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
        return found.item()
