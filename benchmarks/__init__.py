"""The harness: methods side by side on sequences of edits, from one YAML file to a table.

``python -m benchmarks run CONFIG`` builds what the runs need (facts, base model, meta-training),
edits and scores, and appends to ``results.jsonl``; ``python -m benchmarks table DIR`` shows it.
This package imports ``dafnet_plugin``, never the reverse.
"""
