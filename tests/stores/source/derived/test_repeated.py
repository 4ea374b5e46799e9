"""A name of each recording, as an array of one a row."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from headrace.stores.source.derived.repeated import RepeatedTexts


@given(some.lists(some.tuples(some.sampled_from("abc"), some.integers(0, 5)), max_size=9))
def test_any_slice_holds_the_name_of_each_row(recordings: list[tuple[str, int]]) -> None:
    names = [name for name, _ in recordings]
    rows = np.array([count for _, count in recordings], dtype=np.int64)
    array = RepeatedTexts("who", "files", names, rows)
    every = [name for name, count in recordings for _ in range(count)]
    assert array.shape == (len(every),)
    for start in range(len(every) + 1):
        for stop in range(start, len(every) + 1):
            assert array.texts(start, stop).tolist() == every[start:stop]
