"""From sources to a DAFSet: read, select, measure, compose, write; each stage can be resumed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dafnet_plugin.dafset.card import data_card, provenance
from dafnet_plugin.dafset.compose import Composer, assign
from dafnet_plugin.dafset.config import BuildConfig, moment
from dafnet_plugin.dafset.engine import Engine, open_engine, stage
from dafnet_plugin.dafset.evidence import gather
from dafnet_plugin.dafset.frequency import read_texts
from dafnet_plugin.dafset.pools import find_pools
from dafnet_plugin.dafset.relations import RelationTable, load_relations
from dafnet_plugin.dafset.samples import PROPERTIES, Material, Sample, write_samples
from dafnet_plugin.dafset.select import (
    dropped,
    facts_of,
    named_by_hand,
    open_graph,
    statements_of,
)
from dafnet_plugin.dafset.services import Services
from dafnet_plugin.errors import DataError
from dafnet_plugin.files import read_json, write_json, write_text

if TYPE_CHECKING:
    from ibis import Table

logger = logging.getLogger(__name__)
WORK = ".work"
"""Folder within the data set for what an interrupted build goes on from; it can be deleted."""
CONTEXT_TEXTS = 50_000
"""Lines of the corpora that contexts are looked for in."""
Say = Callable[[str], Any]


@dataclass(frozen=True)
class Built:
    """A finished data set.

    Attributes:
        counts: property -> samples.
        provenance: what ``dataset.json`` says.
    """

    folder: Path
    counts: Mapping[str, int]
    provenance: Mapping[str, Any]


def build(config: BuildConfig, out: str | Path, *, say: Say = logger.info) -> Built:
    """Build a DAFSet: four JSON files, ``dataset.json`` and ``README.md``.

    The same sources, configuration and seed give the same bytes, on DuckDB and on Spark. What
    takes long is kept under ``out/.work``; a second call goes on from there.

    Args:
        say: is told, in a line each, what is being done.

    Raises:
        ConfigError: the table of relations is wrong, or something is not installed.
        DataError: a source cannot be read, or holds nothing to make samples of; what was read
            so far is kept.
        NumericalError: the model gives no finite numbers.
    """
    folder, work = Path(out), Path(out) / WORK
    table = load_relations(config.relations)
    if config.only is not None:
        table = table.only(config.only)
    store = _store(config, table, work, say)
    previous = _previous(config, work, say)
    engine = open_engine(
        config.engine, threads=config.threads, memory=config.memory, spill=work / "spill"
    )
    try:
        return _build(config, table, engine, (store, previous), folder, say)
    finally:
        engine.close()


def _build(
    config: BuildConfig,
    table: RelationTable,
    engine: Engine,
    stores: tuple[Path, Path | None],
    folder: Path,
    say: Say,
) -> Built:
    work, (store, previous) = folder / WORK, stores
    info = read_json(store / "store.json")
    graph = open_graph(engine, store)
    statements, facts = _facts(config, table, engine, store, work, say)
    reasons = {row["reason"]: row["count"] for row in engine.rows(dropped(statements))}
    count = engine.rows(facts.aggregate(count=facts.count()))[0]["count"]
    say(f"{count} facts can become samples; not usable: {reasons or 'none'}")
    if not count:
        raise DataError(
            f"{store}: no fact can become a sample; statements of the {len(table)} relations "
            f"that are not usable, by reason: {reasons or 'there are none of them at all'}"
        )
    changes = _changes(engine, store, previous, work, say) if previous else None
    found = find_pools(graph, changes, facts, table, config, work, dump_date(info))
    say("facts by property: " + ", ".join(f"{k} {len(v)}" for k, v in found.pools.items()))
    choices = assign(found.pools, table, 2 * config.size)
    chosen = [choice.fact for choice in choices]
    evidence = gather(graph, facts, chosen, hops=config.popular.hops, seed=config.seed)
    truths = {name: name in config.true_targets for name in PROPERTIES}
    composer = Composer(table, evidence, truths, config.eval_share, config.seed)
    samples = composer.samples(choices, config.size)
    if not samples:
        raise DataError(
            f"{store}: no sample could be made of {len(choices)} facts: {dict(composer.drops)}"
        )
    samples = _with_contexts(samples, composer.material, config, say)
    # Written last: files without it are those of a build that was stopped.
    (folder / "dataset.json").unlink(missing_ok=True)
    counts = write_samples(folder, samples)
    selection = {
        "facts": count,
        "objects_named_by_hand": engine.rows(named_by_hand(graph, facts))[0]["count"],
        "statements_not_used": reasons,
        **found.notes,
        "facts_not_used": dict(sorted(composer.drops.items())),
    }
    record = provenance(config, table, info, selection, samples)
    write_text(folder / "README.md", data_card(record, table, samples))
    write_json(folder / "dataset.json", record)
    return Built(folder, counts, record)


def dump_date(info: Mapping[str, Any]) -> str | None:
    """The day that a store shows the state of, as its ``store.json`` says; ISO 8601."""
    plan = info.get("plan") or {}
    days = [
        info.get("dump_date"),
        plan.get("as_of"),
        *(item.get("dump_date") for item in plan.get("sources", ())),
    ]
    known = [day for day in days if isinstance(day, str) and moment(day) is not None]
    return max(known) if known else None


def _store(config: BuildConfig, table: RelationTable, work: Path, say: Say) -> Path:
    """The folder of the graph; sources are read into one, or read on."""
    from dafnet_plugin.dafset.ingest import ingest
    from dafnet_plugin.dafset.store import Store

    if config.store:
        return Store(config.store).path  # which refuses one that is not finished

    services = Services(config, work / "answers")
    sources: list[Any] = [*config.sources, *services.sources(table)]
    say(f"reading {len(sources)} source(s)")
    store = ingest(
        sources,
        work / "store",
        jobs=config.jobs,
        language=config.language,
        allow_truncated=config.allow_truncated,
    )
    views: list[Any] = [*config.pageviews, *services.top_pages()]
    if views:
        from dafnet_plugin.dafset.traffic import add_views

        def add(note: Path) -> None:
            say(f"adding page views of {len(views)} source(s)")
            write_json(note, dict(add_views(store, views)))

        files = [(name, Path(name).stat().st_size) for name in config.pageviews]
        recipe = {"files": files, "top": config.services.top_days, "plan": store.info["plan"]}
        stage(work / "views.json", recipe, add)
    return work / "store"


def _previous(config: BuildConfig, work: Path, say: Say) -> Path | None:
    if config.previous is None:
        return None
    from dafnet_plugin.dafset.ingest import ingest
    from dafnet_plugin.dafset.store import Store

    if Path(config.previous).is_dir():
        return Store(config.previous).path

    say("reading the earlier state")
    ingest(
        [config.previous],
        work / "previous",
        jobs=config.jobs,
        language=config.language,
        allow_truncated=config.allow_truncated,
    )
    return work / "previous"


def _changes(engine: Engine, store: Path, previous: Path, work: Path, say: Say) -> Table:
    """What is different from an earlier state."""
    from dafnet_plugin.dafset.changes import compare_stores
    from dafnet_plugin.dafset.store import Store

    def make(path: Path) -> None:
        say("comparing with the earlier state")
        compare_stores(Store(previous), Store(store), path)

    recipe = {"old": _digest(previous), "new": _digest(store)}
    return engine.table(stage(work / "changes.parquet", recipe, make))


def _facts(
    config: BuildConfig, table: RelationTable, engine: Engine, store: Path, work: Path, say: Say
) -> tuple[Table, Table]:
    """The table's statements, with what is against each, and those that nothing is against."""
    graph = open_graph(engine, store)

    def make(path: Path) -> None:
        say(f"looking for usable statements of {len(table)} relations")
        engine.save(statements_of(graph, table, config.seed, config.reserved_share), path)

    recipe = {
        "store": _digest(store),
        "relations": hashlib.sha256(repr(table).encode()).hexdigest(),
        "seed": config.seed,
        "reserved_share": config.reserved_share,
    }
    path = stage(work / f"statements-{engine.name}.parquet", recipe, make)
    statements = engine.table(path)
    return statements, facts_of(statements)


