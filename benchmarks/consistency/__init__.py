"""Whether an edited model stands by what it was told: in what it prefers, and in what it writes."""

from benchmarks.consistency.config import ConsistencyConfig

__all__ = ["ConsistencyConfig"]
