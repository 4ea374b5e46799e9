"""Marks on keys of the configuration, beside their type."""

from __future__ import annotations


class AddedLater:
    """On a key that is left out of names and digests at its default.

    Stores and runs from before it keep theirs.
    """


class OwnSection:
    """On a key that the configuration has as a section of its own, which fills it in."""
