"""The two data sets that ``benchmarks/configs/dafset-ablation.yaml`` trains on and tests with.

    python -m benchmarks.dafset.sets --data-dir DATA

builds ``tiny-dafset`` from the tiny world, which has popularity, a long tail, aliases and change
over time, and ``real-dafset`` from ParaRel's facts and Wikidata's files. It takes a minute; what
is there already is left as it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.entries import ROOT
from dafnet_plugin.dafset.build import build
from dafnet_plugin.dafset.config import BuildConfig
from dafnet_plugin.dafset.tinyworld import recipe, write_sources
from dafnet_plugin.data.tinyworld import WorldConfig

FOLDER = ROOT / ".cache" / "dafset"
SHARED: dict[str, Any] = {"size": 300, "eval_share": 0.35, "threads": 1}
"""A third of the subjects is held out, so that sequences of 100 edits can be made of them."""
WORLD = WorldConfig(scale=3.0)


def main(arguments: list[str] | None = None) -> int:
    """Build them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="with pararel/, wikidata/")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    for name, config in (
        ("tiny-dafset", tiny(options.out / "tiny")),
        ("real-dafset", real(options.data_dir)),
    ):
        made = build(config, options.out / name)
        counts = ", ".join(f"{count} {part}" for part, count in made.counts.items())
        print(f"{made.folder.name}: {counts}")
    return 0


def tiny(sources: Path) -> BuildConfig:
    """The recipe for one from the tiny world, which is written to a folder."""
    write_sources(sources, config=WORLD)
    return BuildConfig.from_dict(recipe(sources, **SHARED))


def real(data_dir: Path) -> BuildConfig:
    """The recipe for one from ParaRel's facts and real files of Wikidata."""
    files = sorted((data_dir / "pararel" / "triples").glob("*.jsonl"))
    files += sorted((data_dir / "wikidata").glob("*.json"))
    files += [data_dir / "wikidata" / f"kgtk-{part}.tsv.gz" for part in ("claims", "labels")]
    return BuildConfig.from_dict({"sources": [str(path) for path in files], **SHARED})


if __name__ == "__main__":
    raise SystemExit(main())
