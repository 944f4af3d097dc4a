"""``results.jsonl``: one line for each sequence of edits, failed ones included.

A line is appended with a single write, so a run that is killed leaves whole lines; should the
disk have filled up in the middle of one, :func:`read_results` drops that last part line.
"""

from __future__ import annotations

import dataclasses
import errno
import gzip
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dafnet_plugin.errors import DataError
from dafnet_plugin.files import atomic_path

SCHEMA = 2
"""Version of the fields of :class:`Result`. Version 1 had fewer of them and is still read."""

KINDS = ("reliability", "generality", "locality")


@dataclass(frozen=True)
class Result:
    """What one sequence of edits with one method came to.

    Scores are shares from 0 to 1; None stands for "not measured", or for a data set that has no
    such probe. ``before_``: the unedited model; ``immediate_``: each edit right after it was made,
    averaged; ``final_``: the same edits after the last one.

    Attributes:
        method: ``alg_name`` in EasyEdit; ``variant`` tells several entries of it apart.
        model: name of the base model; ``dataset`` of the facts.
        num_edits: edits of the sequence; ``sequence`` counts the sequences of that length.
        seed: of facts, base model and choice of sequences.
        config_hash: of all that the scores depend on; a line whose hash is still the same is not
            computed again.
        status: ``"failed"`` lines have an ``error`` and no scores.
        retention: final over immediate reliability; None if nothing was learnt.
        criteria: of portability, by name: ``before``, ``immediate``, ``final`` (mean over cases),
            ``cases`` (that have a test which counts), ``excluded`` (tests whose condition the
            unedited model fails).
        forgetting: mean scores of edits that were followed by ``followed`` others, as
            ``{followed, edits, reliability, generality, locality}`` (``edits``: how many were
            averaged), by rising ``followed``; 0 is right after the edit.
        perplexity_before, perplexity_after: of held-out text, per token.
        kl: mean KL divergence of the edited from the unedited model there, in nats a token.
        unrelated_before, unrelated_after: accuracy on facts that no edit is about.
        fluency_before, fluency_after: n-gram entropy of generated text, in bits.
        consistency_edited_before, consistency_edited_after, consistency_untouched_before,
            consistency_untouched_after: share of pairs, on facts that were edited and on facts
            that no edit is about, in which the model prefers the summary that is consistent with
            a document to one that contradicts it, by log-likelihood per token; all of these are
            None unless the config asks for ``consistency``.
        consistency_pmi_edited_before, consistency_pmi_edited_after,
            consistency_pmi_untouched_before, consistency_pmi_untouched_after: the same by
            pointwise mutual information of summary and document.
        consistency_swaps: of the pairs on edited facts, by what the contradiction exchanges
            (``entity``, ``relation``, ``number``): ``pairs`` (how many), ``before`` and ``after``
            (by log-likelihood), ``pmi_before`` and ``pmi_after``.
        agreement_greedy_before, agreement_greedy_after: share of greedy continuations, of 10
            prompts for each edit that do not quote its own, that name the new object.
        agreement_sampled_before, agreement_sampled_after: the same of sampled continuations.
        weight_change: Frobenius norm of the change of all weights over that of the weights.
        seconds_per_edit: mean, by the wall clock, without scoring; ``seconds_growth``: mean of
            the last tenth of the edits over that of the first tenth, None below 20 edits.
        peak_memory_mb: of the process (or of the accelerator) while editing, in MiB;
            ``memory_mb`` before the first edit.
        training_seconds: meta-training; None for a method without.
        stored_mb: what must be kept to serve the edited model beside the base model, in MiB.
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
    before_reliability: float | None = None
    before_generality: float | None = None
    before_portability: float | None = None
    immediate_reliability: float | None = None
    immediate_generality: float | None = None
    immediate_locality: float | None = None
    immediate_portability: float | None = None
    final_reliability: float | None = None
    final_generality: float | None = None
    final_locality: float | None = None
    final_portability: float | None = None
    retention: float | None = None
    criteria: dict[str, dict[str, float | None]] = field(default_factory=dict)
    forgetting: list[dict[str, float | None]] = field(default_factory=list)
    perplexity_before: float | None = None
    perplexity_after: float | None = None
    kl: float | None = None
    unrelated_before: float | None = None
    unrelated_after: float | None = None
    fluency_before: float | None = None
    fluency_after: float | None = None
    consistency_edited_before: float | None = None
    consistency_edited_after: float | None = None
    consistency_untouched_before: float | None = None
    consistency_untouched_after: float | None = None
    consistency_pmi_edited_before: float | None = None
    consistency_pmi_edited_after: float | None = None
    consistency_pmi_untouched_before: float | None = None
    consistency_pmi_untouched_after: float | None = None
    consistency_swaps: dict[str, dict[str, float | None]] | None = None
    agreement_greedy_before: float | None = None
    agreement_greedy_after: float | None = None
    agreement_sampled_before: float | None = None
    agreement_sampled_after: float | None = None
    weight_change: float | None = None
    seconds_per_edit: float | None = None
    seconds_growth: float | None = None
    memory_mb: float | None = None
    peak_memory_mb: float | None = None
    training_seconds: float | None = None
    stored_mb: float | None = None
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
    def average(self) -> float | None:
        """Mean of final reliability, generality and locality, of those there are."""
        known = [v for kind in KINDS if (v := getattr(self, f"final_{kind}")) is not None]
        return sum(known) / len(known) if known else None

    @property
    def cell(self) -> tuple[str, str, int, str]:
        """Data set, model, seed and label: what runs in one process."""
        return self.dataset, self.model, self.seed, self.label

    @property
    def key(self) -> tuple[str, str, int, str, int, int]:
        """What was run: a later line with the same key replaces an earlier one."""
        return (*self.cell, self.num_edits, self.sequence)


@dataclass(frozen=True)
class CaseDetail:
    """One edit of a sequence.

    Attributes:
        case_id: of the case; ``position`` of its edit in the sequence, from 0.
        immediate, final: by kind (reliability, generality, locality, portability); None where
            there is no such probe.
        seconds: of its edit.
    """

    case_id: str
    position: int
    immediate: dict[str, float | None]
    final: dict[str, float | None]
    seconds: float


@dataclass(frozen=True)
class Example:
    """What the model says, greedily, to one prompt.

    Attributes:
        kind: ``reliability``, ``generality``, ``locality`` or a criterion of portability.
        wanted: the answer expected.
        before, immediate, final: continuations by the unedited model, right after the edit and
            after the last edit.
    """

    case_id: str
    kind: str
    prompt: str
    wanted: str
    before: str
    immediate: str
    final: str


@dataclass(frozen=True)
class Details:
    """What stands beside a line of results, case by case.

    Attributes:
        config_hash: of the line it belongs to.
        cases: in the order of the edits.
        examples: of the first few cases.
    """

    config_hash: str
    cases: list[CaseDetail]
    examples: list[Example] = field(default_factory=list)


def details_path(out: str | Path, result: Result) -> Path:
    """Where the details of a line are, below the folder of ``results.jsonl``."""
    place = Path(out) / "details" / result.dataset / result.model / f"seed-{result.seed}"
    return place / result.label / f"{result.num_edits}-{result.sequence}.json.gz"


def write_details(path: str | Path, details: Details) -> None:
    """Write details atomically; the same details give the same bytes."""
    data = json.dumps(dataclasses.asdict(details), ensure_ascii=False, separators=(",", ":"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(data.encode(), mtime=0))


def read_details(path: str | Path) -> Details | None:
    """Read what :func:`write_details` wrote; None if there is no such file.

    Raises:
        DataError: the file holds something else.
    """
    try:
        data = json.loads(gzip.decompress(Path(path).read_bytes()))
        return Details(
            config_hash=data["config_hash"],
            cases=[CaseDetail(**case) for case in data["cases"]],
            examples=[Example(**example) for example in data["examples"]],
        )
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: not the details of a result: {error!r}") from error


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

    Where the file is not there but ``PATH.gz`` is, as of committed studies, that is read.

    Raises:
        DataError: a line is not a result; names file and line.
    """
    path = Path(path)
    packed = path.with_name(f"{path.name}.gz")
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    elif packed.is_file():
        text = gzip.decompress(packed.read_bytes()).decode()
    else:
        return []
    whole, _, rest = text.rpartition("\n")
    if rest and path.is_file():  # nothing may be appended to a part line
        with open(path, "r+b") as file:
            file.truncate(len((whole + "\n").encode()) if whole else 0)
    names = {item.name for item in dataclasses.fields(Result)}
    newest: dict[tuple[str, str, int, str, int, int], Result] = {}
    for number, line in enumerate(whole.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if data["schema"] not in range(1, SCHEMA + 1):
                raise DataError(
                    f"{path}: line {number}: schema {data['schema']}; allowed: 1 to {SCHEMA}"
                )
            # Fields that a later version of this schema adds are left out.
            known = {key: value for key, value in data.items() if key in names}
            result = Result(**(known | {"schema": SCHEMA}))
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise DataError(f"{path}: line {number}: not a result: {error!r}") from error
        newest[result.key] = result
    return list(newest.values())
