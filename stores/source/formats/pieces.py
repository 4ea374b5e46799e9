"""Decoded pieces of files that are kept by a process, however many files it opens and closes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

from numpy.typing import NDArray


class Pieces:
    """Arrays by their key, those asked for last; nothing unless a limit is set.

    Attributes:
        limit: bytes that are kept at most.
    """

    def __init__(self) -> None:
        """Nothing is kept."""
        self.limit = 0
        self._kept: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._held = 0
        self._lock = Lock()

    def get(self, key: Hashable, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The piece of that key, decoded if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        piece = decode()
        with self._lock:
            if piece.nbytes <= self.limit and key not in self._kept:
                self._kept[key] = piece
                self._held += piece.nbytes
            self._drop()
        return piece

    def keep(self, limit: int) -> None:
        """Keep so many bytes from now on; 0: forget all."""
        with self._lock:
            self.limit = limit
            self._drop()

    def _drop(self) -> None:
        while self._held > self.limit:
            self._held -= self._kept.popitem(last=False)[1].nbytes


PIECES = Pieces()
"""Of this process. Whoever sets its limit counts it in the memory plan."""
