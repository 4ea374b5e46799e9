"""Labels of rows where the source has none a row: one a recording, or intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.source.derived.run_array import runs_within

CODE = np.dtype(np.int32)


class LabelStretches:
    """Stretches of rows with one label, as an array of one code a row; see `SourceArray`."""

    def __init__(
        self, name: str, where: str, start: NDArray[np.int64], code: NDArray[np.int32], rows: int
    ) -> None:
        """Stretches that follow each other.

        Args:
            name, where: what they are made of, for errors.
            start: (n,) first row of each, ascending from 0.
            code: (n,) of each.
            rows: of the signals.
        """
        self.name, self.where = name, where
        self.files: tuple[Path, ...] = ()
        self._start, self._code = start, code
        self.shape: tuple[int, ...] | None = (rows,)
        self.dtype: np.dtype[Any] = CODE
        self.piece_rows: int | None = None
        self.cache_bytes = int(start.nbytes + code.nbytes)
        self.decode_bytes, self.row_bytes = 0, CODE.itemsize

    def ready(self) -> LabelStretches:
        """Itself."""
        return self

    def attribute(self, name: str) -> None:
        """None."""

    def attributes(self) -> list[Mapping[str, Any]]:
        """None."""
        return []

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Codes of the rows `start` to `stop`."""
        at, length = runs_within(self._start, start, stop)
        return np.repeat(self._code[at], length)

    def run_values(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """First row within `start` to `stop`, and code, of each stretch there."""
        at, length = runs_within(self._start, start, stop)
        return start + np.cumsum(length) - length, self._code[at]

    def whole(self) -> Any:
        """Codes of all rows."""
        assert self.shape is not None
        return self.read(0, self.shape[0])

    def read_into(self, out: NDArray[Any], start: int) -> None:
        """Fill `out` with the codes from `start` on."""
        out[:] = self.read(start, start + len(out))

    def texts(self, start: int, stop: int) -> NDArray[np.str_]:
        """None: they are codes."""
        raise TypeError(f"{self.where} holds {self.dtype}")

    def byte_spans(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """None."""
        return iter(())


def of_intervals(
    name: str,
    where: str,
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    labels: Sequence[str],
    unlabelled: str,
    rows: int,
) -> tuple[LabelStretches, list[str]]:
    """Labelled intervals of the signals' rows, ascending and apart from each other.

    Args:
        name, where: what they are, for errors.
        first, stop: (n,) rows of each, `stop` excluded.
        labels: of each.
        unlabelled: the name of rows that are in none.
        rows: of the signals.

    Returns:
        The stretches, and the names that codes count into.
    """
    names = list(dict.fromkeys([unlabelled, *labels]))
    number = {label: code for code, label in enumerate(names)}
    codes = np.array([number[label] for label in labels], CODE)
    # Between two intervals, before the first and after the last there may be rows of none.
    start = np.stack([first, stop], axis=1).reshape(-1)
    code = np.stack([codes, np.zeros_like(codes)], axis=1).reshape(-1)
    start, code = np.append(0, start), np.append(CODE.type(0), code)
    kept = np.append(start[1:] > start[:-1], start[-1] < rows)
    return LabelStretches(name, where, start[kept], code[kept], rows), names
