"""What a store holds, from its metadata and the sizes of its files."""

from __future__ import annotations

from typing import Any

from headrace.stores.io.places import storage_of
from headrace.stores.layout.folds import Fold
from headrace.stores.parts.part import StorePart
from headrace.stores.store import Store


def describe_store(store: Store) -> dict[str, Any]:
    """A JSON-able description of a store; reads metadata and file sizes, no data."""
    manifest, manifests = store.manifest, [part.manifest for part in store.parts]
    return {
        "store": str(store.path),
        "fingerprint": store.fingerprint,
        "format_version": manifest.format_version,
        "source": manifest.source,
        "windows": store.windows,
        "window": {
            "samples": store.spec.time,
            "channels": list(store.spec.channels),
            "units": list(store.spec.units),
            "sampling_rate_hz": store.spec.rate_hz,
            "seconds": store.spec.seconds,
        },
        "features": len(store.feature_names),
        "target": store.target.as_table(),
        "classes": list(store.classes),
        "tallies": list(store.target.tally_names),
        "groups": list(store.groups),
        "grouped": manifest.grouped,
        "dropped_windows": sum(high - low for each in manifests for low, high in each.dropped),
        "filled_windows": sum(high - low for each in manifests for low, high in each.filled),
        "geometry": {
            "chunk_windows": manifest.chunk,
            "shard_windows": manifest.shard,
            "block_windows": manifest.block,
            "stretch_windows": manifest.stretch,
            "shards": store.shards,
            "compressor": manifest.compressor,
            "level": manifest.level,
        },
        "arrays": [_describe_array(store, array.name) for array in manifest.arrays()],
        "folds": [
            {
                "name": fold.name,
                "windows": fold.windows,
                "rows": fold_rows(fold),
                "groups": [store.groups[group] for group in fold.groups],
                "class_counts": counts,
            }
            for fold, counts in zip(store.folds, store.class_table.tolist(), strict=True)
        ],
        "parts": [_describe_part(part) for part in store.parts],
    }


def fold_rows(fold: Fold) -> list[Any]:
    """The rows of a fold: first and past the last, or a pair for each part that has some."""
    return (
        [fold.start, fold.stop] if len(fold.ranges) == 1 else [list(each) for each in fold.ranges]
    )


def _describe_part(part: StorePart) -> dict[str, Any]:
    manifest = part.manifest
    return {
        "path": str(part.path),
        "fingerprint": part.fingerprint,
        "source": manifest.source,
        "windows": manifest.windows,
        "shards": manifest.shards,
        "groups": list(manifest.groups),
        "classes": list(manifest.classes),
    }


def _describe_array(store: Store, name: str) -> dict[str, Any]:
    array, rows, sizes = store.array(name), 0, list[int | None]()
    for part in store.parts:
        own = next(one for one in part.manifest.arrays() if one.name == name)
        there = dict(storage_of(part.path / name).sizes())
        sizes += [there.get(own.key(shard)) for shard in range(own.shards)]
        rows += own.rows
    stored, missing = sum(size or 0 for size in sizes), sizes.count(None)
    plain = rows * array.row_bytes
    return {
        "name": name,
        "shape": [rows, *array.row_shape],
        "dtype": array.dtype.name,
        "dimensions": list(array.dimensions),
        "bytes": plain,
        "stored_bytes": stored,
        "missing_shards": missing,
        "compression_ratio": round(plain / max(stored, 1), 3),
    }
