"""What several labels or values are called, and their units: as said, or by attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.stores.errors import SourceError
from headrace.stores.source.arrays import check_text
from headrace.stores.source.interface import SourceArray, SourceNode
from headrace.stores.source.labels.columns import declared_classes
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.said import channel_texts
from headrace.stores.source.targets.kind import refused_names
from headrace.stores.target import NO_LABEL, Target

NAMES = ("names", "label_names", "columns", "classes")
"""Attributes of labels that list what their columns are called."""


def labels_target(
    array: SourceArray, file: SourceNode, count: int, options: SourceOptions
) -> Target:
    """Several labels of `count` columns.

    Raises:
        UserError: names are more or fewer, or no names.
    """
    declared = None
    if options.target.names is None and options.classes != "":
        declared = declared_classes(file, (), options.classes)
    names = _names(array, count, declared, options)
    if NO_LABEL in names:
        raise SourceError(f"No label can be called {NO_LABEL!r}: set target.names.")
    return Target("labels", names)


def values_target(array: SourceArray, count: int, options: SourceOptions) -> Target:
    """Values of `count` columns.

    Raises:
        UserError: names or units are more or fewer, or no names.
    """
    names = _names(array, count, None, options)
    given = options.target.units
    if given is not None and len(given) != count:
        raise refused_names(given, count, array.where, "target.units")
    units = given or channel_texts(array.attribute("units"), count) or ("",) * count
    for unit in units:
        check_text(unit, f"{array.where} has a unit", "target.units")
    return Target("value", names, tuple(units))


def _names(
    array: SourceArray, count: int, declared: Sequence[str] | None, options: SourceOptions
) -> tuple[str, ...]:
    given = options.target.names
    if given is not None:
        if len(given) != count:
            raise refused_names(given, count, array.where, "target.names")
        return given
    found = declared or _said(array, count)
    if found is not None and len(found) != count:
        raise refused_names(found, count, array.where, "source.classes")
    if found is None and isinstance(options.labels, list):
        found = [name.rpartition("/")[2] for name in options.labels]
    leaf = array.name.rpartition("/")[2]
    if found is None or len(found) != count:
        found = [leaf] if count == 1 else [f"{leaf}_{number}" for number in range(count)]
    for name in found:
        check_text(name, f"{array.where} has a name", "target.names")
    if len(set(found)) < count or not all(found):
        raise SourceError(
            f"The names of the columns of {array.where} are not all different, or one is empty: "
            f"{', '.join(found)}. Set target.names."
        )
    return tuple(found)


def _said(array: SourceArray, count: int) -> Sequence[str] | None:
    for name in NAMES:
        value: Any = array.attribute(name)
        texts = channel_texts(value, count)
        if texts is not None:
            return [text.strip() for text in texts]
    return None
