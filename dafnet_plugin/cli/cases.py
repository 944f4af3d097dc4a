"""``dafnet cases``: a published data set as edit cases."""

from __future__ import annotations

import argparse

HELP = "Read a data set in a published format, check every record, and write it as edit cases."
EXAMPLE = """example:
  dafnet cases ripple RippleEdits/popular.json --out popular.jsonl
  dafnet cases uniedit UniEdit/test --out uniedit.jsonl --skip-bad
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from dafnet_plugin.data import LOADERS

    parser.add_argument(
        "format", choices=sorted(LOADERS), metavar="FORMAT", help=", ".join(LOADERS)
    )
    parser.add_argument("path", help="file, or folder for formats that are one")
    parser.add_argument("--out", metavar="FILE", help="write the cases here; without, only check")
    parser.add_argument("--size", type=int, metavar="N", help="so many cases at most")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave malformed records out and count them"
    )


def run(options: argparse.Namespace) -> int:
    """Say how many cases there are, and which records were left out and why."""
    from dafnet_plugin.cases import write_cases
    from dafnet_plugin.data import get_loader

    load = get_loader(options.format)
    cases = load(options.path, size=options.size, skip_bad=options.skip_bad)
    if options.out:
        write_cases(options.out, cases)
    for problem in cases.problems:
        print(problem)
    print(f"{len(cases)} cases, {len(cases.problems)} malformed records left out")
    return 0
