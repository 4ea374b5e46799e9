"""Benchmarks: ratios measured side by side in one run, losses included."""
