"""Recordings that stand within files: which there are, and what their names say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from sys import getsizeof
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTER = 8
"""Bytes of an entry of a list."""


def text_bytes(texts: Sequence[str]) -> int:
    """Held of a list of texts, at most: some may be shared."""
    return sum(POINTER + getsizeof(text) for text in texts)


@dataclass(frozen=True)
class Members:
    """Recordings in their order.

    Attributes:
        file: (R,) int32, of each the number of its file; 0 of one file alone.
        fields: of the names within files, by name: one text a recording.
        listed: arrays of the files that have one entry for each recording in them, by name.
    """

    file: NDArray[np.int32]
    fields: Mapping[str, list[str]]
    listed: Mapping[str, list[str]]

    def of(self, recording: int) -> dict[str, str]:
        """The fields of a recording."""
        return {name: texts[recording] for name, texts in self.fields.items()}

    @cached_property
    def nbytes(self) -> int:
        """Held of them, at most: texts may be shared."""
        return int(self.file.nbytes) + sum(text_bytes(column) for column in self._columns())

    def as_table(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"file": self.file.tolist(), "fields": self.fields, "listed": self.listed}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Members:
        """What `as_table` gave."""
        return cls(np.array(table["file"], np.int32), table["fields"], table["listed"])

    def _columns(self) -> Iterator[list[str]]:
        yield from self.fields.values()
        yield from self.listed.values()
