"""How much something packed may unpack to where all of it is held, before it is unpacked."""

from __future__ import annotations

SMALL_UNPACKED = 256 << 20
"""Bytes that may be packed by as much as they can."""
MOST_RATIO = 300
"""Times its packed bytes that more may take: noise of sensors packs by 2 to 10, zeros by 1,000."""


def is_bomb(packed: int, unpacked: int) -> bool:
    """Whether a few bytes say that they are very many."""
    return unpacked > SMALL_UNPACKED and unpacked > MOST_RATIO * packed
