"""Blocks of windows: in order, few at a time, and over at once when nobody wants more."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.pipeline.evaluation import blocks
from headrace.pipeline.evaluation.blocks import BLOCKS_HELD, Block, read_blocks
from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source

ROWS = 20
FLOAT = np.dtype(np.float32)


@pytest.fixture
def source(tiny_source: Path) -> Iterator[Source]:
    with open_source(tiny_source, SourceOptions()) as opened:
        yield opened


def pieces(source: Source) -> list[tuple[int, int]]:
    return [(at, min(at + ROWS, source.windows)) for at in range(0, source.windows, ROWS)]


def readers() -> int:
    return sum(thread.name.startswith("windows") for thread in threading.enumerate())


def test_every_window_comes_once_and_in_order(source: Source) -> None:
    found = list(read_blocks(source, None, FLOAT, pieces(source)))
    np.testing.assert_array_equal(
        np.concatenate([each.window for each in found]), np.arange(source.windows)
    )
    stored = source.read_windows(0, source.windows) * np.array(source.spec.scale, np.float32)
    np.testing.assert_array_equal(np.concatenate([each.raw for each in found]), stored)
    assert list(read_blocks(source, None, FLOAT, [])) == []
    assert readers() == 0


def test_no_more_blocks_are_alive_than_a_plan_counts(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[Block] = weakref.WeakSet()
    most, real, made = 0, blocks._block, threading.Event()

    class Watched(Block):
        __hash__ = object.__hash__

    def counted(*arguments: Any) -> Block:
        nonlocal most
        block = Watched(**vars(real(*arguments)))
        alive.add(block)
        most = max(most, len(alive))
        made.set()
        return block

    monkeypatch.setattr(blocks, "_block", counted)
    for block in read_blocks(source, None, FLOAT, pieces(source)):
        if block.window[-1] < source.windows - 1:
            assert made.wait(60)  # The next is made while this one is used.
            made.clear()
    assert 2 <= most <= BLOCKS_HELD


def test_an_error_of_the_source_reaches_who_asked(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Source.read_windows

    def broken(self: Source, start: int, stop: int) -> NDArray[Any]:
        if start >= 2 * ROWS:
            raise SourceError("gone")
        return real(self, start, stop)

    monkeypatch.setattr(Source, "read_windows", broken)
    given = read_blocks(source, None, FLOAT, pieces(source))
    assert [next(given).window[0] for _ in range(2)] == [0, ROWS]
    with pytest.raises(SourceError):
        next(given)
    assert readers() == 0


@pytest.mark.parametrize("ended_by", [None, KeyboardInterrupt])
def test_it_reads_no_further_once_it_is_closed_or_interrupted(
    source: Source, monkeypatch: pytest.MonkeyPatch, ended_by: type[BaseException] | None
) -> None:
    started: list[int] = []
    real = Source.read_windows

    def noted(self: Source, start: int, stop: int) -> NDArray[Any]:
        started.append(start)
        return real(self, start, stop)

    monkeypatch.setattr(Source, "read_windows", noted)
    given = read_blocks(source, None, FLOAT, pieces(source))
    try:
        with closing(given):
            next(given)
            if ended_by is not None:
                raise ended_by
    except KeyboardInterrupt:
        pass
    assert started == [0, ROWS]
    assert readers() == 0
