"""The harness: methods side by side on sequences of edits, from one YAML file to a table.

``python -m benchmarks run CONFIG`` builds what the runs need (facts, base model, meta-training),
edits and scores, and appends to ``results.jsonl``; ``table DIR`` and ``report DIR`` show it, ``plan
CONFIG`` says what is left, ``compare DIR DIR`` sets two runs side by side.
This package imports ``dafnet_plugin``, never the reverse.
"""
