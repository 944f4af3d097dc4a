"""``dafnet``: one file a subcommand."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from dafnet_plugin.errors import DAFNetError

COMMANDS = ("train", "edit", "validate", "world")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; what a user got wrong is one message on standard error and status 2."""
    parser = argparse.ArgumentParser(
        prog="dafnet", description="DAFNet: sequential editing of language models, for EasyEdit."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        # Each file imports what it needs when it runs: --help must be quick.
        module = importlib.import_module(f"dafnet_plugin.cli.{name}")
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
    # Two busy threads that spin while they wait slow each other down on small machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return int(options.run(options))
    except DAFNetError as error:
        print(f"dafnet {options.command}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"dafnet {options.command}: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"dafnet {options.command}: interrupted", file=sys.stderr)
        return 130
