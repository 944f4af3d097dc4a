"""The live services of a recipe; none is asked unless its URL is in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from dafnet_plugin.dafset.config import BuildConfig, moment
from dafnet_plugin.dafset.relations import RelationTable


@dataclass(frozen=True)
class Services:
    """What is asked, with a client each.

    Attributes:
        answers: folder in which every answer is kept, and from which it is taken again.
    """

    config: BuildConfig
    answers: Path

    def sources(self, table: RelationTable) -> list[Any]:
        """Sources of entities."""
        services = self.config.services
        found: list[Any] = []
        if services.sparql:
            from dafnet_plugin.dafset.sources.sparql import SparqlSource

            limit = services.sparql_limit
            found.append(
                SparqlSource(services.sparql, list(table), self._since(), limit, self._client())
            )
        if services.api:
            from dafnet_plugin.dafset.sources.entity_json import ApiSource

            found.append(ApiSource(services.api, services.ids, self._client()))
        return found

    def top_pages(self) -> list[Any]:
        """Sources of page views."""
        services = self.config.services
        if not services.top_pages:
            return []
        from dafnet_plugin.dafset.traffic import TopPages

        days = [date.fromisoformat(day[:10]) for day in services.top_days]
        return [TopPages(services.top_pages, days, self._client())]

    def _since(self) -> datetime | None:
        recent = self.config.recent
        until = moment(recent.until or "")
        if until is None:
            return None
        return datetime.fromtimestamp(until - recent.days * 86_400, timezone.utc)

    def _client(self) -> Any:
        from dafnet_plugin.dafset.sources.http import Client

        services = self.config.services
        settings: dict[str, Any] = {"interval": services.interval, "timeout": services.timeout}
        if services.user_agent:
            settings["user_agent"] = services.user_agent
        return Client(cache=self.answers, **settings)
