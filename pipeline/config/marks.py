"""What is marked on a key beside its type."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Says:
    """What is said of a text that the key does not take."""

    sentence: str
