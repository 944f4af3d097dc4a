"""Hyper-parameters of EasyEdit's methods from YAML, with every unknown or missing key named."""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.methods.registry import get_adapter
from dafnet_plugin.easyedit.compat import EasyEdit
from dafnet_plugin.errors import ConfigError, EasyEditError, did_you_mean
from dafnet_plugin.methods import hparams_class as own_hparams_class
from dafnet_plugin.schema import DEFAULTS, with_defaults

GIT_ONLY: Mapping[str, frozenset[str]] = {
    "FT": frozenset({"objective_optimization"}),
    "LoRA": frozenset({"lora_type"}),
}
"""Keys that EasyEdit's main branch needs and its wheel does not know.

The wheel's FT does what ``prompt_last`` means there, and its LoRA is ``adalora``.
"""

_UNREGISTERED = {"MALMEN": ("models.malmen", "MalmenRewriteExecutor")}
"""Executors that EasyEdit has, but has left out of its ``ALG_DICT``."""

_SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?e[+-]?\d+", re.IGNORECASE)  # text in YAML 1.1


def build_hparams(
    easyedit: EasyEdit, alg_name: str, path: str | Path, overrides: Mapping[str, Any]
) -> Any:
    """Read a method's YAML file for editing.

    Args:
        overrides: set where the method has such a field, whatever the file says: paths and the
            device. What follows from ``archive`` is set as well.

    Raises:
        ConfigError: the file is of another method, EasyEdit has no such method, or keys are
            unknown or missing.
    """
    own = own_hparams_class(alg_name)
    if own is not None:
        read = own.read(path)
        for key in overrides.keys() & {item.name for item in dataclasses.fields(read)}:
            setattr(read, key, overrides[key])
        return read
    kind = hparams_class(easyedit, alg_name)
    adapter = get_adapter(alg_name)
    values = adapter.translate(read_yaml(path))
    hparams = fill(
        kind,
        values,
        {**adapter.derived(values, overrides), **overrides},
        str(path),
        GIT_ONLY.get(alg_name, frozenset()),
    )
    place = Path(path)
    adapter.complete(
        hparams,
        lambda name: build_hparams(easyedit, name, place.parents[1] / name / place.name, overrides),
    )
    return hparams


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file of EasyEdit's, with ``1e-4`` as a number; of ours, with its defaults."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: {values!r}; allowed: keys with values")
    if DEFAULTS in values:
        values = with_defaults(values, Path(path))
    return {
        key: float(value) if isinstance(value, str) and _SCIENTIFIC.fullmatch(value) else value
        for key, value in values.items()
    }


def fill(
    kind: type,
    values: Mapping[str, Any],
    overrides: Mapping[str, Any],
    origin: str,
    optional: typing.Collection[str] = (),
) -> Any:
    """Build one of EasyEdit's dataclasses of hyper-parameters.

    Args:
        optional: keys that may be unknown to this version of EasyEdit.

    Raises:
        ConfigError: names every unknown and every missing key.
    """
    fields = {item.name: item for item in dataclasses.fields(kind)}
    problems = [
        f"{key}: unknown key{did_you_mean(key, fields)}"
        for key in values
        # `alg` is the older name of `alg_name`; which of them counts depends on the version.
        if key not in fields and key not in optional and key not in ("alg", "alg_name")
    ]
    known = {key: value for key, value in {**values, **overrides}.items() if key in fields}
    problems += [
        f"{name}: missing"
        for name, item in fields.items()
        if name not in known
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    ]
    if problems:
        raise ConfigError(
            f"{origin}: {len(problems)} problem(s)\n" + "\n".join(f"  - {p}" for p in problems)
        )
    return kind(**known)


def check_alg_name(alg_name: str, path: str | Path) -> dict[str, Any]:
    """Return the values of a YAML file.

    Raises:
        ConfigError: it is not of the method ``alg_name``.
    """
    values = read_yaml(path)
    found = values.get("alg_name", values.get("alg"))
    if found != alg_name:
        raise ConfigError(f"{path}: alg_name: {found!r}; allowed: {alg_name!r}, as in the config")
    return values


def hparams_class(easyedit: EasyEdit, alg_name: str) -> type:
    """The dataclass of a method's hyper-parameters, found by its name.

    A method that EasyEdit has but does not list is entered into its ``ALG_DICT`` here.

    Raises:
        ConfigError: EasyEdit has no such method.
    """
    _register(easyedit, alg_name)
    if alg_name not in easyedit.alg_dict:
        raise ConfigError(
            f"method {alg_name!r} is not in this EasyEdit"
            f"{did_you_mean(alg_name, easyedit.alg_dict)}; it has {', '.join(easyedit.alg_dict)}"
        )
    apply = easyedit.alg_dict[alg_name]
    # Every method imports its class where its apply function is, or where its executor is.
    module = sys.modules[getattr(apply, "__self__", apply).__module__]
    wanted = {_plain(alg_name) + ending for ending in ("hyperparams", "hparams")}
    for name in dir(module):
        if _plain(name) in wanted:
            found: type = getattr(module, name)
            return found
    raise ConfigError(f"method {alg_name!r}: its class of hyper-parameters was not found")


def _register(easyedit: EasyEdit, alg_name: str) -> None:
    if alg_name in easyedit.alg_dict or alg_name not in _UNREGISTERED:
        return
    module, executor = _UNREGISTERED[alg_name]
    try:
        kind = getattr(easyedit.module(module), executor)
    except (ModuleNotFoundError, EasyEditError):
        return  # the wheel does not have it at all
    easyedit.alg_dict[alg_name] = kind().apply_to_model


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
