"""What the windows of a shard are gathered from: a source, or the parts of a store that grew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.storage import State
from headrace.stores.source.labels.labels import LabelRuns, Labels
from headrace.stores.source.options import SourceOptions
from headrace.stores.spec import WindowSpec
from headrace.stores.target import Target


class Signals(Protocol):
    """What windows that overlap are cut from: see `RecordingsLayout`."""

    @property
    def step(self) -> int:
        """Rows from a window to the next."""
        ...

    def places(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Signal and first row of the candidates, (n,) each."""
        ...

    def read_stretch(
        self, start: int, stop: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The rows (R, C) that candidates of one signal lie in; (R,) whether one was filled."""
        ...


class Candidates(Protocol):
    """Windows by their number: see `Source`, which is one, for each of these."""

    @property
    def options(self) -> SourceOptions:
        """How they are read."""
        ...

    @property
    def windows(self) -> int:
        """N, their number."""
        ...

    @property
    def spec(self) -> WindowSpec:
        """Of a window as delivered."""
        ...

    @property
    def groups(self) -> Sequence[str]:
        """Names behind the codes of groups."""
        ...

    @property
    def target(self) -> Target:
        """What their labels are."""
        ...

    @property
    def recordings(self) -> Signals | None:
        """Where windows are cut; None of windows."""
        ...

    @property
    def buffer_bytes(self) -> int:
        """Most bytes that `read_windows` holds besides its result."""
        ...

    @property
    def chunk_cache_bytes(self) -> int:
        """Bytes that the format may hold."""
        ...

    @property
    def fetched_bytes(self) -> int:
        """Bytes held of an object; 0 of a file."""
        ...

    @property
    def pieces_bytes(self) -> int:
        """Bytes that keeping all decoded pieces takes; 0: none are kept."""
        ...

    @property
    def table_bytes(self) -> int:
        """Bytes held while it is open."""
        ...

    def read_windows(self, start: int, stop: int) -> NDArray[Any]:
        """Candidates (n, T, C)."""
        ...

    def read_marked_windows(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The same, and (n,) whether they were filled."""
        ...

    def read_labels(self, start: int, stop: int) -> Labels:
        """Labels, groups and parts of the candidates."""
        ...

    def read_groups(self, start: int, stop: int) -> NDArray[np.int32]:
        """Codes of their groups alone, (n,)."""
        ...

    def label_runs(self) -> Iterator[LabelRuns]:
        """All candidates in order, as runs, slice by slice; labels are those of classes alone."""
        ...

    def locate(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
        """Recording and first row of the candidates; None of windows."""
        ...

    def fetch(self, ranges: Sequence[tuple[int, int]], labels: bool = False) -> int:
        """How many of the ranges were fetched that are read next."""
        ...

    def require_state(self, state: State) -> None:
        """Check that what was read is what it was."""
        ...

    def close(self) -> None:
        """Close it."""
        ...
