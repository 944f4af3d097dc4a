"""The key ``consistency`` of a benchmark's config."""

from __future__ import annotations

from dataclasses import dataclass

from dafnet_plugin.schema import YamlConfig, not_positive


@dataclass
class ConsistencyConfig(YamlConfig):
    """How factual consistency is measured; ``consistency: true`` stands for the values here.

    Attributes:
        sentences: facts that a document states.
        facts: edited facts of a sequence whose pairs are asked, at most, from its first edit to its
            last one; and so many untouched facts.
        generated: edited facts of a sequence that the model writes about, at most, likewise; 0 for
            none.
        new_tokens: how far it writes on.
        temperature: of sampled continuations.
    """

    sentences: int = 3
    facts: int = 60
    generated: int = 20
    new_tokens: int = 16
    temperature: float = 1.0

    def problems(self) -> list[str]:
        """See :meth:`YamlConfig.problems`."""
        found = not_positive(self, ["facts", "new_tokens", "temperature"], "")
        if self.sentences < 2:
            found.append(f"sentences: {self.sentences}; allowed: at least 2")
        if self.generated < 0:
            found.append(f"generated: {self.generated}; allowed: at least 0")
        return found
