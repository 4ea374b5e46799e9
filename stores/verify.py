"""Whether a store is complete and true: files, checksums, each window once, moments recomputed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headrace.stores.io.checksums import file_digest
from headrace.stores.io.places import Place, storage_of
from headrace.stores.manifest import Manifest
from headrace.stores.moments import Moments, channel_moments, column_moments, merge_all
from headrace.stores.parts.places import group_of_parts, is_of_parts, later_parts, store_of_part
from headrace.stores.shards.array_format import ArrayFormat
from headrace.stores.store import Store
from headrace.stores.units import in_units

UNLIKE_ROWS = "differ from those of the rows"
BITMAP_WINDOWS = 1 << 27
"""Candidates that are ticked off in one pass over `source_index`: 128 MiB of marks at most."""
MOMENT_ROWS = 256
LABEL_ROWS = 1 << 14
Recorded = Callable[[int], NDArray[np.float64]]
"""A row of a table, by its number."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Problem:
    """Something that is not as the manifest says.

    Attributes:
        where: the file or array.
        what: how it differs.
        start, stop: rows of the store that are affected; equal when none is.
        kind: what says so: a checksum, the rows themselves, or that it is foreign to the store.
    """

    where: str
    what: str
    start: int = 0
    stop: int = 0
    kind: Literal["checksum", "rows", "foreign"] = "checksum"


def verify_store(store: Store, advance: Advance) -> Iterator[Problem]:
    """Every problem of a store; nothing when it is complete and true.

    Reads every file once for its checksum and, if those are right, every row once more.

    Args:
        store: one part of an opened store.
        advance: called with the number of rows that are done; twice the rows in all.
    """
    clean = True
    for problem in checksum_problems(store, advance):
        clean = False
        yield problem
    if clean:
        yield from _missing_windows(store)
        yield from _moment_problems(store, advance)


def checksum_problems(store: Store, advance: Advance) -> Iterator[Problem]:
    """Files that are missing, too many, or not what the manifest says.

    Shards whose own checksums are damaged are in question, and are not looked at.

    Args:
        store: one part of an opened store.
        advance: called with the number of rows that are done.
    """
    yield from metadata_problems(store.path, store.manifest)
    doubted: list[tuple[int, int]] = []
    for problem in _table_problems(store.path, store.manifest):
        yield problem
        if problem.where.startswith("manifest/shard_digest/"):
            doubted.append((problem.start, problem.stop))
    yield from _shard_problems(store, doubted, advance)


