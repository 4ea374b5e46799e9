"""Texts that pandas pickled into attributes, without unpickling them."""

from __future__ import annotations

import pickletools
from typing import Any

MOST_PICKLED = 1 << 24
"""Bytes of an attribute that are parsed."""


def literal_texts(pickled: Any) -> list[str] | None:
    """The texts, or whole numbers as texts, of a pickled list of them; nothing is unpickled.

    None: something else is in it, for example a call, and it is left alone.
    """
    if not isinstance(pickled, bytes) or len(pickled) > MOST_PICKLED:
        return None
    found: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name in _TEXTS and isinstance(argument, (str, int)):
                found.append(str(argument))
            elif opcode.name not in _LIST:
                return None
    except Exception:  # Whatever it says of bytes that are no pickle.
        return None
    return found


_TEXTS = (
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "INT",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG",
)
_LIST = (
    *("PROTO", "FRAME", "MARK", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "STOP"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
)
