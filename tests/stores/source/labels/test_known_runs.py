"""Labels that are known by their runs give the stretches that all their rows give."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.derived.repeated import RepeatedTexts
from headrace.stores.source.derived.run_array import RunArray, Runs
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.labels import runs as label_runs
from headrace.stores.source.labels.row_labels import LabelStretches
from headrace.stores.source.labels.runs import SAME_RATE, Stretches, read_stretches
from headrace.stores.source.names import NameColumn, OneName

NAMES = ("b", "a", "B", "c")
PIECES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=8)


def array_of(kind: str, code: Sequence[int], length: Sequence[int]) -> tuple[SourceArray, Any]:
    """Labels by their runs, and those of each row."""
    start = np.cumsum([0, *length[:-1]])
    names, codes = np.array(NAMES), np.array(code, np.int32)
    if kind == "codes":
        found = LabelStretches("labels", "here", start, codes, sum(length))
        return found, np.repeat(codes, length)
    if kind == "texts":
        texts = [NAMES[each] for each in code]
        return RepeatedTexts("labels", "here", texts, np.array(length)), np.repeat(texts, length)
    values = names if kind == "names" else np.array([7, 3, 5, 1])
    found = RunArray(Runs(start, codes, values), "labels", "here", sum(length), lambda _: None)
    return found, np.repeat(values[codes], length)


@pytest.mark.parametrize("kind", ["codes", "texts", "names", "numbers"])
@given(pieces=PIECES, cuts=st.sets(st.integers(1, 60), max_size=6), gap=st.integers(0, 2),
       most=st.integers(1, 20))  # fmt: skip
@example(pieces=[(0, 3), (1, 3), (1, 2), (2, 4)], cuts={3, 7}, gap=0, most=20)
@example(pieces=[(0, 3), (1, 3), (1, 2), (2, 4)], cuts={4, 6}, gap=1, most=20)
def test_runs_give_the_stretches_of_their_rows(
    kind: str, pieces: list[tuple[int, int]], cuts: set[int], gap: int, most: int
) -> None:
    code, length = ([each[n] for each in pieces] for n in (0, 1))
    array, rows = array_of(kind, code, length)
    borders = np.array([0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)])
    # Recordings end before the next begins: rows between them are of none.
    size = np.maximum(np.diff(borders) - gap, 0)
    size[-1] = max(size[-1], 1)
    table: Any = SimpleNamespace(start=borders[:-1], length=size)
    found: list[tuple[Stretches, list[str]]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_runs, "SLICE_ROWS", most)
        for each in (array, HeldArray("labels", "here", rows)):
            column = NameColumn(each, "labels")
            found.append((read_stretches(column, table, SAME_RATE), column.names))
    (one, names), (other, expected) = found
    assert names == expected
    for name in ("recording", "start", "length", "label"):
        known, wanted = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(known, wanted)
        assert known.dtype == wanted.dtype


def test_rows_without_labels_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneName, "read", lambda *_: pytest.fail("rows were read"))
    data = cast(SourceArray, HeldArray("signals", "here", np.zeros((30, 2))))
    table: Any = SimpleNamespace(start=np.array([20, 0]), length=np.array([10, 15]))
    found = read_stretches(OneName(data, "none"), table, SAME_RATE)
    assert found.recording.tolist() == [0, 1]
    assert found.start.tolist() == [0, 0]
    assert found.length.tolist() == [10, 15]
