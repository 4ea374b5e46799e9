"""A store in the making: shards and their records, then tables and manifest made of these."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from headrace.stores.errors import ARCHIVE_ERRORS, StoreError, UserError, first_line
from headrace.stores.io.places import Place, storage_of
from headrace.stores.io.storage import Bytes
from headrace.stores.layout.fold_index import FoldIndex, load_index
from headrace.stores.layout.layout import Layout, join_ranges
from headrace.stores.manifest import TABLE_ROWS, Manifest
from headrace.stores.moments import Moments
from headrace.stores.shards.array_format import ArrayFormat

Columns = dict[str, NDArray[Any]]
"""Arrays of a shard's record, by name."""


@dataclass(frozen=True)
class SegmentRecord:
    """What is kept of one segment.

    Attributes:
        raw, features: moments, of raw in units.
        tally: (B,) sums of `Target.tally`.
        label: moments of a target's values.
    """

    raw: Moments
    features: Moments
    tally: NDArray[np.int64]
    label: Moments

    @property
    def tables(self) -> Columns:
        """A row of each of the manifest's tables, by name."""
        moments = {"raw": self.raw, "feature": self.features, "label": self.label}
        found: Columns = {
            f"{name}_moments": np.stack([m.mean, m.m2]) for name, m in moments.items()
        }
        return {"class_counts": self.tally} | found


