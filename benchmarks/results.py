"""``results.jsonl``: one line for each sequence of edits, failed ones included.

A line is appended with a single write, so a run that is killed leaves whole lines; should the
disk have filled up in the middle of one, :func:`read_results` drops that last part line.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dafnet_plugin.errors import DataError

SCHEMA = 1
"""Version of the fields of :class:`Result`."""


@dataclass(frozen=True)
class Result:
    """What one sequence of edits with one method came to.

    Attributes:
        method: ``alg_name`` in EasyEdit; ``variant`` tells several entries of it apart.
        model: family of the base model; ``dataset`` the source of the facts.
        num_edits: edits of the sequence; ``sequence`` counts the sequences of that length.
        seed: of facts, base model and choice of sequences.
        config_hash: of all that the scores depend on; a line whose hash is still the same is not
            computed again.
        status: ``"failed"`` lines have an ``error`` and no scores.
        immediate_reliability, immediate_generality, immediate_locality: 0 to 1, of each edit
            right after it was made, averaged.
        final_reliability, final_generality, final_locality: of the same edits after the last one.
        retention: final over immediate reliability; None if nothing was learnt.
        seconds_per_edit: mean, by the wall clock, without scoring.
        versions: of what computed it; ``machine``: on what.
        command: the command line; ``time``: when, in UTC.
    """

    method: str
    variant: str
    model: str
    dataset: str
    num_edits: int
    sequence: int
    seed: int
    config_hash: str
    status: Literal["ok", "failed"]
    error: str | None = None
    immediate_reliability: float | None = None
    immediate_generality: float | None = None
    immediate_locality: float | None = None
    final_reliability: float | None = None
    final_generality: float | None = None
    final_locality: float | None = None
    retention: float | None = None
    seconds_per_edit: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    time: str = ""
    schema: int = SCHEMA

    @property
    def label(self) -> str:
        """Method and variant."""
        return f"{self.method}-{self.variant}" if self.variant else self.method

    @property
    def key(self) -> tuple[str, str, int, str, int, int]:
        """What was run: a later line with the same key replaces an earlier one."""
        place = self.dataset, self.model, self.seed
        return (*place, self.label, self.num_edits, self.sequence)


def append_result(path: str | Path, result: Result) -> None:
    """Add a line, whole or not at all."""
    line = json.dumps(dataclasses.asdict(result), ensure_ascii=False) + "\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = os.lseek(handle, 0, os.SEEK_END)
        data = line.encode()
        if os.write(handle, data) != len(data):
            os.ftruncate(handle, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(handle)


def read_results(path: str | Path) -> list[Result]:
    """Read the newest line of each key, in the order of the file; no file, no results.

    Raises:
        DataError: a line is not a result; names file and line.
    """
    path = Path(path)
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole, _, rest = text.rpartition("\n")
    if rest:  # nothing may be appended to a part line
        with open(path, "r+b") as file:
            file.truncate(len((whole + "\n").encode()) if whole else 0)
    names = {item.name for item in dataclasses.fields(Result)}
    newest: dict[tuple[str, str, int, str, int, int], Result] = {}
    for number, line in enumerate(whole.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if data["schema"] != SCHEMA:
                raise DataError(f"{path}: line {number}: schema {data['schema']}, not {SCHEMA}")
            # Fields that a later version of this schema adds are left out.
            result = Result(**{key: value for key, value in data.items() if key in names})
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise DataError(f"{path}: line {number}: not a result: {error!r}") from error
        newest[result.key] = result
    return list(newest.values())
