"""Tokens of names: words, numbers and what stands between; and which of them are one field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

TOKEN = re.compile(r"[0-9]+|[^\W\d_]+|.", re.DOTALL)


def kind_of(token: str) -> str:
    """0 of a number, a of a word, else the token itself."""
    if token[0] in "0123456789":
        return "0"
    return "a" if token[0].isalpha() else token


def apart(varying: Sequence[int], tokens: Sequence[str]) -> Iterator[list[int]]:
    """Places that vary, parted at words that do not, between numbers: S01R02 is of two fields."""
    held: list[int] = []
    for place in varying:
        numbers = held and kind_of(tokens[place]) == kind_of(tokens[held[-1]]) == "0"
        if numbers and place > held[-1] + 1:
            yield held
            held = []
        held.append(place)
    if held:
        yield held


def end_of(varying: Sequence[int], segment: Sequence[int], tokens: Sequence[str]) -> int:
    """Where a field ends: behind a word that varies a number is part of it: B007, IR007."""
    stop = varying[-1] + 1
    digits = stop in segment and kind_of(tokens[stop]) == "0"
    return stop + 1 if digits and kind_of(tokens[stop - 1]) == "a" else stop


def segments(tokens: Sequence[str]) -> Iterator[list[int]]:
    """Places of tokens that stand together, without a separator between them."""
    held: list[int] = []
    for place, token in enumerate(tokens):
        if kind_of(token) in ("0", "a"):
            held.append(place)
        elif held:
            yield held
            held = []
    if held:
        yield held
