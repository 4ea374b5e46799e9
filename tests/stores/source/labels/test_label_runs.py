from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.stores.source.labels.runs import (
    find_stretches,
    join_stretches,
    majority_runs,
    pure_runs,
    relabel,
)
from headrace.stores.source.slices import chunks_read, contiguous_slices

RECORDINGS = st.lists(
    st.lists(st.tuples(st.integers(-1, 2), st.integers(1, 9)), max_size=6).map(
        lambda pieces: [label for label, length in pieces for _ in range(length)]
    ),
    min_size=1,
    max_size=4,
)
WINDOW, STEP = st.integers(2, 7), st.integers(1, 9)


def stretches_of(recordings):
    owner = np.repeat(np.arange(len(recordings)), [len(rows) for rows in recordings])
    row = np.concatenate([np.arange(len(rows)) for rows in recordings])
    label = np.concatenate([np.array(rows, dtype=np.int32) for rows in recordings])
    return find_stretches(owner.astype(np.int32), row.astype(np.int64), label)


def listed(runs, step):
    return [
        (recording, start + number * step, label)
        for recording, start, count, label in zip(
            runs.recording, runs.start, runs.count, runs.label, strict=True
        )
        for number in range(count)
    ]


@given(RECORDINGS, WINDOW, STEP)
def test_pure_windows_start_afresh_at_each_stretch_of_equal_labels(recordings, window, step):
    expected = []
    for recording, rows in enumerate(recordings):
        start = 0
        while start < len(rows):
            stop = start
            while stop < len(rows) and rows[stop] == rows[start]:
                stop += 1
            if rows[start] >= 0:
                windows = range(start, stop - window + 1, step)
                expected += [(recording, first, rows[start]) for first in windows]
            start = stop
    assert listed(pure_runs(stretches_of(recordings), window, step), step) == expected


@given(RECORDINGS, WINDOW, STEP)
def test_majority_windows_take_the_label_of_most_rows(recordings, window, step):
    expected = []
    for recording, rows in enumerate(recordings):
        for first in range(0, len(rows) - window + 1, step):
            counts = Counter(rows[first : first + window])
            label = min(counts, key=lambda name: (-counts[name], name if name >= 0 else 99))
            if label >= 0:
                expected.append((recording, first, label))
    runs = majority_runs(stretches_of(recordings), window, step, classes=3)
    assert listed(runs, step) == expected
    assert (runs.count >= 1).all()


@given(RECORDINGS, st.data())
def test_stretches_do_not_depend_on_how_labels_were_sliced(recordings, data):
    whole = stretches_of(recordings)
    owner = np.repeat(whole.recording, whole.length)
    row = np.concatenate(
        [np.arange(a, a + n) for a, n in zip(whole.start, whole.length, strict=True)]
        or [np.zeros(0, dtype=np.int64)]
    )
    label = np.repeat(whole.label, whole.length)
    cut = data.draw(st.integers(0, len(row)))
    parts = [find_stretches(owner[s], row[s], label[s]) for s in (slice(cut), slice(cut, None))]
    joined = relabel(join_stretches(parts), np.array([0, 1, 2, -1], dtype=np.int32))
    for name in ("recording", "start", "length", "label"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name))


@given(st.lists(st.integers(0, 200), max_size=40), st.integers(1, 9), st.integers(1, 60))
def test_contiguous_slices_cover_every_window_once_within_the_limit(first, length, limit):
    rows = np.array(first, dtype=np.int64)
    done = 0
    for start, stop, low, high in contiguous_slices(rows, length, limit, gap=5):
        assert start == done < stop
        assert low == rows[start:stop].min()
        assert high == rows[start:stop].max() + length
        assert high - low <= max(limit, length)
        done = stop
    assert done == len(rows)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 30)), max_size=9), st.integers(1, 9))
def test_chunks_are_read_once_by_a_cache_that_keeps_them_and_each_time_by_none(spans, chunk):
    bounds = [(start, start + length) for start, length in spans]
    touched = [{row // chunk for row in range(start, stop)} for start, stop in bounds]
    assert chunks_read(bounds, chunk, kept=200) == len(set().union(*touched))
    assert chunks_read(bounds, chunk, kept=0) == sum(len(each) for each in touched)


def test_a_cache_keeps_the_chunks_that_were_read_last():
    back_and_forth = [(0, 10), (10, 20), (5, 8), (30, 40), (12, 14)]
    assert chunks_read(back_and_forth, 10, kept=1) == 5
    assert chunks_read(back_and_forth, 10, kept=2) == 4
