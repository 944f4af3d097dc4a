"""Writing the settings of the best trial into a method's YAML files, comments kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dafnet_plugin.errors import ConfigError
from dafnet_plugin.files import write_text

UNTUNED = "# Not tuned: a place to start `python -m benchmarks tune` from."
"""The line of a file that says how its settings were found, as long as they were not."""

_STATUS = re.compile(r"^# (Not tuned: a place to start|Tuned: ).*\n(?:#  .*\n)*", re.MULTILINE)


def write_settings(path: Path, settings: Mapping[str, Any], how: str) -> None:
    """Set some keys of a YAML file, and say in its head how they were found.

    Args:
        settings: by key; a dot in a key leads into a mapping.
        how: what stands after "Tuned: ".

    Raises:
        ConfigError: the file does not have a key.
    """
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n"
    for key, value in settings.items():
        text = _set(text, key.split("."), value, path)
    written = yaml.safe_load(text)
    for key, value in settings.items():
        found = written
        for name in key.split("."):
            found = found[name]
        if found != value:
            raise ConfigError(f"{path}: {key}: {value!r} could not be written in its place")
    status = f"# Tuned: {how}\n"
    if _STATUS.search(text):
        text = _STATUS.sub(lambda _: status, text, count=1)
    else:  # after the comment that the file begins with
        head = re.match(r"(?:#.*\n)*", text)
        place = head.end() if head else 0
        text = text[:place] + status + text[place:]
    write_text(path, text)


def _set(text: str, names: list[str], value: Any, path: Path) -> str:
    """Replace a value, a block of lines included; a comment on the line of its key stays."""
    start, end, indent = 0, len(text), ""
    for name in names[:-1]:
        block = _block(text, name, indent, start, end, path, names)
        start, end = block.start(), block.end()
        indent += "  "
    block = _block(text, names[-1], indent, start, end, path, names)
    comment = re.search(r"  +#.*$", block[0].partition("\n")[0])
    line = f"{indent}{names[-1]}: {_flow(value)}{comment[0] if comment else ''}\n"
    return text[: block.start()] + line + text[block.end() :]


def _block(
    text: str, name: str, indent: str, start: int, end: int, path: Path, names: list[str]
) -> re.Match[str]:
    """A key with all the lines that belong to it: deeper ones, and items of a list."""
    pattern = re.compile(
        rf"^{indent}{re.escape(name)}:.*\n(?:{indent}(?:[ ]+|- ).*\n)*", re.MULTILINE
    )
    found = pattern.search(text, start, end)
    if found is None:
        raise ConfigError(f"{path}: it has no {'.'.join(names)!r}")
    return found


def _flow(value: Any) -> str:
    if isinstance(value, float):
        mantissa, e, exponent = repr(value).partition("e")
        # YAML 1.1 takes 1e-05 for text.
        return f"{mantissa}{'' if '.' in mantissa else '.0'}{e}{exponent}"
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return dumped.removesuffix("...\n").strip()
