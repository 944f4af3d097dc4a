"""How fast and how small DAFNet is, beside the same algorithm written the plain way.

``python -m benchmarks.speed`` measures everything and writes ``speed.json``, tables and plots.
"""
