"""``dafnet edits``: look into a folder of edits, and undo edits of a journal."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

HELP = "List the edits of a journal or of saved edits; undo some of a journal's."
EXAMPLE = """example:
  dafnet edits my-journal
  dafnet edits my-journal --undo case-17 --undo case-18
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "folder", help="what `dafnet edit` wrote with --journal or --save, or DAFNetEdits"
    )
    parser.add_argument(
        "--undo",
        action="append",
        default=[],
        metavar="NAME",
        help="let the journal go on without this edit; weights follow when it is opened next",
    )


def run(options: argparse.Namespace) -> int:
    """Undo what is to be undone, and print the rest as a table. No model is needed."""
    from rich.console import Console
    from rich.table import Table

    from dafnet_plugin.artifacts.journal import FILE, Journal, read_journal
    from dafnet_plugin.artifacts.saved_edits import RECORD, read_edits
    from dafnet_plugin.editing.record import edits_of, without
    from dafnet_plugin.errors import CheckpointError, ConfigError

    folder = Path(options.folder)
    if (folder / FILE).is_file():
        if options.undo:
            with closing(Journal(folder)) as journal:  # held from reading to writing
                calls = journal.calls
                for name in options.undo:
                    calls = without(calls, name)
                journal.write(calls)
        else:
            calls = read_journal(folder / FILE).calls
    elif (folder / RECORD).is_file():
        calls = read_edits(folder).calls
        if options.undo:
            raise ConfigError(
                f"--undo: {folder} has weights that only a model can make anew; load it into "
                "DAFNetEdits, undo there, and save"
            )
    else:
        raise CheckpointError(f"{folder}: neither a journal ({FILE}) nor saved edits ({RECORD})")
    table = Table("name", "prompt", "new answer", title=f"{len(edits_of(calls))} edits")
    for edit in edits_of(calls):
        table.add_row(edit.case_id, edit.request.prompt, edit.request.target_new)
    Console().print(table)
    return 0
