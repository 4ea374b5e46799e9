"""Texts of an array, as str: what no text can be is found before Python makes one of it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError


def plain_texts(values: NDArray[Any], where: str) -> list[str]:
    """All values, of bytes in UTF-8 or of str.

    Raises:
        UserError: there is no such letter.
        UnicodeDecodeError: one is not UTF-8.
        TypeError: one is no text.
    """
    check_letters(values, where)
    return [_text(each) for each in values.reshape(-1).tolist()]


def check_letters(values: NDArray[Any], where: str) -> None:
    """Refuse numbers that stand for no letter: of them NumPy makes a SystemError.

    Raises:
        UserError: there is one in an array of kind "U".
    """
    if values.dtype.kind != "U":
        return
    codes = np.dtype(np.uint32).newbyteorder(values.dtype.byteorder)
    if np.ascontiguousarray(values).reshape(-1).view(codes).max(initial=0) > sys.maxunicode:
        raise SourceError(f"{where} holds what is no text. It is damaged: write it again.")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return value
    raise TypeError(f"{type(value).__name__} is no text")
