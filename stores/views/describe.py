"""What a store holds, from its metadata and the sizes of its files."""

from __future__ import annotations

from typing import Any

from headrace.stores.io.places import storage_of
from headrace.stores.store import Store


def describe_store(store: Store) -> dict[str, Any]:
    """A JSON-able description of a store; reads metadata and file sizes, no data."""
    manifest = store.manifest
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
        "classes": list(store.classes),
        "groups": list(store.groups),
        "grouped": manifest.grouped,
        "dropped_windows": sum(high - low for low, high in manifest.dropped),
        "filled_windows": sum(high - low for low, high in manifest.filled),
        "geometry": {
            "chunk_windows": manifest.chunk,
            "shard_windows": manifest.shard,
            "block_windows": manifest.block,
            "stretch_windows": manifest.stretch,
            "shards": manifest.shards,
            "compressor": manifest.compressor,
            "level": manifest.level,
        },
        "arrays": [_describe_array(store, array.name) for array in manifest.arrays()],
        "folds": [
            {
                "name": fold.name,
                "windows": fold.stop - fold.start,
                "rows": [fold.start, fold.stop],
                "groups": [store.groups[group] for group in fold.groups],
                "class_counts": store.class_counts([fold.name]).tolist(),
            }
            for fold in store.folds
        ],
    }


def _describe_array(store: Store, name: str) -> dict[str, Any]:
    array = next(one for one in store.manifest.arrays() if one.name == name)
    there = dict(storage_of(store.path / name).sizes())
    sizes = [there.get(array.key(shard)) for shard in range(array.shards)]
    stored, missing = sum(size or 0 for size in sizes), sizes.count(None)
    plain = array.rows * array.row_bytes
    return {
        "name": name,
        "shape": [array.rows, *array.row_shape],
        "dtype": array.dtype.name,
        "dimensions": list(array.dimensions),
        "bytes": plain,
        "stored_bytes": stored,
        "missing_shards": missing,
        "compression_ratio": round(plain / max(stored, 1), 3),
    }
