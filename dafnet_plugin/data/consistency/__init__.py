"""Pairs of summaries of a document, of which one is consistent with it and one contradicts it.

Read from FIB's published files (:mod:`.fib`), or made from templates of facts, edited ones among
them (:mod:`.templates`), for the tiny world (:mod:`.tinyworld`) and ParaRel (:mod:`.pararel`).
"""

from dafnet_plugin.data.consistency.fib import load_fib
from dafnet_plugin.data.consistency.pairs import SWAPS, ConsistencyPair, load_pairs, write_pairs

__all__ = ["SWAPS", "ConsistencyPair", "load_fib", "load_pairs", "write_pairs"]