def _digest(store: Path) -> str:
    """Changes when the files of a store do."""
    files = sorted((*store.glob("*.json"), *store.glob("*/*.parquet")))
    sizes = [(file.relative_to(store).as_posix(), file.stat().st_size) for file in files]
    text = json.dumps(sizes) + (store / "store.json").read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def _with_contexts(
    samples: Sequence[Sample],
    material: Callable[[Sequence[Sample]], Material],
    config: BuildConfig,
    say: Say,
) -> list[Sample]:
    """The samples, those of ``robust`` with contexts and counter-samples."""
    from dafnet_plugin.dafset.robustness import GeneratedSource, add_robustness

    robust = [sample for sample in samples if sample.meta and sample.meta.property == "robust"]
    if not robust:
        return list(samples)
    say(f"looking for contexts of {len(robust)} samples")
    texts = (text.strip() for name in config.contexts for text in read_texts(Path(name)))
    generated = None
    if config.context_model:
        generated = GeneratedSource(
            config.context_model,
            device=config.device,
            batch_size=config.batch_size,
            seed=config.seed,
        )
    changed = add_robustness(
        robust,
        material(robust),
        seed=config.seed,
        corpus=list(islice(texts, CONTEXT_TEXTS)),
        generated=generated,
    )
    without = sum(not sample.prefix for sample in changed)
    if without:
        say(f"{without} samples are without a context")
    renewed = iter(changed)
    return [
        next(renewed) if sample.meta and sample.meta.property == "robust" else sample
        for sample in samples
    ]
