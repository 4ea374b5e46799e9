"""A store in the making: whole shards in a folder beside it, renamed into place when complete."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from headrace.stores.build.folder import (
    REPLACED,
    begun_otherwise,
    partial_folder,
    read_plan,
    refuse_foreign,
)
from headrace.stores.build.objects import begin_objects, discard_objects
from headrace.stores.errors import ARCHIVE_ERRORS, StoreError, UserError, first_line
from headrace.stores.io.checksums import file_digest
from headrace.stores.io.disk import (
    Bytes,
    link_file,
    make_folder,
    remove_file,
    remove_folder,
    remove_strays,
    rename_folder,
    sync_folder,
    write_bytes,
    write_once,
)
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place, names_below, openable
from headrace.stores.layout.fold_index import FoldIndex, load_index
from headrace.stores.layout.layout import Layout, join_ranges
from headrace.stores.manifest import TABLE_ROWS, Manifest, manifest_differences
from headrace.stores.moments import Moments
from headrace.stores.shards.array_format import ArrayFormat, canonical_json


@dataclass(frozen=True)
class SegmentRecord:
    """What is kept of one segment: moments of raw (in units) and features, and class counts."""

    raw: Moments
    features: Moments
    class_counts: NDArray[np.int64]


@dataclass(frozen=True)
class Build:
    """A store being built for `target`; every process may hold one.

    Attributes:
        target: where the store will stand.
        manifest: with no table digests yet.
    """

    target: Place
    manifest: Manifest

    @property
    def folder(self) -> Place:
        """The folder of the work in progress."""
        return partial_folder(self.target)

    @property
    def store(self) -> Place:
        """The future store. Objects have no names to change: theirs stands where it will stay, and
        is none until the last of its objects is written, the group's `zarr.json`.
        """
        return self.folder / "store" if isinstance(self.target, Path) else self.target

    @cached_property
    def work(self) -> Place:
        """What is kept of it apart from the plan: of objects by the plan's own name, as nothing
        keeps another builder from writing before it is refused.
        """
        if isinstance(self.folder, Path):
            return self.folder
        plan = canonical_json(self.manifest.model_dump(mode="json"))
        return self.folder / xxhash.xxh3_128_hexdigest(plan)

    def index(self) -> FoldIndex:
        """The index of the folds that the build was begun with.

        Raises:
            UserError: it is damaged.
        """
        path = self.work / "index.npz"
        try:
            return load_index(openable(path))
        except ARCHIVE_ERRORS as error:
            raise StoreError(
                f"{path} is damaged ({first_line(error)}). Delete {path.parent} to begin anew."
            ) from error

    def finished_shards(self) -> list[int]:
        """Shards whose arrays are all durable, ascending."""
        records = self.work / "records"
        found = sorted(
            int(name.removesuffix(".npz")) for name in names_below(records) if name.endswith(".npz")
        )
        for array in self.manifest.arrays():
            there = set(names_below(self.store / array.name))
            found = [shard for shard in found if array.key(shard) in there]
        return found

    def drop_damaged(self, advance: Callable[[int], None]) -> list[int]:
        """Forget finished shards whose files are not as they were written; the disk may err.

        Object stores keep checksums of their own: theirs are not read again.

        Args:
            advance: called with the number of rows of each shard that has been read.

        Returns:
            The shards that are to be made anew.
        """
        dropped: list[int] = []
        for shard in self.finished_shards() if isinstance(self.target, Path) else ():
            try:
                names = ["filled", *(table.name for table in self.manifest.tables())]
                digests = self._columns(shard, names)["shard_digest"][0]
                whole = all(
                    file_digest(self.store / array.name / array.key(shard)) == digest.tobytes()
                    for array, digest in zip(self.manifest.arrays(), digests, strict=True)
                )
            except (UserError, ValueError, IndexError):
                whole = False
            if not whole:
                remove_file(self._record(shard))
                dropped.append(shard)
            advance(min(self.manifest.shard, self.manifest.windows - shard * self.manifest.shard))
        return dropped

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
            gathered: (n, ...) rows of each array in the order they were gathered.
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
            chunks = (rows[order[at : at + chunk]] for at in range(0, len(order), chunk))
            digest = xxhash.xxh3_128()
            path = self.store / array.name / array.key(shard)
            written += write_bytes(path, _hashed(array.encode(chunks), digest))
            digests.append(np.frombuffer(digest.digest(), np.uint8))
        self._write_record(
            shard,
            {
                "filled": filled,
                "shard_digest": np.stack(digests)[None],
                "class_counts": np.stack([record.class_counts for record in records]),
                "raw_moments": np.stack([(r.raw.mean, r.raw.m2) for r in records]),
                "feature_moments": np.stack([(r.features.mean, r.features.m2) for r in records]),
            },
        )
        return written

    def adopt_shard(self, shard: int, store: Place, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take a sound shard of a finished store: other names of its files, and its record.

        Args:
            shard: its number.
            store: folder of the store; objects stand where they are wanted already.
            columns: what the store's manifest says of it: the numbers of its candidates that
                were `filled`, and its rows of each of the manifest's tables.
        """
        for array in self.manifest.arrays():
            name = f"{array.name}/{array.key(shard)}"
            there, here = store / name, self.store / name
            if isinstance(there, Path) and isinstance(here, Path):
                make_folder(here.parent)
                link_file(there, here)
        self._write_record(shard, columns)

    def _write_record(self, shard: int, columns: Mapping[str, NDArray[Any]]) -> None:
        """The last thing that is written of a shard: it says that the shard is whole."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **columns)
        write_bytes(self._record(shard), buffer.getvalue())

    def has_shard(self, shard: int) -> bool:
        """Whether a shard is whole."""
        return self._record(shard).is_file()

    def _record(self, shard: int) -> Place:
        return self.work / "records" / f"{shard}.npz"

    def finish(self, replaces: bool = False) -> None:
        """Write tables, manifest and metadata, and rename the store into place.

        Args:
            replaces: put it in place of the store that stands there.

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
            write_bytes(self.store / array.name / "zarr.json", array.metadata(attributes))
        write_bytes(self.store / "manifest" / "zarr.json", complete.to_bytes())
        self._commit(complete.root_bytes(), replaces)

    def _commit(self, root: bytes, replaces: bool) -> None:
        """Make a store of what was written: the last step."""
        if isinstance(self.target, ObjectPath):
            if not write_once(self.target / "zarr.json", root):
                raise StoreError(
                    f"{self.target} was made by another process meanwhile, from another source or "
                    "configuration. Name another --store."
                )
        else:
            folder = partial_folder(self.target)
            write_bytes(folder / "store" / "zarr.json", root)
            _remove_strays_below(folder / "store")
            if replaces and self.target.exists():
                # Between the two names there is no store, and a build that wants finishing.
                rename_folder(self.target, folder / REPLACED)
            rename_folder(folder / "store", self.target)
        discard_build(self.target)

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
            write_bytes(self.store / "manifest" / name, parts)
            digests[name] = digest.hexdigest()
            written[table.name] += 1

        for columns in self._all_columns(["filled", *held]):
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
            write_bytes(self.store / "manifest" / table.name / "zarr.json", metadata)
            digests[f"{table.name}/zarr.json"] = xxhash.xxh3_128_hexdigest(metadata)
        found = np.sort(np.concatenate(filled))
        ranges = join_ranges(np.stack([found, found + 1], axis=1))
        return digests, tuple((int(start), int(stop)) for start, stop in ranges)

    def _all_columns(self, names: list[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """Columns of the records of all shards in order; objects are read side by side."""

        def read(shard: int) -> dict[str, NDArray[Any]]:
            return self._columns(shard, names)

        shards = range(self.manifest.shards)
        if not isinstance(self.target, ObjectPath):
            yield from map(read, shards)
            return
        size = self.target.options.requests
        with ThreadPoolExecutor(size) as pool:
            for first in range(0, len(shards), size):
                yield from pool.map(read, shards[first : first + size])

    def _columns(self, shard: int, names: list[str]) -> dict[str, NDArray[Any]]:
        path = self._record(shard)
        try:
            with np.load(openable(path), allow_pickle=False) as record:
                return {name: np.asarray(record[name]) for name in names}
        except ARCHIVE_ERRORS as error:
            if isinstance(error, UserError):
                raise
            raise StoreError(
                f"{path} is damaged ({first_line(error)}). Delete it, and start again: its shard "
                "is made anew."
            ) from error


def begin_build(
    target: Place, manifest: Manifest, index: FoldIndex, replaces: bool = False
) -> Build:
    """Start a build, or continue one that was interrupted.

    Args:
        target: where the store will stand.
        manifest: of it, with no table digests.
        index: of its folds.
        replaces: a store that stands there is to be replaced; one of objects is none any more from
            now on, as its objects are replaced one by one.

    Raises:
        UserError: what was begun there has another source, config or writer version.
    """
    refuse_foreign(partial_folder(target))
    build = Build(target, manifest)
    plan = build.folder / "plan.json"
    wanted = manifest.model_dump(mode="json")
    if isinstance(target, ObjectPath):
        begin_objects(build, index, replaces)
        return build
    folder = partial_folder(target)
    if not ((folder / "store").is_dir() and (folder / "index.npz").is_file()):
        discard_build(target)
    if plan.exists():
        differing = manifest_differences(read_plan(plan), wanted)
        if differing and not build.finished_shards():
            discard_build(target)
            return begin_build(target, manifest, index)
        if differing:
            raise begun_otherwise(target, differing)
    else:
        remove_folder(folder)
        make_folder(folder / "records")
        make_folder(folder / "store")
        write_bytes(folder / "index.npz", index.to_bytes())
        write_bytes(plan, canonical_json(wanted))
    _remove_strays_below(folder)
    return build


def _remove_strays_below(folder: Path) -> None:
    for parent in {path.parent for path in folder.rglob("*.tmp")}:
        remove_strays(parent)


def load_build(target: Place) -> Build:
    """The build that `begin_build` started, for a worker process."""
    plan = json.loads((partial_folder(target) / "plan.json").read_bytes())
    return Build(target, Manifest.model_validate(plan))


def layout_of(manifest: Manifest, index: FoldIndex) -> Layout:
    """The layout that a manifest records."""
    seed = int(manifest.config["store"]["seed"])
    return Layout(manifest.folds, manifest.geometry, seed, index)


def discard_build(target: Place) -> None:
    """Remove the work in progress of `target`, first what says that it is one.

    Of objects that is the last to go: without it nobody knows what the others are. Of a store that
    was to be replaced the objects stay, and it is one again.
    """
    refuse_foreign(partial_folder(target))
    if isinstance(target, ObjectPath):
        discard_objects(target)
        return
    folder = partial_folder(target)
    if folder.exists():
        remove_file(folder / "plan.json")
        sync_folder(folder)
        remove_folder(folder)


def was_replaced(target: Place) -> bool:
    """Whether a mending was interrupted between the old store's name and the new one's."""
    if isinstance(target, ObjectPath):
        return False
    return not target.exists() and (partial_folder(target) / REPLACED).is_dir()


def recover_replaced(target: Place) -> None:
    """End a mending of which `was_replaced` is true; the caller holds the lock.

    The new store is whole by then, so it gets the name; else the old one gets it back.

    Raises:
        UserError: the disk does not let it.
    """
    if isinstance(target, ObjectPath) or not was_replaced(target):
        return
    folder = partial_folder(target)
    new = folder / "store"
    rename_folder(new if (new / "zarr.json").is_file() else folder / REPLACED, target)
    discard_build(target)


def _hashed(parts: Iterator[bytes], digest: Any) -> Iterator[Bytes]:
    for part in parts:
        digest.update(part)
        yield part
