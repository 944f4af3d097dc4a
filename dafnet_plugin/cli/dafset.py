"""``dafnet dafset``: build a DAFSet from Wikidata, and analyse one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dafnet_plugin.dafset.config import BuildConfig

HELP = "Build a DAFSet from Wikidata: recent, popular, long-tailed and robust edits; analyse it."
EXAMPLE = """example:
  dafnet dafset build latest-all.json.gz --out dafset --jobs 8
  dafnet dafset build --config dafset.yaml --out dafset --engine spark
  dafnet dafset analyse dafset --out dafset-report --against zsre.json counterfact.json
"""
BUILD_HELP = "Build the four files, dataset.json and README.md; stopped, it goes on when repeated."
BUILD_EXAMPLE = """\
Everything but --out can be in the YAML file as well (keys with _ for -); options go before it.

example:
  dafnet dafset build claims.tsv.gz labels.tsv.gz --out dafset --size 500
  dafnet dafset build new.json.gz --previous old.json.gz --pageviews views.gz \\
      --corpus text.txt --model .cache/tiny-world/tiny-gpt2 --out dafset
"""
ANALYSE_HELP = "Write the analysis of a DAFSet: one HTML page, PNGs and JSON."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    raw = argparse.RawDescriptionHelpFormatter
    build = actions.add_parser(
        "build", help=BUILD_HELP, description=BUILD_HELP, epilog=BUILD_EXAMPLE, formatter_class=raw
    )
    _add_build_arguments(build)
    analyse = actions.add_parser("analyse", help=ANALYSE_HELP, description=ANALYSE_HELP)
    analyse.add_argument("folder", help="a DAFSet")
    analyse.add_argument("--out", required=True, metavar="DIR", help="where to")
    analyse.add_argument(
        "--against", nargs="+", metavar="FILE", default=[], help="ZsRE and CounterFact files"
    )
    analyse.add_argument("--store", metavar="DIR", help="for degrees and domains: the graph")
    analyse.add_argument("--corpus", metavar="FILE", help="for mentions of entities: a text")
    analyse.add_argument("--model", metavar="DIR", help="for likelihoods: a causal language model")
    analyse.add_argument("--device", default="cpu", help="of the model (%(default)s)")


def _add_build_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", nargs="*", help="Wikidata dumps, entity JSON, KGTK files (.gz and .bz2 too)"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the data set")
    parser.add_argument("--config", metavar="FILE", help="a recipe (YAML)")
    parser.add_argument("--store", metavar="DIR", help="a store that was read before")
    parser.add_argument(
        "--allow-truncated",
        action="store_true",
        default=None,
        help="take what a dump that ends too early has",
    )
    parser.add_argument("--previous", metavar="PATH", help="an earlier store, or an earlier dump")
    parser.add_argument("--pageviews", nargs="+", metavar="FILE", help="for popularity")
    parser.add_argument("--corpus", nargs="+", metavar="FILE", help="for mentions of entities")
    parser.add_argument("--contexts", nargs="+", metavar="FILE", help="text for contexts")
    parser.add_argument("--model", metavar="DIR", help="for likelihoods: a causal language model")
    parser.add_argument("--device", help="of the model: cpu, cuda, cuda:1, mps")
    parser.add_argument("--relations", metavar="FILE", help="instead of the 48 of this package")
    parser.add_argument(
        "--only", action="extend", nargs="+", metavar="P", help="only these relations: P36 P19"
    )
    parser.add_argument("--size", type=int, metavar="N", help="edits of each property, at most")
    parser.add_argument("--days", type=float, metavar="N", help="how long recent is (7)")
    parser.add_argument("--seed", type=int, help="of everything that is drawn (0)")
    parser.add_argument("--engine", metavar="NAME", help="duckdb (default) or spark")
    parser.add_argument("--threads", type=int, metavar="N", help="of the engine")
    parser.add_argument("--memory", metavar="SIZE", help="of DuckDB, before it spills: 1GB")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes that read sources (1)")


def run(options: argparse.Namespace) -> int:
    """Build or analyse."""
    return _build(options) if options.action == "build" else _analyse(options)


def _build(options: argparse.Namespace) -> int:
    import sys

    from dafnet_plugin.dafset.build import build

    built = build(
        read_config(options),
        options.out,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    for name, count in built.counts.items():
        print(f"{built.folder / name}.json: {count} edits")
    return 0


def read_config(options: argparse.Namespace) -> BuildConfig:
    """The recipe: the file's, with what the command line says in its place.

    Raises:
        ConfigError: lists every problem.
    """
    from dafnet_plugin.dafset.config import BuildConfig

    names = (
        "store", "allow_truncated", "previous", "pageviews", "corpus", "contexts", "model",
        "device", "relations", "only", "size", "seed", "engine", "threads", "memory", "jobs",
    )  # fmt: skip
    given = {name: getattr(options, name) for name in names}
    given["sources"] = options.sources or None
    if options.days is not None:
        given["recent"] = {"days": options.days}
    if options.config:
        return BuildConfig.read(options.config, given)
    return BuildConfig.from_dict({k: v for k, v in given.items() if v is not None}, "options")


def _analyse(options: argparse.Namespace) -> int:
    from dafnet_plugin.dafset.analyse import write_analysis

    page = write_analysis(
        options.folder,
        options.out,
        against=options.against,
        store=options.store,
        corpus=options.corpus,
        model=options.model,
        device=options.device,
    )
    print(f"{page}: the analysis")
    return 0
