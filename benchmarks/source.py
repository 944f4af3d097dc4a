"""What a source of facts is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.consistency import ConsistencyPair
from dafnet_plugin.data.statements import Statement
from dafnet_plugin.errors import DataError
from dafnet_plugin.schema import YamlConfig

ROOT = Path(__file__).resolve().parents[1]
"""The repository."""


def locate(data_dir: Path, name: str) -> Path:
    """A file or folder of the data directory, or else of the repository."""
    here = data_dir / name
    return here if here.exists() or not (ROOT / name).exists() else ROOT / name


@dataclass(frozen=True)
class Task:
    """What a source is asked for.

    Attributes:
        seed: of all choices.
        data_dir: where the files of real data sets are.
        out: folder for what a source wants to keep.
        train_cases, eval_cases: cases wanted; None for the source's default.
    """

    seed: int
    data_dir: Path
    out: Path
    train_cases: int | None = None
    eval_cases: int | None = None

    def folder(self, name: str) -> Path:
        """The folder of a data set.

        Raises:
            DataError: it is not there.
        """
        folder = self.data_dir / name
        if not folder.is_dir():
            raise DataError(
                f"{folder}: there is no such folder; say with --data-dir where the real data are"
            )
        return folder


@dataclass(frozen=True)
class World:
    """Facts, and the cases on them.

    Attributes:
        train, evaluation: cases; no subject of the evaluation is edited in training, no two
            edits of the evaluation contradict each other, and none is about what a locality
            probe of the evaluation asks for.
        statements: text for a base model, each sentence as often as it is to be read.
        probes: what it shall know.
        bystanders: facts among them that no case edits and no locality probe of the evaluation
            asks for.
    """

    train: Sequence[EditCase]
    evaluation: Sequence[EditCase]
    statements: Sequence[Statement]
    probes: Sequence[Statement]
    bystanders: Sequence[Statement]


@dataclass
class Source(YamlConfig):
    """Options of a source, and what it makes of them."""

    def world(self, task: Task) -> World:
        """Make the facts.

        Raises:
            DataError: a file is missing or malformed.
        """
        raise NotImplementedError

    def pairs(
        self, task: Task, cases: list[EditCase], *, sentences: int, untouched: int
    ) -> list[ConsistencyPair]:
        """Make consistency pairs; only sources with templates for their facts override this.

        Args:
            task: what :meth:`world` was given.
            cases: evaluation cases of that world, whose facts pairs are made of.
            sentences: facts that a document states.
            untouched: facts that no evaluation case edits, of which pairs are made as well, at
                most.

        Raises:
            DataError: a file is missing or malformed.
        """
        raise NotImplementedError

    @classmethod
    def can_pair(cls) -> bool:
        """Whether it makes consistency pairs."""
        return cls.pairs is not Source.pairs
