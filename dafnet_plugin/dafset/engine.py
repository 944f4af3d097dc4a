"""Where expressions over a store run: DuckDB on this machine, or Spark."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.errors import ConfigError, DataError
from dafnet_plugin.files import write_json

if TYPE_CHECKING:
    from ibis import Table

logger = logging.getLogger(__name__)
ENGINES = ("duckdb", "spark")


@dataclass(frozen=True)
class Engine:
    """A connection with the little that selection needs of it.

    Attributes:
        name: one of ``ENGINES``.
        connection: Ibis' backend.
        owned: whether closing it is up to us; a Spark session that was there before stays.
    """

    name: str
    connection: Any
    owned: bool = True

    def table(self, files: str | Path) -> Table:
        """Parquet files (a path, a folder or a glob) as a table."""
        path = Path(files)
        if path.is_dir():
            path /= "*.parquet"
        with self._errors():
            return self.connection.read_parquet(str(path))

    def memory(self, rows: Sequence[Mapping[str, Any]], schema: Mapping[str, str]) -> Table:
        """Rows of this process as a table; the schema says what there is without a row."""
        pyarrow, ibis = require("pyarrow"), require("ibis")
        types = {name: getattr(pyarrow, kind)() for name, kind in schema.items()}
        columns = {name: [row[name] for row in rows] for name in schema}
        table = pyarrow.table(
            {name: pyarrow.array(columns[name], types[name]) for name in schema},
        )
        return ibis.memtable(table)

    def rows(self, expression: Table) -> list[dict[str, Any]]:
        """Run an expression; the order is its own."""
        names = expression.columns
        with self._errors():
            table = self.connection.to_pyarrow(expression)
        return [dict(zip(names, values)) for values in zip(*(c.to_pylist() for c in table.columns))]

    def save(self, expression: Table, path: Path) -> None:
        """Write an expression as Parquet: a file, or (Spark) a folder of them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.partial")
        remove(temporary)
        with self._errors():
            self.connection.to_parquet(expression, str(temporary))
        remove(path)
        temporary.rename(path)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say in a line what the engine says in pages: a damaged file, a full disk or memory."""
        try:
            yield
        except _error_types(self.name) as error:
            line = str(error).strip().splitlines()[0][:500]
            raise DataError(f"{self.name}: {line}") from error

    def close(self) -> None:
        """Give back what the engine holds."""
        if self.owned:
            self.connection.disconnect()


def open_engine(
    name: str = "duckdb",
    *,
    threads: int | None = None,
    memory: str | None = None,
    spill: Path | None = None,
) -> Engine:
    """Start an engine.

    Args:
        name: ``"duckdb"`` or ``"spark"``; Spark is the session that is active (a cluster's, when
            started with its ``spark-submit``), else a local one.
        threads: CPU threads of DuckDB, or of a local Spark; without, all, or as Spark is set up.
        memory: DuckDB spills to disk beyond it, such as ``"1GB"``.
        spill: folder that it spills to.

    Raises:
        ConfigError: no such engine, or what it needs is not installed; says what to do.
    """
    if name not in ENGINES:
        raise ConfigError(f"engine: {name!r}; allowed: {', '.join(ENGINES)}")
    ibis = require("ibis")
    if name == "spark":
        session, owned = _spark_session(threads)
        return Engine(name, ibis.pyspark.connect(session), owned)
    require("duckdb")
    options: dict[str, Any] = {"preserve_insertion_order": False}
    if threads is not None:
        options["threads"] = threads
    if memory is not None:
        options["memory_limit"] = memory
    if spill is not None:
        options["temp_directory"] = str(spill)
    try:
        return Engine(name, ibis.duckdb.connect(**options))
    except _error_types(name) as error:
        raise ConfigError(f"engine duckdb with {options}: {error}") from error


def _error_types(name: str) -> tuple[type[Exception], ...]:
    if name == "duckdb":
        return (require("duckdb").Error,)
    return (
        require("pyspark.errors", extra="spark").PySparkException,
        require("py4j.protocol", extra="spark").Py4JError,
    )


def _spark_session(threads: int | None) -> tuple[Any, bool]:
    """The session, and whether it was started here."""
    sql = require("pyspark.sql", extra="spark")
    require("pandas", extra="spark")
    active = sql.SparkSession.getActiveSession()
    if active is not None:
        return active, False
    if shutil.which("java") is None:
        raise ConfigError("engine: 'spark' needs Java (17 or newer), and there is no `java` here")
    builder = (
        sql.SparkSession.builder.appName("dafset")
        # Times are UTC everywhere.
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
    )
    if threads is not None:
        builder = builder.master(f"local[{threads}]")
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session, True


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def stage(path: Path, recipe: Mapping[str, Any], make: Callable[[Path], Any]) -> Path:
    """Make a file of intermediate results unless the same recipe has made it before.

    The recipe is written beside it when it is complete, so an interrupted build starts with the
    first stage that is not.
    """
    note = path.with_name(f"{path.name}.recipe.json")
    text = json.dumps(recipe, sort_keys=True, default=str)
    try:
        known = json.loads(note.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError):
        known = None
    if known == json.loads(text):
        logger.info("%s: as it was left", path)
        return path
    note.unlink(missing_ok=True)
    make(path)
    if not path.exists():
        raise DataError(f"{path}: was not written")
    write_json(note, json.loads(text))
    return path
