"""Order of training rows: every row once an epoch, found by arithmetic, for any geometry."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline.rows.order import Order
from headrace.pipeline.rows.ranges import (
    cut_ranges,
    first_rows,
    merge_ranges,
    part_origins,
    share_ranges,
)
from headrace.pipeline.rows.sampling import Sampling
from headrace.stores.errors import GroupError
from tests.refusals import refused

Ranges = list[tuple[int, int]]

# A machine that is busy elsewhere may take any time over an example.
patient = settings(deadline=None, max_examples=60)


@st.composite
def range_lists(draw: st.DrawFn) -> Ranges:
    """Some of the stretches that sorted cuts make: ascending, apart or touching, some empty."""
    cuts = sorted(draw(st.lists(st.integers(0, 300), min_size=2, max_size=8)))
    stretches = list(itertools.pairwise(cuts))
    return [stretch for stretch in stretches if draw(st.booleans())]


@st.composite
def part_lists(draw: st.DrawFn) -> tuple[int, ...]:
    """First rows of the parts of a store; of half of the stores there is one alone."""
    later = draw(st.just(set[int]()) | st.sets(st.integers(1, 300), max_size=12))
    return (0, *sorted(later))


def within_parts(ranges: Ranges, part_starts: Sequence[int]) -> Ranges:
    """The ranges, cut where a part begins."""
    return [
        (max(start, low), min(stop, high))
        for start, stop in ranges
        for low, high in itertools.pairwise([*part_starts, 10**12])
        if max(start, low) < min(stop, high)
    ]


@st.composite
def orders(draw: st.DrawFn) -> Order:
    parts = draw(part_lists())
    ranges = merge_ranges(within_parts(draw(range_lists()), parts), parts)
    chunk, buffer = draw(st.integers(1, 70)), draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**31 - 1))
    return Order(ranges or ((3, 4),), chunk, buffer, seed, part_starts=parts if ranges else (0,))


def rows_of(ranges: Ranges) -> list[int]:
    return [row for start, stop in ranges for row in range(start, stop)]


def delivered(order: Order, epoch: int) -> list[list[int]]:
    """Rows of each buffer of an epoch, in the order they come."""
    buffers = []
    for buffer in range(order.buffers):
        rows = np.array(rows_of(order.buffer_ranges(epoch, buffer)))
        buffers.append(rows[order.row_order(epoch, buffer, len(rows))].tolist())
    return buffers


@patient
@given(orders(), st.integers(0, 5))
def test_every_training_row_comes_exactly_once_an_epoch(order: Order, epoch: int) -> None:
    rows = [row for buffer in delivered(order, epoch) for row in buffer]
    assert sorted(rows) == rows_of(list(order.ranges))
    assert order.rows == len(rows)


@patient
@given(orders(), st.integers(0, 5))
def test_a_piece_is_a_chunk_of_a_part_cut_at_the_borders_of_the_folds(
    order: Order, epoch: int
) -> None:
    edges = {edge for each in order.ranges for edge in each}
    for buffer in range(order.buffers):
        pieces = order.buffer_ranges(epoch, buffer)
        assert len(pieces) <= order.buffer_chunks
        for start, stop in pieces:
            origin = max(each for each in order.part_starts if each <= start)
            first, last = start - origin, stop - 1 - origin
            assert not any(start < each < stop for each in order.part_starts)
            assert first // order.chunk_windows == last // order.chunk_windows
            assert first % order.chunk_windows == 0 or start in edges
            assert (last + 1) % order.chunk_windows == 0 or stop in edges


@patient
@given(part_lists(), st.integers(1, 70), st.integers(1, 6), st.integers(0, 5))
def test_all_rows_are_read_with_every_chunk_of_every_part_once(
    parts: tuple[int, ...], chunk: int, buffer: int, epoch: int
) -> None:
    ends = [*parts[1:], parts[-1] + 77]
    order = Order(merge_ranges(zip(parts, ends, strict=True), parts), chunk, buffer, 3, 0, 1, parts)
    read = [each for b in range(order.buffers) for each in order.buffer_ranges(epoch, b)]
    chunks = [
        (start, min(start + chunk, end))
        for first, end in zip(parts, ends, strict=True)
        for start in range(first, end, chunk)
    ]
    assert sorted(read) == chunks


@patient
@given(orders(), st.integers(0, 5))
def test_the_start_of_a_buffer_counts_the_rows_before_it(order: Order, epoch: int) -> None:
    sizes = [len(rows) for rows in delivered(order, epoch)]
    starts = [order.buffer_start(epoch, buffer) for buffer in range(order.buffers + 1)]
    assert starts == [0, *np.cumsum(sizes).tolist()]
    assert max(sizes) <= order.buffer_rows


@patient
@given(orders(), st.integers(0, 3))
def test_a_buffer_takes_one_piece_of_each_stretch_of_the_epoch(order: Order, epoch: int) -> None:
    number = {start: piece for piece, start in enumerate(sorted(
        start for buffer in range(order.buffers) for start, _ in order.buffer_ranges(epoch, buffer)
    ))}  # fmt: skip
    edges = [stretch * order.pieces // order.buffer_chunks for stretch in range(1, 7)]
    for buffer in range(order.buffers):
        pieces = [number[start] for start, _ in order.buffer_ranges(epoch, buffer)]
        stretches = np.searchsorted(edges[: order.buffer_chunks], pieces, side="right")
        assert len(set(stretches.tolist())) == len(pieces)


def shares(order: Order, ranks: int) -> list[Order]:
    """The order of each rank."""
    return [replace(order, rank=rank, ranks=ranks) for rank in range(ranks)]


@patient
@given(orders(), st.integers(1, 8), st.integers(0, 9), st.integers(1, 7))
def test_ranks_share_an_epoch_without_overlap_in_as_many_batches(
    order: Order, ranks: int, epoch: int, batch: int
) -> None:
    own = [delivered(share, epoch) for share in shares(order, ranks)]
    rows = [[row for buffer in buffers for row in buffer] for buffers in own]
    assert sorted(row for each in rows for row in each) == rows_of(list(order.ranges))
    assert max(len(buffer) for buffers in own for buffer in buffers) <= order.buffer_rows
    for share, buffers, each in zip(shares(order, ranks), own, rows, strict=True):
        starts = [share.buffer_start(epoch, buffer) for buffer in range(share.buffers + 1)]
        assert starts == [0, *np.cumsum([len(buffer) for buffer in buffers]).tolist()]
        assert share.rank_rows(epoch) == len(each)
        assert share.steps(batch, drop_remainder=False) * batch >= len(each)
        if order.rows >= ranks * batch:
            steps = share.steps(batch, drop_remainder=True)
            assert steps * batch <= len(each)
            assert order.rows - ranks * steps * batch < ranks * batch


@pytest.mark.parametrize(("chunk", "chunks"), [(1, 7), (5, 1), (5, 3), (4, 40)])
@pytest.mark.parametrize(("ranks", "batch"), [(2, 1), (3, 4), (8, 1)])
def test_over_some_epochs_every_rank_takes_every_row(
    chunk: int, chunks: int, ranks: int, batch: int
) -> None:
    order = Order(((2, 31), (33, 61)), chunk, chunks, 5)
    for share in shares(order, ranks)[::3]:
        left, epochs = set(rows_of(list(order.ranges))), itertools.count()
        taken = share.steps(batch, drop_remainder=True) * batch
        while left:
            epoch = next(epochs)
            assert epoch < 12 * ranks
            left -= set([row for buffer in delivered(share, epoch) for row in buffer][:taken])


@patient
@given(orders(), st.integers(2, 8), st.integers(0, 3))
def test_ranks_share_whole_chunks_but_in_their_last_buffer(
    order: Order, ranks: int, epoch: int
) -> None:
    chunk = order.chunk_windows
    # Nothing is short.
    order = replace(order, ranges=((chunk * 2, chunk * 50),), part_starts=(0,))
    for share in shares(order, ranks):
        whole = order.pieces // order.buffer_chunks // ranks
        for buffer in range(whole):
            ranges = share.buffer_ranges(epoch, buffer)
            assert len(ranges) == order.buffer_chunks
            assert all(start % chunk == 0 and stop == start + chunk for start, stop in ranges)
        rest = [share.buffer_ranges(epoch, b) for b in range(whole, share.buffers)]
        assert sum(map(len, rest)) <= 2 * order.buffer_chunks


@patient
@given(orders(), st.integers(1, 8), st.integers(0, 5), st.data())
def test_any_row_of_an_epoch_is_located(
    order: Order, ranks: int, epoch: int, data: st.DataObject
) -> None:
    order = replace(order, rank=data.draw(st.integers(0, ranks - 1)), ranks=ranks)
    buffers = delivered(order, epoch)
    row = data.draw(st.integers(0, order.rank_rows(epoch)))
    buffer, skipped = order.locate(epoch, row)
    rest = [r for rows in buffers[buffer:] for r in rows][skipped:]
    assert rest == [r for rows in buffers for r in rows][row:]
    assert buffer == order.buffers or skipped < len(buffers[buffer])


@settings(deadline=None, max_examples=20)
@given(orders().filter(lambda order: order.rows > 30))
def test_epochs_and_seeds_have_orders_of_their_own(order: Order) -> None:
    other = Order(order.ranges, order.chunk_windows, order.buffer_chunks, order.seed + 1)
    assert delivered(order, 0) == delivered(order, 0)
    assert delivered(order, 0) != delivered(order, 1)
    assert delivered(order, 0) != delivered(other, 0)


@patient
@given(orders(), st.integers(1, 50), st.integers(1, 10))
def test_steps_are_the_batches_that_an_epoch_is_cut_into(
    order: Order, batch: int, limit: int
) -> None:
    starts = range(0, order.rows, batch)
    assert order.steps(batch, drop_remainder=False) == len(starts)
    assert order.steps(batch, drop_remainder=False, limit=limit) == min(limit, len(starts))
    whole = sum(start + batch <= order.rows for start in starts)
    if whole:
        assert order.steps(batch, drop_remainder=True) == whole


def test_no_whole_batch_is_refused_with_the_way_out() -> None:
    with refused(GroupError, "5", "8", "train.batch = 5"):
        Order(((0, 5),), 4, 2, 0).steps(8, drop_remainder=True)


@pytest.mark.parametrize(
    ("rows", "batch", "ranks", "ways"),
    [
        (50, 20, 3, {"batch": 16, "ranks": 2}),
        (50, 60, 3, {"batch": 16}),
        (5, 1, 6, {"ranks": 5}),
    ],
)
def test_too_few_rows_for_the_ranks_are_refused_with_what_would_do(
    rows: int, batch: int, ranks: int, ways: dict[str, int]
) -> None:
    order = Order(((0, rows),), 4, 2, 0, ranks=ranks)
    with refused(GroupError, str(rows), str(batch), str(ranks)) as raised:
        order.steps(batch, drop_remainder=True)
    found = dict(re.findall(r"(\w+) = (\d+) or less", str(raised.value)))
    assert found == {name: str(most) for name, most in ways.items()}
    for name, most in ways.items():
        tried = {"batch": batch, "ranks": ranks, name: most}
        assert replace(order, ranks=tried["ranks"]).steps(tried["batch"], drop_remainder=True)


def test_folds_without_windows_are_refused() -> None:
    with refused(GroupError):
        Order((), 4, 2, 0)


def test_an_epoch_of_ten_thousand_million_rows_is_located_without_listing_it() -> None:
    order = Order(((100, 10**10),), 128, 32, 7)
    buffer, skipped = order.locate(3, 6_543_210_987)
    assert order.buffer_start(3, buffer) + skipped == 6_543_210_987
    assert len(order.buffer_ranges(3, buffer)) == 32


@patient
@given(
    st.integers(1, 300), st.integers(1, 6), st.floats(0, 1, exclude_max=True), st.integers(0, 99)
)
def test_drawn_rows_come_as_often_as_their_weight_says(
    rows: int, classes: int, offset: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    code = rng.integers(classes, size=rows).astype(np.int32)
    weight = rng.uniform(0.01, 5, size=classes)
    drawn, copy = Sampling("label", weight).draw(code, offset)
    expected = rows * weight[code] / weight[code].sum()
    times = np.bincount(drawn, minlength=rows)
    assert len(drawn) == rows
    assert np.abs(times - expected).max() < 1 + 1e-6
    assert len({*zip(drawn.tolist(), copy.tolist(), strict=True)}) == rows
    assert (copy < times[drawn]).all()


@patient
@given(range_lists(), part_lists(), st.data())
def test_merged_ranges_hold_the_same_rows_and_touch_where_a_part_begins(
    ranges: Ranges, parts: tuple[int, ...], data: st.DataObject
) -> None:
    within = within_parts(ranges, parts)
    merged = merge_ranges(data.draw(st.permutations(within)), parts)
    assert rows_of(list(merged)) == rows_of(ranges)
    assert all(a[1] < b[0] or b[0] in parts[1:] for a, b in itertools.pairwise(merged))
    assert not any(start < part < stop for start, stop in merged for part in parts)


@patient
@given(range_lists(), st.integers(1, 400))
def test_first_rows_are_the_limit_in_proportion_to_each_range(ranges: Ranges, limit: int) -> None:
    taken = {start: stop - start for start, stop in first_rows(ranges, limit)}
    total = len(rows_of(ranges))
    assert sum(taken.values()) == min(limit, total)
    for start, stop in ranges:
        if start < stop:
            share = (stop - start) * min(limit, total) / total
            assert abs(taken.get(start, 0) - share) < 1
            assert taken.get(start, 0) <= stop - start


def test_first_rows_without_a_limit_are_all_rows() -> None:
    assert first_rows([(0, 3), (3, 3), (9, 12)], None) == [(0, 3), (9, 12)]


@patient
@given(range_lists(), st.integers(1, 8))
def test_shares_of_ranges_are_disjoint_equal_and_in_order(ranges: Ranges, ranks: int) -> None:
    shares = [rows_of(share_ranges(ranges, rank, ranks)) for rank in range(ranks)]
    assert [row for share in shares for row in share] == rows_of(ranges)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@patient
@given(range_lists(), part_lists(), st.integers(1, 90))
def test_cut_ranges_hold_the_same_rows_in_whole_reads_of_a_part(
    ranges: Ranges, parts: tuple[int, ...], rows: int
) -> None:
    cut = cut_ranges(within_parts(ranges, parts), rows, parts)
    assert rows_of(cut) == rows_of(ranges)
    first = part_origins(np.array([start for start, _ in cut], np.int64), parts).tolist()
    for (start, stop), origin in zip(cut, first, strict=True):
        assert origin in parts
        assert (start - origin) // rows == (stop - 1 - origin) // rows
    assert len(set(cut)) == len(cut)
