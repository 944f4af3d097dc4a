"""How EasyEdit's methods are driven, so that each gets what it needs on the tiny models.

Any method that the installed EasyEdit registers can be named in a config; here is only what is
special about some of them.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from pathlib import Path
from typing import Any

import yaml

from dafnet_plugin.cases import EditCase
from dafnet_plugin.easyedit.compat import EasyEdit
from dafnet_plugin.errors import ConfigError, DataError, did_you_mean
from dafnet_plugin.hparams import DAFNetHparams

AT_PROMPT_END = frozenset({"ROME"})
"""Methods that edit at the last token of the *subject*.

In a model of a few layers hardly anything has been looked up there yet; at the last token of the
prompt it has. So the whole prompt is given as the subject, as ``fact_token: last`` is refused.
"""

USES_MOMENTS = frozenset({"ROME"})
"""Methods that read second moments of keys from ``stats_dir``, see :mod:`benchmarks.statistics`."""

GIT_ONLY = {"FT": {"objective_optimization"}}
"""Keys that EasyEdit's main branch needs and its wheel does not know.

The wheel's FT does what ``prompt_last`` means there.
"""

_SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?e[+-]?\d+", re.IGNORECASE)  # text in YAML 1.1


def request_of(case: EditCase, alg_name: str) -> dict[str, Any]:
    """A case's request in EasyEdit's fields.

    Raises:
        DataError: the prompt has braces, which these methods take for the subject's place.
    """
    request = case.request
    subject = request.subject or request.prompt
    if alg_name in AT_PROMPT_END:
        subject = request.prompt
        if "{" in subject or "}" in subject:
            raise DataError(f"case {case.case_id}: {alg_name} takes no prompt with braces")
    return {
        "prompt": request.prompt,
        "target_new": request.target_new,
        "ground_truth": request.ground_truth or "<|endoftext|>",
        "subject": subject,
        "portability": {},
        "locality": {},
    }


def build_hparams(
    easyedit: EasyEdit, alg_name: str, path: str | Path, overrides: dict[str, Any]
) -> Any:
    """Read a method's YAML file for editing.

    Args:
        overrides: set where the method has such a field, whatever the file says: paths and the
            device.

    Raises:
        ConfigError: the file is of another method, EasyEdit has no such method, or keys are
            unknown or missing.
    """
    if alg_name == "DAFNET":
        hparams = DAFNetHparams.read(path)
        for key in overrides.keys() & {item.name for item in dataclasses.fields(hparams)}:
            setattr(hparams, key, overrides[key])
        return hparams
    kind = _class_of(easyedit, alg_name)
    return fill(kind, read_yaml(path), overrides, str(path), GIT_ONLY.get(alg_name, set()))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file of EasyEdit's, with ``1e-4`` as a number."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: {values!r}; allowed: keys with values")
    return {
        key: float(value) if isinstance(value, str) and _SCIENTIFIC.fullmatch(value) else value
        for key, value in values.items()
    }


def fill(
    kind: type,
    values: dict[str, Any],
    overrides: dict[str, Any],
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


def _class_of(easyedit: EasyEdit, alg_name: str) -> type:
    """The dataclass of a method's hyper-parameters, found by its name."""
    if alg_name not in easyedit.alg_dict:
        raise ConfigError(
            f"method {alg_name!r} is not in this EasyEdit"
            f"{did_you_mean(alg_name, easyedit.alg_dict)}; it has {', '.join(easyedit.alg_dict)}"
        )
    package = easyedit.module("models")
    wanted = {alg_name.lower() + ending for ending in ("hyperparams", "hparams")}
    for name in dir(package):
        if name.lower() in wanted:
            found: type = getattr(package, name)
            return found
    raise ConfigError(f"method {alg_name!r}: its class of hyper-parameters was not found")
