"""What a look at files led to: keys of the configuration, each with its reason, and doubts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace.stores.source.probe.found import FoundArray

MOST_SHOWN = 6


@dataclass
class Guess:
    """What files seem to be.

    Attributes:
        source, features: keys of these sections, each with a comment; a value of None is written
            as a comment to be filled in.
        unsure: what their owner should look at, in the order of the file.
        likely: values of keys that are asked for, by which windows are fitted.
        notes: what the files themselves say, and no key has to repeat.
        refused: why what is written down should not be used as it is; "": it may.
    """

    source: dict[str, tuple[Any, str]] = field(default_factory=dict)
    features: dict[str, tuple[Any, str]] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    likely: dict[str, str] = field(default_factory=dict)
    refused: str = ""

    def value(self, key: str) -> Any:
        """What a key of the source is set to; None: nothing."""
        return self.source.get(key, (None, ""))[0]


def few(names: list[str], most: int = MOST_SHOWN) -> str:
    """`a, b, c and 4 more`, each name cut."""
    shown = ", ".join(shortened(name) for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def shortened(text: str, most: int = 40) -> str:
    """The beginning of a long text."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def values_of(found: FoundArray) -> str:
    """The different values of a column, for a comment."""
    return listed_values(found.values)


def listed_values(values: list[Any] | None) -> str:
    """`5 values: a, b, c, ...`."""
    if not values:
        return "many values"
    shown = ", ".join(shortened(plain(value), 24) for value in values[:MOST_SHOWN])
    more = ", ..." if len(values) > MOST_SHOWN else ""
    return f"{len(values):,} value{'s' * (len(values) != 1)}: {shown}{more}"


def plain(value: Any) -> str:
    """A value as a label's name has it: whole numbers without a point."""
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)
