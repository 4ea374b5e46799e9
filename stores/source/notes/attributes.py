"""Notes on attributes that look like those of an option, and were not used."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from headrace.stores.source.beside import (
    PACKED,
    Beside,
    looks_like_options,
    packed,
    plain_number,
    shown_attribute,
)
from headrace.stores.source.channels import ATTRIBUTES, ChannelInfo, called
from headrace.stores.source.derived.joined import JoinedArray
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.notes.note import SHOWN, Layout, Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.said import as_text
from headrace.stores.text import listed

WAYS = {
    "scale": "source.scale = [...], a factor a channel, would be",
    "offset": "source.offset = [...], in units: value * scale + offset, would be",
    "units": "source.units = [...] would be",
    "rate_hz": "source.rate_hz would be",
    "time": "No key takes them: windows are told by the row that they begin at",
}


def attribute_notes(layout: Layout, options: SourceOptions) -> Iterator[Note]:
    """One for each option that attributes look like, and that nobody gave."""
    data, stated = layout.data, layout.stated
    unused: dict[str, list[Beside]] = {}
    for each in looks_like_options(data):
        given = getattr(options, each.option, None) is not None
        if not given and not _is_stated(each, stated):
            unused.setdefault(each.option, []).append(each)
    for option, found in unused.items():
        shown = listed([str(each) for each in found], SHOWN)
        key = "source.rate_hz" if option == "time" else f"source.{option}"
        yield Note(
            f"{data.where} has attributes that are not used: {shown}. "
            f"{_used(option, stated)}{WAYS[option]}.{_as_counts(found[0], stated)}",
            key,
        )
    unpacked = [
        f"{name} = {shown_attribute(value)}"
        for option, name in PACKED.items()
        if (value := packed(data, option)) is not None
        and getattr(options, option) is None
        and data.attribute(ATTRIBUTES[option]) is None
    ]
    if unpacked:
        yield Note(
            f"{data.where} is unpacked by {' and '.join(unpacked)}, as netCDF does: value * "
            "scale_factor + add_offset. source.scale = [] and source.offset = [] leave values as "
            "they are stored.",
            "source.scale",
        )


def override_notes(data: SourceArray, options: SourceOptions) -> Iterator[Note]:
    """One for each option that holds for all recordings, whatever these say."""
    for option, name in ATTRIBUTES.items():
        said = data.differing.get(name) if isinstance(data, JoinedArray) else None
        if said is not None and getattr(options, option) is not None:
            yield Note(
                f"source.{option} holds for all recordings, though their "
                f"{called(data, option)} is {said}.",
                f"source.{option}",
            )


def _is_stated(each: Beside, stated: ChannelInfo) -> bool:
    """Whether an attribute is one that is used, says the same, or says nothing."""
    if each.name == ATTRIBUTES.get(each.option):
        return True
    if each.option == "units":
        texts = [as_text(text) for text in np.asarray(each.value).reshape(-1).tolist()]
        return len(set(stated.units)) == 1 and set(texts) == set(stated.units)
    if each.option == "time":
        return False
    try:
        values = np.asarray(plain_number(each.value), dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return False
    if each.option == "rate_hz":
        return bool(np.allclose(values, stated.rate_hz, rtol=1e-6))
    used = stated.scale if each.option == "scale" else stated.offset
    nothing = 1.0 if each.option == "scale" else 0.0
    same = values.size in (1, used.size) and np.allclose(values, used, rtol=1e-6, atol=0)
    return bool(same or np.all(values == nothing))


def _as_counts(found: Beside, stated: ChannelInfo) -> str:
    """What an offset is in units, if it is the count that stands for zero."""
    value = plain_number(found.value)
    if found.option != "offset" or np.size(value) != 1 or np.asarray(value).dtype.kind not in "iuf":
        return ""
    units = np.unique(-float(np.asarray(value).reshape(-1)[0]) * stated.scale)
    return f" If it is the count of zero, that is {shown_attribute(units)} a channel."


def _used(option: str, stated: ChannelInfo) -> str:
    if option == "time":
        return ""
    value = {
        "scale": stated.scale,
        "offset": stated.offset,
        "units": [*dict.fromkeys(stated.units)],
        "rate_hz": stated.rate_hz,
    }[option]
    if option in ("scale", "offset"):
        value = [*dict.fromkeys(np.asarray(value).tolist())]
    if option == "units" and value == [""]:
        return "No unit is known; "
    shown = shown_attribute(value)
    names = {
        "scale": "The scale",
        "offset": "The offset",
        "units": "The unit",
        "rate_hz": "The rate",
    }
    return f"{names[option]} is {shown}; "
