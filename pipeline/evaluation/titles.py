"""Names shared by all that shows scores: metrics.json, crossval.json, tables and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINES = ("accuracy", "macro_f1", "balanced_accuracy")
"""Keys of the scores that summaries show."""

TITLES = {
    "plain": "network",
    "tta": "network, views averaged",
    "baseline": "baseline (extra trees)",
}
"""Keys of the classifiers in metrics.json, and how people know them."""


def score_text(scores: Mapping[str, Any], key: str) -> str:
    """A score in percent, with its interval where there is one: `88.67 % [84.1, 92.0]`."""
    text = f"{100 * scores[key]:.2f} %"
    edges = scores.get("intervals", {}).get(key)
    return text if edges is None else f"{text} [{100 * edges[0]:.1f}, {100 * edges[1]:.1f}]"
