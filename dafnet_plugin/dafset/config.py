"""What `dafnet dafset build` is told: a YAML file, checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from dafnet_plugin.dafset.engine import ENGINES
from dafnet_plugin.dafset.longtail import MEASURES
from dafnet_plugin.dafset.samples import PROPERTIES
from dafnet_plugin.errors import did_you_mean
from dafnet_plugin.schema import YamlConfig, not_positive


@dataclass
class ServiceConfig:
    """Live services; none is asked unless its URL is here.

    Attributes:
        sparql: URL of a SPARQL endpoint, asked for recent statements of the relations.
        sparql_limit: subjects for each relation, at most.
        api: URL of a Wikibase API, asked for the items ``ids``.
        top_pages: URL of the top-pages API, with ``{project}``, ``{year}``, ``{month}`` and
            ``{day}`` in it, asked for ``top_days`` (ISO dates).
        user_agent: who asks; put in how to reach you.
        interval: seconds between requests.
        timeout: seconds.
    """

    sparql: str | None = None
    sparql_limit: int = 1000
    api: str | None = None
    ids: list[str] = field(default_factory=list)
    top_pages: str | None = None
    top_days: list[str] = field(default_factory=list)
    user_agent: str | None = None
    interval: float = 1.0
    timeout: float = 60.0


@dataclass
class RecentConfig:
    """Recency.

    Attributes:
        days: entities modified in so many days before ``until``.
        until: an ISO date, or date and time (UTC); without, the dump's, else that of the latest
            modification.
    """

    days: float = 7.0
    until: str | None = None


@dataclass
class PopularConfig:
    """Popularity.

    Attributes:
        subjects: so many of the most viewed subjects count as popular, at most.
        share: and no more than this share of all subjects; small graphs have an unpopular part.
        hops: how many statements from the true object a new one may be, here and wherever an
            edit says something false.
    """

    subjects: int = 10_000
    share: float = 0.25
    hops: int = 2


@dataclass
class LongTailConfig:
    """Long-tailness.

    Attributes:
        quantile: the share of the pool that counts as tail.
        by: measures that count; those that were not made are left out.
        combine: ``mean`` of the quantiles, ``any`` or ``all`` of them low enough.
        pool: facts that are measured, as a multiple of ``size``.
    """

    quantile: float = 0.3
    by: list[str] = field(default_factory=lambda: list(MEASURES))
    combine: Literal["mean", "any", "all"] = "mean"
    pool: int = 5


@dataclass
class BuildConfig(YamlConfig):
    """A recipe for a DAFSet.

    Attributes:
        sources: dumps, entity JSON, KGTK files; read into a store.
        store: a store that is there already, instead of sources.
        allow_truncated: take what a dump that ends too early has, instead of an error.
        previous: an earlier store, or an earlier dump: what changed since is recent.
        pageviews: pageview dumps, or replies of the top-pages API.
        corpus: text files in which mentions of entities are counted.
        contexts: text files from which contexts are taken, besides templates.
        model: a causal language model for likelihoods, and ``device`` and ``batch_size`` for it.
        context_model: a causal language model that writes contexts.
        relations: table of relations, instead of the one of this package.
        only: of these relations alone.
        properties: which of the four are made.
        size: samples of each, at most.
        true_targets: properties whose edits say what is true (new knowledge); the edits of the
            others say something plausible and false.
        eval_share: of the subjects for evaluation.
        reserved_share: of the subjects that no edit is about; locality probes ask about them.
        seed: of everything that is drawn.
        language: of labels.
        engine: ``duckdb`` or ``spark``; ``threads`` and ``memory`` (such as ``1GB``) for it.
        jobs: processes that read sources.
    """

    sources: list[str] = field(default_factory=list)
    store: str | None = None
    allow_truncated: bool = False
    previous: str | None = None
    services: ServiceConfig = field(default_factory=ServiceConfig)
    pageviews: list[str] = field(default_factory=list)
    corpus: list[str] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    model: str | None = None
    context_model: str | None = None
    device: str = "cpu"
    batch_size: int = 32
    relations: str | None = None
    only: list[str] | None = None
    properties: list[str] = field(default_factory=lambda: list(PROPERTIES))
    size: int = 1000
    true_targets: list[str] = field(default_factory=lambda: ["recent", "long_tail"])
    recent: RecentConfig = field(default_factory=RecentConfig)
    popular: PopularConfig = field(default_factory=PopularConfig)
    long_tail: LongTailConfig = field(default_factory=LongTailConfig)
    eval_share: float = 0.2
    reserved_share: float = 0.2
    seed: int = 0
    language: str = "en"
    engine: str = "duckdb"
    threads: int | None = None
    memory: str | None = None
    jobs: int = 1

    def problems(self) -> list[str]:
        """Everything that is wrong with the values."""
        found = not_positive(self, ["size", "jobs", "batch_size"], "")
        found += not_positive(self.recent, ["days"], "recent.")
        found += not_positive(self.popular, ["subjects", "hops"], "popular.")
        found += not_positive(self.long_tail, ["pool"], "long_tail.")
        for key in ("properties", "true_targets"):
            found += _unknown(key, getattr(self, key), PROPERTIES)
        found += _unknown("long_tail.by", self.long_tail.by, MEASURES)
        found += _unknown("engine", [self.engine], ENGINES)
        for key, values in (("properties", self.properties), ("long_tail.by", self.long_tail.by)):
            if not values:
                found.append(f"{key}: none; at least one is needed")
        given = {"frequency": self.corpus, "degree": True, "log_likelihood": self.model}
        if self.long_tail.by and not any(given.get(name, True) for name in self.long_tail.by):
            found.append(
                f"long_tail.by: {', '.join(self.long_tail.by)}; frequency needs corpus, "
                "log_likelihood needs model, and neither is given"
            )
        if not 0 < self.long_tail.quantile <= 1:
            found.append(
                f"long_tail.quantile: {self.long_tail.quantile}; allowed: above 0, at most 1"
            )
        if not 0 < self.popular.share <= 1:
            found.append(f"popular.share: {self.popular.share}; allowed: above 0, at most 1")
        if not 0 <= self.eval_share < 1:
            found.append(f"eval_share: {self.eval_share}; allowed: 0 to below 1")
        if not 0 < self.reserved_share < 1:
            found.append(
                f"reserved_share: {self.reserved_share}; allowed: above 0, below 1; locality "
                "probes ask about subjects that no edit is about"
            )
        services = self.services.sparql or self.services.api
        if bool(self.store) == bool(self.sources or services):
            found.append("sources, store: give files or services to read, or a store, one of both")
        if bool(self.services.api) != bool(self.services.ids):
            found.append("services: api and ids go together")
        if bool(self.services.top_pages) != bool(self.services.top_days):
            found.append("services: top_pages and top_days go together")
        found += [
            f"services.top_days: {day!r}; allowed: a date as 2026-11-20"
            for day in self.services.top_days
            if moment(day) is None
        ]
        if self.store and (self.pageviews or self.services.top_pages):
            found.append("pageviews, top_pages: a store given as such is left as it is")
        if self.recent.until is not None and moment(self.recent.until) is None:
            found.append(f"recent.until: {self.recent.until!r}; allowed: a date as 2026-11-20")
        return found


def moment(text: str) -> int | None:
    """Seconds since 1970 of an ISO date or time, UTC unless it says otherwise; else None."""
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp())


def _unknown(key: str, names: list[str], allowed: tuple[str, ...]) -> list[str]:
    return [
        f"{key}: {name!r}{did_you_mean(name, allowed)}; allowed: {', '.join(allowed)}"
        for name in names
        if name not in allowed
    ]
