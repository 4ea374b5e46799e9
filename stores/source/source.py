"""Opens a source and reads its windows, labels and groups by candidate number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.object_file import READ_AHEAD
from headrace.stores.io.places import Place
from headrace.stores.io.storage import State
from headrace.stores.source.arrays import SLICE_BYTES
from headrace.stores.source.channels import ATTRIBUTES
from headrace.stores.source.files.census import Census
from headrace.stores.source.files.each_recording import EachRecording, origins_of
from headrace.stores.source.files.within import recordings_within
from headrace.stores.source.fingerprint import fingerprint
from headrace.stores.source.interface import SourceFile
from headrace.stores.source.labelled import Labelled
from headrace.stores.source.labels.losses import LabelLosses
from headrace.stores.source.notes.all import notes_of
from headrace.stores.source.notes.aside import beside_signals
from headrace.stores.source.notes.note import Note
from headrace.stores.source.notes.signals import sampled
from headrace.stores.source.opened import LayoutName, find_layout, open_located
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.recordings import RecordingsLayout
from headrace.stores.source.slices import decoded_bytes
from headrace.stores.source.windows import WindowsLayout


def open_source(path: Place, options: SourceOptions, census: Census | None = None) -> Source:
    """Open `path`, find its datasets and plan its candidate windows.

    Labels, groups and the table of recordings are read once, in slices; signals are not.

    Args:
        path: a file, or what names many.
        options: how it is read.
        census: of many files, what another process found in them.

    Raises:
        UserError: the file is missing or of no known format; a dataset is missing, empty, of the
            wrong shape, type or length; there is no rate, no group or no window; a class, channel
            or recording is ill-defined; a group stands in two parts. The message names the option.
    """
    file = open_located(path, options, census)
    try:
        file = recordings_within(file, options)
        return Source(path, file, options)
    except BaseException:
        file.close()
        raise


class Source(Labelled):
    """An open source seen as N candidate windows, numbered in source order.

    Candidates are what windowing, label rule and label selection leave. It holds the file's
    handle: close it, or use it in a `with` statement. Another process opens its own from the
    same `(path, options)`, and finds the same candidates.

    Attributes:
        path: the file or object.
        options: how it is read.
        layout: "windows" or "recordings".
        windows: N, the number of candidates.
        spec: of a window as delivered; resampled, float32 in units.
        classes: names of the classes or labels that candidates have; () of values.
        groups: names of the groups that candidates have, in natural order.
        parts: names of the parts of an official split ("train", "test"), or ().
        grouped: False when splits are by window, which leaks.
    """

    def __init__(self, path: Place, file: SourceFile, options: SourceOptions) -> None:
        """Take over the open `file`; see `open_source`."""
        self.path = path
        self.options = options
        self._file = file
        self.layout: LayoutName = find_layout(file, options)
        layout = WindowsLayout if self.layout == "windows" else RecordingsLayout
        self._layout: WindowsLayout | RecordingsLayout = layout(file, options)
        self.windows = self._layout.windows
        self.spec = self._layout.spec
        self._number_groups()

    @property
    def chunk_cache_bytes(self) -> int:
        """Bytes that the format may hold: one row of chunks, and what does not fit its cache."""
        return self._layout.data.cache_bytes + self._layout.data.decode_bytes

    @property
    def pieces_bytes(self) -> int:
        """Bytes that keeping all decoded pieces of the data takes; 0: its format keeps none."""
        data = self._layout.data
        keeps = getattr(data, "keeps_pieces", False)
        return data.row_bytes * (data.shape or (0,))[0] if keeps else 0

    @property
    def buffer_bytes(self) -> int:
        """Most bytes that reading windows or labels holds besides its result and HDF5's cache."""
        labels = 0 if self._layout.target is None else 3 * SLICE_BYTES
        return self._layout.buffer_bytes + labels

    @property
    def fetched_bytes(self) -> int:
        """Bytes held of an object, as it has no system that keeps what was read; 0 of a file."""
        return self._file.fetched_bytes

    @property
    def table_bytes(self) -> int:
        """Bytes that the source holds while it is open: where its candidates are."""
        return self._layout.table_bytes + self._file.held_bytes

    def stretches(self) -> list[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """Of recordings: label and rows of each run of windows, slice by slice, in order."""
        window, step = self.spec.time, self.options.step_rows(self.spec.rate_hz)
        assert self.recordings is not None
        return [
            (label, (stop - start - 1) * step + window)
            for start, stop, label, _, _ in self.recordings.label_runs()
        ]

    def read_windows(self, start: int, stop: int) -> NDArray[Any]:
        """Candidates `start` to `stop`, (n, T, C) of `spec.dtype`, C-contiguous, freshly allocated.

        Read in contiguous slices only. With `non_finite = "fill"` NaN and infinity are filled.

        Raises:
            IndexError: the range is not within 0 to N.
        """
        self._check_range(start, stop)
        return self._layout.read_windows(start, stop, marks=False)[0]

    def fetch(self, ranges: Sequence[tuple[int, int]], labels: bool = False) -> int:
        """Fetch side by side what reading these candidates will ask for; of a file nothing.

        Args:
            ranges: (start, stop) of candidates, to be read next.
            labels: their labels, groups and parts, and not their windows.

        Returns:
            How many of the ranges, from the first on, are worth fetching at a time.
        """
        if not self._file.fetched_bytes:
            return len(ranges)
        count = len(ranges)
        if not labels:
            windows = np.cumsum([stop - start for start, stop in ranges])
            most = READ_AHEAD // self.spec.stored_bytes
            count = max(1, int(np.searchsorted(windows, most, side="right")))
        spans: set[tuple[int, int]] = set()
        for start, stop in ranges[:count]:
            if labels:
                for data, low, high in self._layout.label_spans(start, stop):
                    spans.update(data.byte_spans(low, high))
                continue
            for low, high in self._layout.row_spans(start, stop):
                spans.update(self._layout.data.byte_spans(low, high))
        self._file.fetch(spans)
        return count

    def read_marked_windows(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """`read_windows`, and (n,) bool: True where NaN or infinity went into the window.

        With `non_finite = "fill"` these are the windows that were filled; else those that hold
        a value that is not finite.

        Raises:
            IndexError: the range is not within 0 to N.
        """
        self._check_range(start, stop)
        return self._layout.read_windows(start, stop, marks=True)

    def sampled_rows(self, looks: int, size: int) -> Iterator[NDArray[np.float64]]:
        """Rows (n, C) of some slices of the data as stored, evenly spread, of `size` bytes each."""
        return sampled(self._layout.data, looks, size)

    def beside_signals(self) -> dict[str, str]:
        """Channels that measure nothing, such as an age or a row's number, and why, by a look."""
        return beside_signals(self._layout)

    def locate(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
        """Where the candidates lie in the file; None for the windows layout.

        Returns:
            Row in the table of recordings (n,) int32, and first row in `signals` (n,) int64, at
            the source's rate (of a resampled window: the row nearest to its first sample).

        Raises:
            IndexError: the range is not within 0 to N.
        """
        self._check_range(start, stop)
        return self._layout.locate(start, stop)

    @cached_property
    def origins(self) -> tuple[list[str], list[str]] | None:
        """What each recording of many files is called, and its first file; None of one file."""
        return origins_of(self._file)

    def origin(self, start: int, stop: int) -> NDArray[np.int32] | None:
        """The place in `origins` of the candidates, (n,); None of one file."""
        if self.origins is None or not isinstance(self._file, EachRecording):
            return None
        return self._file.number_of(self._layout.data_rows(start, stop))

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """What was seen in the file that its owner should look at; bounded in number and in reads.

        They decide nothing: neither what is read nor the fingerprint.
        """
        found = notes_of(self._layout, self.label_losses, self.options)
        read = (Note(str(each), each.key) for each in self._file.remarks())
        return (*found, *self._file.notes(), *read)

    @cached_property
    def label_losses(self) -> LabelLosses:
        """What the label rule keeps of each class, and what of no class is left out."""
        if self._layout.target is not None:
            return LabelLosses((), {}, 0)
        return self._layout.label_losses()

    def seconds(self, start: int, stop: int) -> NDArray[np.float64] | None:
        """When the candidates begin, in seconds since their recording did; None for windows.

        Raises:
            IndexError: the range is not within 0 to N.
        """
        self._check_range(start, stop)
        return self._layout.seconds(start, stop)

    @property
    def said(self) -> frozenset[str]:
        """Options of which the file has an attribute of its own: rate_hz, channels, ..."""
        return frozenset(
            option
            for option, name in ATTRIBUTES.items()
            if self._layout.data.attribute(name) is not None
        )

    def bytes_read(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Decoded bytes that reading these candidates takes, see `decoded_bytes`.

        Raises:
            IndexError: a range is not within 0 to N.
        """
        spans = []
        for start, stop in ranges:
            self._check_range(start, stop)
            spans += self._layout.row_spans(start, stop)
        return decoded_bytes(self._layout.data, spans)

    def fingerprint(self) -> str:
        """Hex digest of the content: see `stores.source.fingerprint`."""
        layout = self._layout
        tables = layout.tables()
        if (files := self._file.described()) is not None:
            tables.append(files)
        return fingerprint(
            self._file.size(), layout.data, tables, list(layout.declared), layout.stated
        )

    @property
    def census(self) -> Census | None:
        """What was found in many files; None of one."""
        return self._file.census

    def recorded_files(self) -> str | None:
        """Name, size and a digest of each of many files, packed; None of one, or of too many."""
        return self._file.record()

    def require_state(self, state: State) -> None:
        """Check that what was read since this was last asked is what it was.

        Raises:
            SourceContentError: it was touched; of many files, names which.
            OSError: it is not there.
        """
        self._file.require_state(state)

    def state(self) -> State:
        """Differs when the source, or one of its files, was touched.

        Raises:
            OSError: one is not there.
        """
        return self._file.state()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the file."""
        self.close()
