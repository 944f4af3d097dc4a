"""KnowEdit (Zhang et al. 2024): ``wiki_recent`` and ``wiki_counterfact``, and its ZsRE.

A record has ``subject, prompt, target_new``, in ``wiki_counterfact`` also ``ground_truth``;
``portability`` with ``Logical_Generalization, Reasoning, Subject_Aliasing`` and ``locality``
with ``Relation_Specificity, Forgetfulness``, each a list of ``{prompt, ground_truth}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dafnet_plugin.cases import EditCase
from dafnet_plugin.data.records import Place, Records, load_records
from dafnet_plugin.data.structured import paraphrases, probes, structured_request


def load_knowedit(
    path: str | Path, *, size: int | None = None, skip_bad: bool = False
) -> Records[EditCase]:
    """Load KnowEdit cases.

    Portability keeps the file's names; locality has the probes of both its kinds, as in
    EasyEdit's average. Further names of an answer are aliases. Questions whose answer is blank,
    of which the published files have some, are left out, as EasyEdit does.

    Raises:
        DataError: the file or a record is malformed.
    """
    return load_records(path, parse_knowedit, size=size, skip_bad=skip_bad)


def parse_knowedit(place: Place, record: Any) -> EditCase:
    """Read one record."""
    request = structured_request(place, place.object(record))
    locality = probes(place, record.get("locality"), "locality", skip_blank=True)
    return EditCase(
        case_id=str(record.get("case_id", f"knowedit-{place.index}")),
        request=request,
        generality=paraphrases(place, record, request.target_new),
        locality=tuple(probe for group in locality.values() for probe in group),
        portability=probes(place, record.get("portability"), "portability", skip_blank=True),
    )
