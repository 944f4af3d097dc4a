"""What is read of each entity, whatever the source."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from dafnet_plugin.dafset.graph import check_ids
from dafnet_plugin.errors import ConfigError

_LANGUAGE = re.compile(r"[a-z]{2,12}(-[a-z0-9]{1,12})*", re.ASCII)
FALLBACK = "mul"
"""Wikidata's code for labels that are the same in all languages."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What is wanted of each entity.

    Attributes:
        language: of labels, descriptions, aliases and the Wikipedia, as in ``"en"``.
        relations: only these; None: all (the degree of an entity needs all).
        as_of: the day that counts as today for end dates; None: whatever has an end date has
            ended.
    """

    language: str = "en"
    relations: frozenset[str] | None = None
    as_of: date | None = None

    def __post_init__(self) -> None:
        # It becomes part of queries and of the names of wikis.
        if not isinstance(self.language, str) or not _LANGUAGE.fullmatch(self.language):
            raise ConfigError(
                f"language: {self.language!r}; allowed: codes such as 'en', 'zh-hant'"
            )
        if self.relations is not None:
            check_ids(self.relations, "relations", properties=True)

    @property
    def wiki(self) -> str:
        """The Wikipedia of the language as a sitelink calls it, ``"enwiki"``."""
        return f"{self.language.replace('-', '_')}wiki"


def options_from(
    language: str, relations: Collection[str] | None, as_of: date | None
) -> ReadOptions:
    """The options of a call, as one object."""
    return ReadOptions(language, None if relations is None else frozenset(relations), as_of)
