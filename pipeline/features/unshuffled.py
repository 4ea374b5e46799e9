"""The windows of a store that grew, laid down again in the order of its sources.

A shard takes windows from everywhere in their order, and a store holds them shuffled: gathered
from there, each would cost a chunk. So they are written once, uncompressed, in flat files beside
the store that is to be made, a row a candidate. Stretches stand together in the store already:
windows that are cut from them are read there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.features.gather import placed
from headrace.stores.io.disk import remove_file, write_bytes
from headrace.stores.io.places import Place, unpacked
from headrace.stores.io.storage import State
from headrace.stores.layout.layout import Recipe
from headrace.stores.source.labels.labels import LabelRuns, Labels
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source
from headrace.stores.store import Store, open_store

Integers = NDArray[np.int64]
PLACES = "places"
"""Where windows are in a source of all of it, if one is named: recording and row, int64."""
ABOUT = "parts.json"
"""Last of the files: it says that the others are whole, and of which store."""
SLICE = 1 << 18
"""Candidates whose columns are looked at at a time."""
INDEX_BYTES = 64 << 20
"""Of the indexes of shards that are kept of all parts, or one of each."""


class Unshuffled:
    """Windows by candidate, as `Candidates`; those of a later part follow those of earlier ones.

    Attributes:
        path: the folder.
        options: of the sources.
        store: that they are of.
        windows: candidates, those that were dropped among them.
        spec, groups, step, target: as of a source.
        dropped, filled: (R, 2) ranges of candidates.
    """

    chunk_cache_bytes = fetched_bytes = pieces_bytes = 0

    def __init__(
        self, path: Path, options: SourceOptions, store: Store, groups: Sequence[str]
    ) -> None:
        """Those in `path` of `store`; `groups` are the names that codes stand for.

        The files are opened when they are read, and have to be whole by then.
        """
        self.path: Place = path
        self.options, self.groups = options, groups
        self.store = store.with_index_cache(INDEX_BYTES)
        self.spec, self.step = store.spec, store.manifest.step
        sizes = [int(part.manifest.source["windows"]) for part in store.parts]
        firsts = np.cumsum([0, *sizes])
        self.windows = int(firsts[-1])
        self.target = store.target
        manifests = [part.manifest for part in store.parts]
        self.dropped = _shifted([each.dropped for each in manifests], firsts)
        self.filled = _shifted([each.filled for each in manifests], firsts)

    @cached_property
    def _files(self) -> dict[str, Any]:
        return {
            name: np.memmap(Path(str(self.path)) / name, dtype, "r", shape=(self.windows, *shape))
            for name, (dtype, shape) in files_of(self.store).items()
        }

    @property
    def recordings(self) -> Unshuffled | None:
        """Itself, if windows are cut from stretches."""
        return self if self.store.manifest.stretches else None

    @property
    def buffer_bytes(self) -> int:
        """Of a block of windows, of the indexes of its shards and of a chunk that is decoded."""
        manifest = self.store.manifest
        block = manifest.block * self.spec.stored_bytes
        chunks = 2 * manifest.raw_chunk * manifest.raw_row_bytes
        index = max(self.store.shard_index_bytes, min(self.store.index_bytes, INDEX_BYTES))
        return 2 * block + (chunks + index if manifest.stretches else 0)

    @property
    def table_bytes(self) -> int:
        """Of the ranges."""
        return int(self.dropped.nbytes + self.filled.nbytes)

    def read_windows(self, start: int, stop: int) -> NDArray[Any]:
        """Candidates (n, T, C)."""
        if self.recordings is None:
            return np.array(self._files["raw"][start:stop])
        rows = self._files["row"][start:stop]
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        ranges = [(int(each[0]), int(each[-1]) + 1) for each in np.split(rows, breaks)]
        return self.store.read_many(["raw"], ranges)["raw"]

    def read_marked_windows(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The same, and (n,) whether they were filled."""
        return self.read_windows(start, stop), self._is_filled(start, stop)

    def read_features(self, start: int, stop: int) -> NDArray[np.float32]:
        """Features of the candidates (n, F)."""
        return np.array(self._files["features"][start:stop])

    def read_labels(self, start: int, stop: int) -> Labels:
        """Codes of the candidates; -1 for those that were dropped."""
        label, group = (np.array(self._files[name][start:stop]) for name in ("label", "group"))
        return Labels(label, group, np.full(stop - start, -1, np.int8))

    def read_groups(self, start: int, stop: int) -> NDArray[np.int32]:
        """Their groups alone; -1 for those that were dropped."""
        return np.array(self._files["group"][start:stop])

    def label_runs(self) -> Iterator[LabelRuns]:
        """See `Source`: where the signal breaks off, a run ends too."""
        names = [name for name in ("label", "group", "recording", "series") if name in self._files]
        if not self.target.is_class:
            names.remove("label")
        begun = np.zeros(1, np.int64)
        for start in range(1, self.windows, SLICE):
            stop = min(start + SLICE, self.windows)
            columns = np.stack([self._files[name][start - 1 : stop] for name in names], dtype="i8")
            first = start + np.flatnonzero(np.any(np.diff(columns, axis=1), axis=0))
            if len(first):  # Where no run ends, it goes on in the next slice.
                yield self._runs(np.concatenate([begun, first]))
                begun = first[-1:]
        yield self._runs(np.append(begun, self.windows))

    def _runs(self, edges: Integers) -> LabelRuns:
        label, group = (self._files[name][edges[:-1]] for name in ("label", "group"))
        part = np.full(len(edges) - 1, -1, np.int8)
        return LabelRuns(edges[:-1], edges[1:], Labels(np.array(label), np.array(group), part))

    def locate(self, start: int, stop: int) -> tuple[NDArray[np.int32], Integers] | None:
        """Recording and first row in `signals`; None of windows."""
        if "start" not in self._files:
            return None
        places = Path(str(self.path)) / PLACES
        if not places.is_file():
            return self.own_places(start, stop)
        found = np.array(np.memmap(places, np.int64, "r", shape=(self.windows, 2))[start:stop])
        return found[:, 0].astype(np.int32), found[:, 1]

    def own_places(self, start: int, stop: int) -> tuple[NDArray[np.int32], Integers] | None:
        """The same as the parts say: recordings numbered on, rows of each part's own source."""
        if "start" not in self._files:
            return None
        files = self._files
        return np.array(files["recording"][start:stop]), np.array(files["start"][start:stop])

    def take_places(self, source: Source | None) -> None:
        """Let `locate` give what it gives of a source of all of it; None: what the parts say.

        Raises:
            UserError: the disk is full.
        """
        places = Path(str(self.path)) / PLACES
        remove_file(places)
        if source is not None and "start" in self._files:
            starts = range(0, self.windows, SLICE)
            write_bytes(places, (_located(source, at, at + SLICE) for at in starts))

    def places(self, start: int, stop: int) -> tuple[Integers, Integers]:
        """Number of the signal, and first row in it: signals end where windows do not follow."""
        return np.array(self._files["series"][start:stop]), np.arange(start, stop) * self.step

    def read_stretch(
        self, start: int, stop: int, marks: bool
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The rows (R, C) that candidates of one signal lie in; (R,) whether one was filled.

        Which rows were filled is not known, only which windows: see `filled_of`.
        """
        windows = self.read_windows(start, stop)
        rest = windows[1:, self.spec.time - self.step :]
        rows = np.concatenate([windows[0], rest.reshape(-1, windows.shape[2])])
        return rows, np.zeros(len(rows), dtype=bool)

    def fetch(self, ranges: Sequence[tuple[int, int]], labels: bool = False) -> int:
        """Nothing: these are files."""
        del labels
        return len(ranges)

    def require_state(self, state: State) -> None:
        """Nothing: they are this program's own."""

    def close(self) -> None:
        """Let go of the files."""
        self.__dict__.pop("_files", None)

    def filled_of(self, numbers: Integers) -> Integers:
        """Those of the candidates `numbers` that were filled."""
        place = np.searchsorted(self.filled[:, 0], numbers, side="right") - 1
        if not len(self.filled):
            return numbers[:0]
        return np.asarray(numbers[(place >= 0) & (numbers < self.filled[place, 1])])

    def _is_filled(self, start: int, stop: int) -> NDArray[np.bool_]:
        found = np.zeros(stop - start, dtype=bool)
        found[self.filled_of(np.arange(start, stop)) - start] = True
        return found


def _located(source: Source, start: int, stop: int) -> bytes:
    """Recording and row of candidates, one after another, as bytes."""
    found = source.locate(start, min(stop, source.windows))
    assert found is not None
    return np.stack(found, axis=1).astype(np.int64).tobytes()


def gather_features(source: Unshuffled, recipe: Recipe) -> NDArray[np.float32] | None:
    """(n, F) features of the windows of a recipe, in the order they are gathered."""
    if not source.store.feature_names:
        return None
    found = np.empty((recipe.rows, len(source.store.feature_names)), np.float32)
    for at, start, stop in placed(recipe):
        found[at : at + stop - start] = source.read_features(start, stop)
    return found


def is_unshuffled(path: Place) -> bool:
    """Whether windows of a store were laid down there."""
    return isinstance(path, Path) and (path / ABOUT).is_file()


def open_unshuffled(path: Place, options: SourceOptions) -> Unshuffled:
    """Open what `unshuffle` has written."""
    assert isinstance(path, Path)
    about = json.loads((path / ABOUT).read_bytes())
    places = [unpacked(each) for each in about["stores"]]
    store = open_store(places, parts=about["parts"], new_classes=True)
    return Unshuffled(path, options, store, about["groups"])


def files_of(store: Store) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Type and shape of a row of each file."""
    arrays = {each.name: each for each in store.manifest.arrays()}
    kept = [name for name in arrays if name not in ("raw", "source_index")]
    found = {name: (arrays[name].dtype, arrays[name].row_shape) for name in kept}
    if not store.manifest.stretches:
        return found | {"raw": (store.spec.dtype, store.spec.shape)}
    numbers: tuple[np.dtype[Any], tuple[int, ...]] = (np.dtype(np.int64), ())
    return found | {"row": numbers, "series": numbers}


def _shifted(ranges: Sequence[Sequence[tuple[int, int]]], firsts: Integers) -> Integers:
    every = [
        (first + low, first + high)
        for first, own in zip(firsts.tolist(), ranges, strict=False)
        for low, high in own
    ]
    return np.array(every, np.int64).reshape(-1, 2)
