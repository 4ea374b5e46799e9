"""What is marked on a key beside its type: what it affects, and what is said of a wrong text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from headrace.stores.marks import AddedLater

T = TypeVar("T")


class Affects(Enum):
    """What changes with a key's value. A key without a mark affects what its section does."""

    STORE = "the store"
    """Its bytes: another value makes another store."""
    RUN = "the run"
    """Its weights: another value makes another run, with a name of its own."""
    LAST_BITS = "the run's last bits"
    """Follows from the machine, so it is no part of a run's name: the run records it at its first
    start, and is resumed with the same."""
    SCORES = "the scores"
    """Of an evaluation."""
    NO_RESULT = "no result"
    """Only where things are, how fast they are made and in how much memory."""


Resource = Annotated[T, Affects.NO_RESULT]
"""A key, or a section, that is free to change at any time."""


@dataclass(frozen=True)
class Says:
    """What is said of a text that the key does not take."""

    sentence: str


def affects(field: FieldInfo) -> Affects | None:
    """What a section or a key is marked with."""
    return next((mark for mark in field.metadata if isinstance(mark, Affects)), None)


def resource_keys(section: type[BaseModel]) -> tuple[str, ...]:
    """The keys of a section that affect no result, in the section's order."""
    fields = section.model_fields.items()
    return tuple(key for key, field in fields if affects(field) is Affects.NO_RESULT)


def left_out(section: BaseModel) -> dict[str, Any]:
    """The keys that play no part in a digest of what their section affects, as pydantic excludes.

    Those of tables within it too: `{"rate_hz": True, "intervals": {"counted_from": True}}`.
    """
    found: dict[str, Any] = {}
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        is_default = value == field.get_default(call_default_factory=True)
        if affects(field) is not None or (AddedLater in field.metadata and is_default):
            found[key] = True
        elif within := _within(value):
            found[key] = within
    return found


def _within(value: Any) -> dict[Any, Any]:
    """The same of what a key holds: a table, or several."""
    if isinstance(value, BaseModel):
        return left_out(value)
    several = enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {number: within for number, each in several if (within := _within(each))}
