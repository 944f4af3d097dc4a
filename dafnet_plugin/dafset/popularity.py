"""Popularity: much-read subjects, and new objects that are plausible, of the right type, false.

A new object is looked for among the neighbours of the true one in the graph: one statement
away, then two (Paris - France - Lyon), and so on; among them only what the relation has as an
object somewhere. It shares a class with the true object when both have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dafnet_plugin.dafset.extras import require
from dafnet_plugin.dafset.select import INSTANCE_OF, Graph, chance

if TYPE_CHECKING:
    from ibis import Table

KEPT = 24
"""Candidates of a true object that are kept, the nearest first."""


def subject_counts(facts: Table) -> Table:
    """One row: ``all`` subjects, and those that are ``viewed``, with known page views."""
    subjects = facts.group_by("subject").agg(most=facts.views.max())
    return subjects.aggregate(all=subjects.count(), viewed=subjects.most.count())


def most_viewed(facts: Table, subjects: int) -> Table:
    """Facts of the most viewed subjects, at most so many subjects."""
    known = facts.filter(facts.views.notnull())
    ranked = known.group_by("subject").agg(most=known.views.max())
    ranked = ranked.order_by([ranked.most.desc(), ranked.subject]).limit(subjects)
    return facts.semi_join(ranked, "subject")


def best_connected(facts: Table, degrees: Table, subjects: int) -> Table:
    """The same by degree, for stores without page views.

    Args:
        degrees: (subject, degree).
    """
    ranked = degrees.order_by([degrees.degree.desc(), degrees.subject]).limit(subjects)
    return facts.semi_join(ranked, "subject")


@dataclass(frozen=True)
class Neighbourhood:
    """Finds what could stand in for an object.

    Attributes:
        facts: all that could be edited or asked; their objects are what a relation allows.
        hops: how far to look, in statements; at least 1.
        seed: of the choice among equally near ones.
    """

    graph: Graph
    facts: Table
    hops: int
    seed: int

    def candidates(self, tails: Table) -> Table:
        """(relation, object, candidate, label, hops): up to ``KEPT`` for each, nearest first.

        Args:
            tails: (relation, object), each once.

        ``hops`` is null for objects of the relation that were not reached but fill up.
        """
        allowed = self.facts.select("relation", candidate="object", label="object_label").distinct()
        reached = self._reached(tails, allowed)
        anywhere = self._anywhere(tails, allowed)
        both = reached.union(anywhere.anti_join(reached, ["relation", "object", "candidate"]))
        return self._nearest(self._same_class(both))

    def _reached(self, tails: Table, allowed: Table) -> Table:
        """Candidates within ``hops`` statements of their tail, each at its least distance."""
        ibis = require("ibis")
        rows = self.graph.statements.filter(
            self.graph.statements.current & (self.graph.statements.relation != INSTANCE_OF)
        )
        forward = rows.select(at="subject", candidate="object").distinct()
        # Outwards a node has few statements; inwards it may have millions (what is in France?).
        # Hence paths go outwards, and only their last step inwards, to allowed objects alone.
        inward = rows.select(candidate="subject", at="object").distinct()
        inward = inward.semi_join(allowed, "candidate")
        outward = forward.semi_join(allowed, "candidate")
        last_steps = outward.union(inward)
        frontier = tails.mutate(at=tails.object)
        found = None
        for hop in range(1, self.hops + 1):
            ends = frontier.join(last_steps, "at").select("relation", "object", "candidate")
            ends = ends.distinct().mutate(hops=ibis.literal(hop, "int64"))
            found = ends if found is None else found.union(ends)
            frontier = (
                frontier.join(forward, "at").select("relation", "object", at="candidate").distinct()
            )
        assert found is not None
        found = found.group_by(["relation", "object", "candidate"]).agg(hops=found.hops.min())
        return found.join(allowed, ["relation", "candidate"]).select(
            "relation", "object", "candidate", "label", "hops"
        )

    def _anywhere(self, tails: Table, allowed: Table) -> Table:
        """Other objects of the relation, drawn at random, the same ones for all its tails."""
        ibis = require("ibis")
        lot = chance(f"object {self.seed}", allowed.relation, allowed.candidate)
        turn = ibis.row_number().over(group_by=allowed.relation, order_by=[lot, allowed.candidate])
        drawn = allowed.mutate(turn=turn)
        drawn = drawn.filter(drawn.turn < 4 * KEPT).drop("turn")
        drawn = tails.join(drawn, "relation")
        return drawn.select("relation", "object", "candidate", "label", hops=ibis.null("int64"))

    def _same_class(self, pairs: Table) -> Table:
        """Leave out candidates whose classes are known and are none of the true object's."""
        instances = (
            self.graph.statements.filter(self.graph.statements.relation == INSTANCE_OF)
            .select(entity="subject", of="object")
            .distinct()
        )
        pairs = pairs.filter(pairs.candidate != pairs.object)
        both = pairs.select("object", "candidate").distinct()
        mine = both.join(instances, both.object == instances.entity).drop("entity")
        known = mine.join(instances, mine.candidate == instances.entity)
        known = known.select("object", "candidate", same=known.of == known.of_right)
        judged = known.group_by(["object", "candidate"]).agg(same=known.same.any())
        wrong = judged.filter(~judged.same)
        return pairs.anti_join(wrong, ["object", "candidate"])

    def _nearest(self, pairs: Table) -> Table:
        ibis = require("ibis")
        far = pairs.hops.fill_null(10**6)
        lot = chance(f"tail {self.seed}", pairs.relation, pairs.object, pairs.candidate)
        turn = ibis.row_number().over(
            group_by=[pairs.relation, pairs.object], order_by=[far, lot, pairs.candidate]
        )
        kept = pairs.mutate(turn=turn)
        kept = kept.filter(kept.turn < KEPT)
        return kept.order_by(["relation", "object", "turn"])
