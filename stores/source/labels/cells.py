"""Several names in one cell: `AF;ST`."""

from __future__ import annotations

import re

from headrace.stores.source.names import PADDING

BETWEEN = re.compile(r"[;|,]")
"""What stands between two names."""


def parts_of_cell(cell: str) -> set[str]:
    """The names in a cell, without the brackets and quotes of a list."""
    parts = (part.strip(PADDING + "[]()'\"") for part in BETWEEN.split(cell))
    return {part for part in parts if part}
