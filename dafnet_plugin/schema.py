"""YAML into dataclasses, with every problem named: file, key, value and what is allowed."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, Union

import yaml

from dafnet_plugin.errors import ConfigError, did_you_mean

T = TypeVar("T", bound="YamlConfig")

DEFAULTS = "defaults"
"""The key that names the file whose values hold where a file says nothing itself."""


@dataclass
class YamlConfig:
    """A dataclass read from YAML: unknown, missing and mistyped keys are all reported at once."""

    given: ClassVar[Mapping[str, Any]] = {}
    """What a file itself said, as opposed to defaults; set on objects that were read."""

    @classmethod
    def read(cls: type[T], path: str | Path, overrides: Mapping[str, Any] | None = None) -> T:
        """Read a YAML file.

        Args:
            path: the file; ``.yaml`` may be left out, as in EasyEdit.
            overrides: values that replace the file's, None leaving the file's.

        Raises:
            ConfigError: lists every problem of the file.
        """
        path, data = _load(path)
        if isinstance(data, dict):
            data |= {key: value for key, value in (overrides or {}).items() if value is not None}
        return cls.from_dict(data, origin=str(path))

    @classmethod
    def from_dict(cls: type[T], data: Any, origin: str = "hparams") -> T:
        """Build from plain data.

        Raises:
            ConfigError: lists every problem, each with its key.
        """
        problems: list[str] = []
        values = _read_fields(cls, data, "", problems)
        if values is not None:  # unknown keys do not hide what is wrong with the known ones
            result = cls(**values)
            vars(result)["given"] = data
            problems += result.problems()
        if problems:
            raise ConfigError(
                f"{origin}: {len(problems)} problem(s)\n" + "\n".join(f"  - {p}" for p in problems)
            )
        return result

    def problems(self) -> list[str]:
        """What is wrong with the values taken together."""
        return []

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the inverse of :meth:`from_dict`."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        # Not asdict() on the whole: it would copy a model that was given as an object.
        return {
            name: dataclasses.asdict(value)
            if dataclasses.is_dataclass(value) and not isinstance(value, type)
            else list(value)
            if isinstance(value, list)
            else value
            for name, value in values.items()
        }


def read_values(path: str | Path) -> dict[str, Any]:
    """The top-level keys of a YAML file with their values; none if it holds no keys.

    Raises:
        ConfigError: it cannot be read; names file and line.
    """
    data = _load(path)[1]
    return {str(key): value for key, value in data.items()} if isinstance(data, dict) else {}


def _load(path: str | Path, above: tuple[Path, ...] = ()) -> tuple[Path, Any]:
    """A file and its data, with what the file named by ``defaults`` says filled in."""
    path = Path(path)
    if not path.is_file() and path.with_name(path.name + ".yaml").is_file():
        path = path.with_name(path.name + ".yaml")
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {line}not YAML: {error}") from error
    if isinstance(data, dict) and DEFAULTS in data:
        data = with_defaults(data, path, above)
    return path, data


def with_defaults(
    data: Mapping[Any, Any], path: Path, above: tuple[Path, ...] = ()
) -> dict[Any, Any]:
    """The data of a file that names ``defaults``, with what those say where it says nothing.

    Args:
        path: the file; the name of the defaults is relative to it.
        above: files that led here.

    Raises:
        ConfigError: there is no such file, it is wrong, or it leads back; names both files.
    """
    data = dict(data)
    name = data.pop(DEFAULTS)
    if not isinstance(name, str):
        raise ConfigError(f"{path}: {DEFAULTS}: {name!r}; allowed: a file, relative to this one")
    chain = (*above, path.resolve())
    target = path.parent / name
    if target.resolve() in chain:
        raise ConfigError(f"{path}: {DEFAULTS}: {name!r} leads back to this file")
    try:
        common = _load(target, chain)[1]
    except ConfigError as error:
        raise ConfigError(f"{path}: {DEFAULTS}: {error}") from error
    if not isinstance(common, dict):
        raise ConfigError(f"{path}: {DEFAULTS}: {target}: {common!r}; allowed: keys with values")
    return _merged(common, data)


def _merged(common: Mapping[Any, Any], own: Mapping[Any, Any]) -> dict[Any, Any]:
    """``own`` over ``common``, key by key also within sections; lists are taken as a whole."""
    merged = {**common, **own}
    for key in common.keys() & own.keys():
        if isinstance(common[key], dict) and isinstance(own[key], dict):
            merged[key] = _merged(common[key], own[key])
    return merged


def not_positive(owner: Any, names: list[str], prefix: str) -> list[str]:
    """Name the numbers of ``owner`` that are not above 0."""
    return [
        f"{prefix}{name}: {getattr(owner, name)}; allowed: above 0"
        for name in names
        if getattr(owner, name) <= 0
    ]


def not_among(key: str, names: Iterable[str], allowed: Sequence[str]) -> list[str]:
    """Name those of some names that are not allowed."""
    return [
        f"{key}: {name!r}{did_you_mean(name, allowed)}; allowed: {', '.join(allowed)}"
        for name in names
        if name not in allowed
    ]


class _Loader(yaml.SafeLoader):
    """YAML whose ``1e-4`` is a number (YAML 1.1 wants ``1.0e-4``) and whose keys are unique."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is given twice."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            # Keys that are lists or mappings are refused by the base class.
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            if key is not None:
                seen.add(key)
        return super().construct_mapping(node, deep)


