"""The dimensions of published base models, as a table in this repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TABLE = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Published:
    """One published model.

    Attributes:
        name: of the entry, and of the model's files in ``hparams/``.
        names: other names it goes by.
        model_class: its class in transformers.
        parameters: how many it has, None where that depends on its vocabulary.
        linear: (d_in, d_out) of the matrices of an MLP, by the end of their names.
        config: arguments of the model class's config class.
    """

    name: str
    names: tuple[str, ...]
    model_class: str
    parameters: int | None
    linear: Mapping[str, tuple[int, int]]
    config: Mapping[str, Any]

    def stated_shape(self, module: str) -> tuple[int, int] | None:
        """(d_in, d_out) that the table states for a module, None for one it does not list."""
        for end, shape in self.linear.items():
            if module == end or module.endswith(f".{end}"):
                return shape
        return None


def published_models() -> dict[str, Published]:
    """All entries of the table, by name."""
    data = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return {
        name: Published(
            name=name,
            names=tuple(entry["names"]),
            model_class=entry["model_class"],
            parameters=entry["parameters"],
            linear={end: (shape[0], shape[1]) for end, shape in entry["linear"].items()},
            config=entry["config"],
        )
        for name, entry in data.items()
    }


def find_published(model_name: str, table: Mapping[str, Published]) -> Published | None:
    """The entry that a ``model_name`` means: by its whole, or by the last part of its path.

    Names have to agree as a whole: a part of one says nothing about dimensions.
    """
    wanted = {model_name.lower(), _last_part(model_name)}
    for entry in table.values():
        known = {name.lower() for name in (entry.name, *entry.names)}
        known |= {_last_part(name) for name in known}
        if wanted & known:
            return entry
    return None


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].lower()
