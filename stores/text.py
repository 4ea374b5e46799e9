"""Numbers and lists as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHOWN_NAMES = 12


def in_one_line(text: str) -> str:
    """What a stranger's file says, with what is not printable as escapes: it commands no terminal,
    and ends no line.
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def format_bytes(count: float) -> str:
    """`1.5 GiB`: three digits and a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1000 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.3g} {unit}"


def format_seconds(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def listed(found: Sequence[str], most: int = 4) -> str:
    """`a, b, c, d and 3 more`."""
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def counted(number: int, what: str) -> str:
    """`1 shard`, `2,000 shards`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def shown(names: Sequence[str]) -> str:
    """`a, b, c`; of more than 12 names the first 12 and `... (2000)`."""
    more = f", ... ({len(names)})" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more


def shown_value(value: Any) -> str:
    """A value of a configuration, short."""
    return shortened("left out" if value is None else repr(value))


def shortened(text: str) -> str:
    """The first 37 characters and `...` where there are more than 40."""
    return text if len(text) <= 40 else f"{text[:37]}..."
