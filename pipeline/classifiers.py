"""Names shared by all that shows scores: metrics.json, crossval.json, tables and the report."""

from __future__ import annotations

HEADLINES = ("accuracy", "macro_f1", "balanced_accuracy")
"""Keys of the scores that summaries show."""

TITLES = {
    "plain": "network",
    "tta": "network, views averaged",
    "baseline": "baseline (extra trees)",
}
"""Keys of the classifiers in metrics.json, and how people know them."""
