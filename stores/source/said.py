"""What attributes say of several channels: one text or number each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

NEUTRAL: dict[str, Any] = {
    "units": "",
    "scale_to_units": 1.0,
    "offset_to_units": 0.0,
    "scale_factor": 1.0,
    "add_offset": 0.0,
}
"""Attributes of one value a channel, and what stands for a channel of which nothing is said."""
NAMES = "channels"


def channel_texts(value: Any, count: int) -> list[str] | None:
    """The texts of `count` channels, of a list, or of one text that lists them by commas.

    None: it is something else.
    """
    array = np.asarray(value)
    if value is None or array.dtype.kind not in "SUO":
        return None
    texts = [as_text(each) for each in array.reshape(-1)]
    if array.ndim == 0 and count > 1:
        texts = [text.strip() for text in texts[0].split(",")]
    return texts if len(texts) == count else None


def of_all(
    name: str, values: Sequence[Any], widths: Sequence[int], leaves: Sequence[str]
) -> Any | None:
    """What several arrays say of all of their channels.

    Args:
        name: the attribute, `NAMES` or one of `NEUTRAL`.
        values: what each array says; None: nothing.
        widths: channels of each.
        leaves: what each is called, for channels without a name.
    """
    one = all(np.array_equal(np.asarray(value), np.asarray(values[0])) for value in values[1:])
    shared = one and name != NAMES and np.size(values[0]) == 1
    if values[0] is not None and (shared or (one and _of(values[0], sum(widths)) is not None)):
        return values[0]  # The file's, of all channels.
    parts: list[Any] = []
    for value, width, leaf in zip(values, widths, leaves, strict=True):
        own = _of(value, width)
        if value is not None and own is None:
            return value  # What is wrong with it is said by whoever uses it.
        parts += own or ([NEUTRAL[name]] * width if name != NAMES else _numbered(leaf, width))
    nothing = all(value is None for value in values)
    if name == NAMES:
        told = len(set(parts)) == len(parts) and (len(set(leaves)) == len(leaves) or not nothing)
        return np.array(parts, dtype=object) if told else None
    return None if nothing else np.array(parts, dtype=object if name == "units" else np.float64)


def as_text(value: Any) -> str:
    """A text of an attribute."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)


def _of(value: Any, count: int) -> list[Any] | None:
    """The values of `count` channels; one alone is for all of them."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind in "SUO":
        texts = channel_texts(value, count)
        one = array.size == 1 and "," not in as_text(array.reshape(-1)[0])
        return texts or ([as_text(array.reshape(-1)[0])] * count if one else None)
    if array.size not in (1, count) or array.dtype.kind not in "fiu":
        return None
    return [float(each) for each in np.broadcast_to(array.reshape(-1), count)]


def _numbered(leaf: str, width: int) -> list[str]:
    return [leaf] if width == 1 else [f"{leaf}_{number}" for number in range(width)]
