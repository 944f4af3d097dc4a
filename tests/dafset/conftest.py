"""Real files, a small graph, and the engines that selection runs on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of real data sets; tests that need it skip when it is missing."""
    default = Path(__file__).parents[2].parent / "shared" / "data"
    directory = Path(os.environ.get("DAFNET_DATA_DIR", default))
    if not directory.is_dir():
        pytest.skip(f"no real data sets in {directory}; set DAFNET_DATA_DIR")
    return directory


@pytest.fixture(scope="session")
def spark() -> Iterator[None]:
    """A local Spark session, which the engine "spark" then uses."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (extra 'spark')")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, and there is no `java` here")
    session = (
        sql.SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", "UTC")
        # The graph is small: planning and compiling would take longer than running.
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .config("spark.driver.memory", "1g")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield
    session.stop()