def damaged_shards(store: Store, problems: Iterable[Problem]) -> set[int]:
    """Shards that stand in question: those of the rows that problems affect."""
    size = store.shard_windows
    return {
        shard
        for problem in problems
        if problem.stop
        for shard in range(problem.start // size, -(-problem.stop // size))
    }


def metadata_problems(folder: Place, manifest: Manifest) -> Iterator[Problem]:
    """Metadata that is not what the manifest implies, and files that belong to nothing."""
    expected = {"zarr.json": manifest.root_bytes(), "manifest/zarr.json": manifest.to_bytes()}
    # Parts are no store: what stands in a later one in that place is foreign.
    grows = store_of_part(folder) == folder
    if grows and later_parts(folder):
        expected |= [group_of_parts()]
    for array in manifest.arrays():
        expected[f"{array.name}/zarr.json"] = array.metadata(manifest.attributes_of(array.name))
    for name, content in expected.items():
        path = folder / name
        if not path.is_file():
            yield Problem(name, "is missing")
        elif content_of(path) != content:
            yield Problem(name, "differs from what the manifest implies")
    tables = {name for name, _, _ in table_files(manifest)}
    for name in sorted(set(manifest.table_digests) - tables):
        yield Problem(f"manifest/{name}", "has a checksum, and is no part of a manifest")
    known = {*expected, *(f"manifest/{name}" for name in tables)}
    folders = {"manifest", *(Path(name).parent.as_posix() for name in known)}
    arrays = {array.name: array for array in manifest.arrays()}
    found = storage_of(folder).entries()
    own = sorted(entry for entry in found if not (grows and is_of_parts(entry[0])))
    for name, is_folder, is_link in own:
        shard = _shard_of(name, arrays)
        if shard is None and name not in (folders if is_folder else known):
            yield Problem(name, "does not belong to the store", kind="foreign")
        elif is_link:
            first = (shard or 0) * manifest.shard
            stop = 0 if shard is None else min(first + manifest.shard, manifest.windows)
            yield Problem(name, "is a link, and a store is made of files", first, stop)


def _shard_of(name: str, arrays: dict[str, ArrayFormat]) -> int | None:
    """Number of the shard that a file is of; None for any other file."""
    folder, _, file = name.partition("/")
    number = file.split(".")[1] if file.count(".") else ""
    array = arrays.get(folder)
    if array is None or not number.isdecimal() or len(number) > 18:
        return None
    shard = int(number)
    return shard if shard < array.shards and file == array.key(shard) else None


def table_files(manifest: Manifest) -> Iterator[tuple[str, str, int | None]]:
    """Name of each file of the manifest's tables, its table, and which chunk it is."""
    for table in manifest.tables():
        for chunk in range(table.shards):
            yield f"{table.name}/{table.key(chunk)}", table.name, chunk
        yield f"{table.name}/zarr.json", table.name, None


def _table_problems(folder: Place, manifest: Manifest) -> Iterator[Problem]:
    for name, table, chunk in table_files(manifest):
        path = folder / "manifest" / name
        what = _difference(path, manifest.table_digests.get(name, ""))
        if what is None:
            continue
        rows = (0, 0) if chunk is None else manifest.described_rows(table, chunk)
        yield Problem(f"manifest/{name}", what, *rows)


def _shard_problems(
    store: Store, doubted: Sequence[tuple[int, int]], advance: Advance
) -> Iterator[Problem]:
    """Shards that are missing or have another checksum."""
    (part,) = store.parts
    manifest, digest_of = part.manifest, part.table_rows("shard_digest")
    for shard in range(manifest.shards):
        rows = shard * manifest.shard, min((shard + 1) * manifest.shard, manifest.windows)
        if not any(start <= rows[0] < stop for start, stop in doubted):
            for number, array in enumerate(manifest.arrays()):
                name = f"{array.name}/{array.key(shard)}"
                what = _difference(store.path / name, digest_of(shard)[number].tobytes().hex())
                if what is not None:
                    yield Problem(name, what, *rows)
        advance(rows[1] - rows[0])


def content_of(path: Place) -> bytes | None:
    """The bytes of a small file; None if it is not there or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _difference(path: Place, recorded: str) -> str | None:
    """How a file differs from its recorded checksum, hex digits."""
    if not path.is_file():
        return "is missing"
    for _ in range(storage_of(path).readings):
        found = file_digest(path)
        if found is None:
            return "cannot be read"
        if found.hex() == recorded:
            return None
    return "has another checksum than the manifest"


def _missing_windows(store: Store) -> Iterator[Problem]:
    """Candidates that stand in no row or in several; one bitmap at a time."""
    manifest = store.manifest
    candidates = int(manifest.source["windows"])
    for low in range(0, candidates, BITMAP_WINDOWS):
        high = min(low + BITMAP_WINDOWS, candidates)
        seen = np.zeros(high - low, dtype=np.uint8)
        for start in range(0, store.windows, manifest.shard):
            index = store.read("source_index", start, min(start + manifest.shard, store.windows))
            inside = index[(index >= low) & (index < high)] - low
            np.add.at(seen, inside, 1)
            if low == 0 and (index.min() < 0 or index.max() >= candidates):
                stop = start + len(index)
                what = "names windows that do not exist"
                yield Problem("source_index", what, start, stop, "rows")
        expected = np.ones(high - low, dtype=np.uint8)
        for first, last in manifest.dropped:
            expected[max(first - low, 0) : max(last - low, 0)] = 0
        wrong = np.flatnonzero(seen != expected)
        if len(wrong):
            shown = ", ".join(str(low + number) for number in wrong[:5])
            what = f"{len(wrong)} source windows are not stored once: {shown}"
            yield Problem("source_index", what, kind="rows")


def _moment_problems(store: Store, advance: Advance) -> Iterator[Problem]:
    """Segments whose moments or class counts, computed anew, differ from the tables."""
    (part,) = store.parts
    names = [table.name for table in part.manifest.tables() if table.name != "shard_digest"]
    recorded = {name: part.table_rows(name) for name in names}
    scale = store.spec.scale
    for row, segment in enumerate(store.manifest.segments()):
        rows = segment.start, segment.stop
        parts = [
            channel_moments(in_units(store.read("raw", *part), scale)) for part in _parts(*rows)
        ]
        raw = merge_all(parts, len(scale))
        if not _close(raw, recorded["raw_moments"](row)):
            yield Problem("manifest/raw_moments", UNLIKE_ROWS, *rows, "rows")
        if store.feature_names:
            columns = [column_moments(store.read("features", *part)) for part in _parts(*rows)]
            features = merge_all(columns, len(store.feature_names))
            if not _close(features, recorded["feature_moments"](row)):
                yield Problem("manifest/feature_moments", UNLIKE_ROWS, *rows, "rows")
        yield from _label_problems(store, recorded, row, rows)
        advance(segment.stop - segment.start)


def _label_problems(
    store: Store, recorded: dict[str, Recorded], row: int, rows: tuple[int, int]
) -> Iterator[Problem]:
    """What of a segment's labels is not as the tables say."""
    target = store.target
    labels = [store.read("label", *part) for part in _parts(*rows, LABEL_ROWS)]
    # Codes of no class are counted as none, and not beyond the table.
    known = [target.is_known(label) for label in labels]
    counts = sum(target.counts(label[own]) for label, own in zip(labels, known, strict=True))
    if not np.array_equal(counts, recorded["class_counts"](row)):
        yield Problem("manifest/class_counts", UNLIKE_ROWS, *rows, "rows")
    if target.moment_names:
        moments = merge_all(map(target.moments, labels), len(target.moment_names))
        if not _close(moments, recorded["label_moments"](row)):
            yield Problem("manifest/label_moments", UNLIKE_ROWS, *rows, "rows")


def _parts(start: int, stop: int, step: int = MOMENT_ROWS) -> Iterator[tuple[int, int]]:
    for at in range(start, stop, step):
        yield at, min(at + step, stop)


def _close(found: Moments, recorded: NDArray[np.float64]) -> bool:
    deviation = np.sqrt(recorded[1] / max(found.count, 1))
    tolerance = 1e-6 * (deviation + np.abs(recorded[0]) * 1e-3) + 1e-30
    return bool(
        np.all(np.abs(found.mean - recorded[0]) <= tolerance)
        and np.allclose(found.std, deviation, rtol=1e-4, atol=1e-12)
    )