_UNUSABLE: Any = object()


def _read_fields(cls: type, data: Any, prefix: str, problems: list[str]) -> dict[str, Any] | None:
    """Values by field name, or None if there are not enough to build the dataclass."""
    if not isinstance(data, dict):
        problems.append(f"{prefix[:-1] or 'the file'}: {data!r}; allowed: keys with values")
        return None
    fields = {item.name: item for item in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    for key in data:
        if key not in fields:
            problems.append(f"{prefix}{key}: unknown key{did_you_mean(str(key), fields)}")
    values: dict[str, Any] = {}
    for name, item in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], prefix + name, problems)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            problems.append(f"{prefix}{name}: missing")
            values[name] = _UNUSABLE
    return None if any(value is _UNUSABLE for value in values.values()) else values


def _convert(kind: Any, value: Any, key: str, problems: list[str]) -> Any:
    if dataclasses.is_dataclass(kind):
        values = _read_fields(typing.cast(type, kind), value, key + ".", problems)
        return _UNUSABLE if values is None else kind(**values)  # type: ignore[operator]
    if isinstance(value, str) and _allows(kind, 1.0) and not _allows(kind, value):
        with contextlib.suppress(ValueError):
            value = float(value)  # 1e-4, which YAML 1.1 takes for text
    if not _allows(kind, value):
        problems.append(f"{key}: {value!r}; allowed: {_describe(kind)}")
        return _UNUSABLE
    return float(value) if kind is float and isinstance(value, int) else value


def _allows(kind: Any, value: Any) -> bool:
    origin = typing.get_origin(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_allows(option, value) for option in typing.get_args(kind))
    if origin is list:
        (item,) = typing.get_args(kind)
        return isinstance(value, list) and all(_allows(item, element) for element in value)
    if origin is dict:
        of_key, of_value = typing.get_args(kind)
        return isinstance(value, dict) and all(
            _allows(of_key, key) and _allows(of_value, element) for key, element in value.items()
        )
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _describe(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in typing.get_args(kind))
    if origin is list:
        return f"a list of {_describe(typing.get_args(kind)[0])}"
    if origin is dict:
        return "keys with {1} for each ({0})".format(*map(_describe, typing.get_args(kind)))
    names = {
        float: "a finite number",
        int: "a whole number",
        str: "text",
        bool: "true or false",
        dict: "keys with values",
    }
    return names.get(kind, "null" if kind is type(None) else str(kind))
