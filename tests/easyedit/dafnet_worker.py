"""Runs the checks of DAFNet in EasyEdit in a process of its own and reports what happened.

Usage: ``python dafnet_worker.py FAMILY MODEL_FOLDER REPORT.json``. The report maps each check to
what the tests assert on, or to ``{"error": traceback}``.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from dafnet_plugin import DAFNetHparams  # noqa: F401  # makes EasyEdit importable
from tests.easyedit import dafnet_edits, dafnet_trainings
from tests.easyedit.dafnet_bench import Bench


def main() -> None:
    bench = Bench(sys.argv[1], Path(sys.argv[2]))
    report: dict[str, Any] = {}
    for check in [*dafnet_edits.CHECKS, *dafnet_trainings.CHECKS]:
        try:
            report[check.__name__] = check(bench)
        except Exception:
            report[check.__name__] = {"error": traceback.format_exc()}
    Path(sys.argv[3]).write_text(json.dumps(report))


main()
