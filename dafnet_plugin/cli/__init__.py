"""``dafnet``: one file a subcommand."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from dafnet_plugin.errors import DAFNetError

COMMANDS = (
    "cases",
    "dafset",
    "train",
    "edit",
    "edits",
    "export",
    "init-hparams",
    "plan",
    "stats",
    "validate",
    "world",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; what a user got wrong is one message on standard error and status 2."""
    parser = argparse.ArgumentParser(
        prog="dafnet", description="DAFNet: sequential editing of language models, for EasyEdit."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        # Each file imports what it needs when it runs: --help must be quick.
        module = importlib.import_module(f"dafnet_plugin.cli.{name.replace('-', '_')}")
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=module.EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    options.arguments = list(sys.argv[1:] if arguments is None else arguments)
    return run_command("dafnet", options)


def run_command(program: str, options: argparse.Namespace, interrupted: str = "interrupted") -> int:
    """Run ``options.run``; an error a user can mend is one line on standard error.

    Args:
        program: what the line starts with, before the subcommand.
        interrupted: what is said after Ctrl-C.

    Returns:
        the exit status: the subcommand's, 2 after an error, 130 after Ctrl-C.
    """
    # Two busy threads that spin while they wait slow each other down on small machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    where = f"{program} {options.command}"
    try:
        return int(options.run(options))
    except DAFNetError as error:
        print(f"{where}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        print(f"{where}: {file}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{where}: {interrupted}", file=sys.stderr)
        return 130