@dataclass(frozen=True)
class Build(ABC):
    """A store being built for `target`; every process may hold one.

    Attributes:
        target: where the store will stand.
        folder: the folder of the work in progress.
        manifest: with no table digests yet.
    """

    target: Place
    folder: Place
    manifest: Manifest

    @property
    @abstractmethod
    def store(self) -> Place:
        """The future store."""

    @property
    @abstractmethod
    def work(self) -> Place:
        """What is kept of the build apart from the plan."""

    @abstractmethod
    def drop_damaged(self, advance: Callable[[int], None]) -> list[int]:
        """Forget finished shards that are not as they were written.

        Args:
            advance: called with the number of rows of each shard that has been read.

        Returns:
            The shards that are to be made anew.
        """

    @abstractmethod
    def keeps_conditions(self) -> bool:
        """Whether two builds of one store cannot take each other for themselves."""

    @abstractmethod
    def _adopt_files(self, names: list[str]) -> None:
        """Take over files of the store that is to be replaced, by their names below it."""

    @abstractmethod
    def _commit(self, root: bytes, replaces: bool, compacts: bool) -> None:
        """Make a store of what was written, the last step, and remove the work.

        Args:
            root: the group's metadata.
            replaces: put it in place of the store that stands there.
        """

    @abstractmethod
    def _opened_records(self) -> Iterator[Path | io.BytesIO]:
        """The shards' records as NumPy opens them, in order.

        They are decoded by the caller, in one thread: NumPy parses their headers as Python, and
        Python 3.11 cannot do that in several threads (gh-106905: "AST constructor recursion
        depth mismatch").
        """

    def index(self) -> FoldIndex:
        """The index of the folds that the build was begun with.

        Raises:
            UserError: it is damaged.
        """
        path = self.work / "index.npz"
        try:
            return load_index(storage_of(path).for_numpy())
        except ARCHIVE_ERRORS as error:
            raise StoreError(
                f"{path} is damaged ({first_line(error)}). Delete {path.parent} to begin anew."
            ) from error

    def finished_shards(self) -> list[int]:
        """Shards whose arrays are all durable, ascending."""
        records = self.work / "records"
        found = sorted(
            int(name.removesuffix(".npz"))
            for name in storage_of(records).names()
            if name.endswith(".npz")
        )
        for array in self.manifest.arrays():
            there = set(storage_of(self.store / array.name).names())
            found = [shard for shard in found if array.key(shard) in there]
        return found

    def write_shard(
        self,
        shard: int,
        gathered: Mapping[str, NDArray[Any]],
        order: NDArray[np.int64],
        records: list[SegmentRecord],
        filled: NDArray[np.int64],
    ) -> int:
        """Encode and write one shard of every array, then the record that says it is whole.

        Args:
            shard: its number.
            gathered: (n, ...) rows of each array in the order they were gathered; stretches as
                they are stored, those that lack are filled up with zeros.
            order: (n,) row r of the shard is `gathered[name][order[r]]`.
            records: one for each segment of the shard, in row order.
            filled: numbers of the candidates in which non-finite values were filled.

        Returns:
            Bytes written.

        Raises:
            UserError: the disk takes no more, or the build is over, as a worker finds that was
                cut off from its scheduler.
        """
        if not (self.folder / "plan.json").is_file():
            raise StoreError(f"{self.folder} is gone: its store is finished, or given up.")
        digests, written = [], 0
        for array in self.manifest.arrays():
            rows, chunk = gathered[array.name], array.chunk_rows
            if array.by_window:
                chunks = (rows[order[at : at + chunk]] for at in range(0, len(order), chunk))
            else:
                chunks = (rows[at : at + chunk] for at in range(0, array.shard_rows, chunk))
            digest = xxhash.xxh3_128()
            path = self.store / array.name / array.key(shard)
            written += storage_of(path).write(_hashed(array.encode(chunks), digest))
            digests.append(np.frombuffer(digest.digest(), np.uint8))
        self._write_record(
            shard,
            {
                "filled": filled,
                "shard_digest": np.stack(digests)[None],
                **{
                    name: np.stack([each.tables[name] for each in records])
                    for name in records[0].tables
                },
            },
        )
        return written

    def adopt_shard(self, shard: int, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take a sound shard of the store that is to be replaced, and write its record.

        Args:
            shard: its number.
            columns: what the store's manifest says of it: the numbers of its candidates that
                were `filled`, and its rows of each of the manifest's tables.
        """
        self._adopt_files([f"{each.name}/{each.key(shard)}" for each in self.manifest.arrays()])
        self._write_record(shard, columns)

    def _write_record(self, shard: int, columns: Mapping[str, NDArray[Any]]) -> None:
        """The last thing that is written of a shard: it says that the shard is whole."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **columns)
        storage_of(self._record(shard)).write(buffer.getvalue())

    def has_shard(self, shard: int) -> bool:
        """Whether a shard is whole."""
        return self._record(shard).is_file()

    def _record(self, shard: int) -> Place:
        return self.work / "records" / f"{shard}.npz"

    def finish(self, replaces: bool = False, compacts: bool = False) -> None:
        """Write tables, manifest and metadata, and rename the store into place.

        Args:
            replaces: put it in place of the store that stands there, which keeps its later parts.
            compacts: in place of these too.

        Raises:
            UserError: shards are missing, or something stands there that is not to be replaced.
        """
        missing = sorted(set(range(self.manifest.shards)) - set(self.finished_shards()))
        if missing:
            raise StoreError(
                f"{len(missing)} of {self.manifest.shards} shards are missing, the first is "
                f"{missing[0]}. Run headrace features again: it makes only those."
            )
        digests, filled = self._write_tables()
        complete = self.manifest.model_copy(update={"table_digests": digests, "filled": filled})
        for array in complete.arrays():
            attributes = complete.attributes_of(array.name)
            self._write(f"{array.name}/zarr.json", array.metadata(attributes))
        self._write("manifest/zarr.json", complete.to_bytes())
        self._commit(complete.root_bytes(), replaces, compacts)

    def _write_tables(self) -> tuple[dict[str, str], tuple[tuple[int, int], ...]]:
        """Gather the tables from the shards' records, a chunk of each in memory at a time.

        Returns:
            Checksum of each file, and the ranges of candidates that were filled.
        """
        digests: dict[str, str] = {}
        held = {table.name: np.empty(0) for table in self.manifest.tables()}
        written = dict.fromkeys(held, 0)
        filled = [np.zeros(0, np.int64)]

        def write(table: ArrayFormat, rows: NDArray[Any]) -> None:
            name = f"{table.name}/{table.key(written[table.name])}"
            digest = xxhash.xxh3_128()
            parts = _hashed(table.encode(iter([rows.astype(table.dtype)])), digest)
            self._write(f"manifest/{name}", parts)
            digests[name] = digest.hexdigest()
            written[table.name] += 1

        names = ["filled", *held]
        for shard, opened in enumerate(self._opened_records()):
            columns = self._columns(shard, names, opened)
            filled.append(columns["filled"])
            for table in self.manifest.tables():
                before, rows = held[table.name], columns[table.name]
                rows = np.concatenate([before, rows]) if len(before) else rows
                while len(rows) >= TABLE_ROWS:
                    write(table, rows[:TABLE_ROWS])
                    rows = rows[TABLE_ROWS:]
                held[table.name] = rows
        for table in self.manifest.tables():
            if len(held[table.name]):
                write(table, held[table.name])
            metadata = table.metadata()
            self._write(f"manifest/{table.name}/zarr.json", metadata)
            digests[f"{table.name}/zarr.json"] = xxhash.xxh3_128_hexdigest(metadata)
        found = np.sort(np.concatenate(filled))
        ranges = join_ranges(np.stack([found, found + 1], axis=1))
        return digests, tuple((int(start), int(stop)) for start, stop in ranges)

    def _write(self, name: str, parts: Bytes | Iterator[Bytes]) -> None:
        storage_of(self.store / name).write(parts)

    def _opened_record(self, shard: int) -> Path | io.BytesIO:
        path = self._record(shard)
        with _refusing_damage(path):
            return storage_of(path).for_numpy()

    def _columns(self, shard: int, names: list[str], opened: Path | io.BytesIO) -> Columns:
        damaged = _refusing_damage(self._record(shard))
        with damaged, np.load(opened, allow_pickle=False) as record:
            return {name: np.asarray(record[name]) for name in names}


def layout_of(manifest: Manifest, index: FoldIndex) -> Layout:
    """The layout that a manifest records."""
    seed = int(manifest.config["store"]["seed"])
    return Layout(manifest.folds, manifest.geometry, seed, index)


def _hashed(parts: Iterator[bytes], digest: Any) -> Iterator[Bytes]:
    for part in parts:
        digest.update(part)
        yield part


@contextmanager
def _refusing_damage(path: Place) -> Iterator[None]:
    try:
        yield
    except ARCHIVE_ERRORS as error:
        if isinstance(error, UserError):
            raise
        raise StoreError(
            f"{path} is damaged ({first_line(error)}). Delete it, and start again: its shard "
            "is made anew."
        ) from error
