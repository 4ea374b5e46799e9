"""The inspect stage: what a store holds, from its metadata alone."""

from __future__ import annotations

from typing import Any

import stores
from pipeline.console import Request, format_bytes
from stores.store import Store


def run_inspect(request: Request) -> dict[str, Any]:
    """Describe `request.store`: arrays, geometry, folds with their groups and classes.

    Returns:
        JSON-able description.

    Raises:
        UserError: there is no finished store.
    """
    store = stores.open(request.store)
    summary = describe_store(store)
    _print(request, store, summary)
    return summary


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
            "samples": store.time,
            "channels": list(store.channels),
            "units": list(store.units),
            "sampling_rate_hz": store.rate_hz,
            "seconds": store.time / store.rate_hz,
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
    stored = sum(
        (store.path / name / array.key(shard)).stat().st_size for shard in range(array.shards)
    )
    plain = array.rows * array.row_bytes
    return {
        "name": name,
        "shape": [array.rows, *array.row_shape],
        "dtype": array.dtype.name,
        "dimensions": list(array.dimensions),
        "bytes": plain,
        "stored_bytes": stored,
        "compression_ratio": round(plain / max(stored, 1), 3),
    }


def _print(request: Request, store: Store, summary: dict[str, Any]) -> None:
    console, window = request.console, summary["window"]
    console.say(
        f"{store.path}: {store.windows:,} windows of {window['samples']} x "
        f"{len(store.channels)} ({window['seconds']:g} s at {store.rate_hz:g} Hz), "
        f"{summary['features']} features, {len(store.classes)} classes, "
        f"{len(store.groups)} groups"
    )
    console.table(
        "Arrays",
        ("array", "shape", "type", "size", "stored", "ratio"),
        [
            (
                array["name"],
                " x ".join(f"{length:,}" for length in array["shape"]),
                array["dtype"],
                format_bytes(array["bytes"]),
                format_bytes(array["stored_bytes"]),
                f"{array['compression_ratio']:.2f}",
            )
            for array in summary["arrays"]
        ],
    )
    counts = {fold["name"]: fold["class_counts"] for fold in summary["folds"]}
    console.table(
        "Classes",
        ("class", "windows", "folds with it", "fewest in a fold"),
        [
            (
                name,
                f"{sum(fold[number] for fold in counts.values()):,}",
                f"{sum(fold[number] > 0 for fold in counts.values())} of {len(counts)}",
                f"{min(fold[number] for fold in counts.values()):,}",
            )
            for number, name in enumerate(store.classes)
        ],
    )
    console.table(
        "Folds",
        ("fold", "windows", "classes", "groups"),
        [
            (
                fold["name"],
                f"{fold['windows']:,}",
                f"{sum(count > 0 for count in fold['class_counts'])}",
                ", ".join(fold["groups"][:8]) + (", ..." if len(fold["groups"]) > 8 else ""),
            )
            for fold in summary["folds"]
        ],
    )
    for what in ("dropped", "filled"):
        if summary[f"{what}_windows"]:
            console.say(
                f"{summary[f'{what}_windows']:,} source windows with NaN or infinity were {what}."
            )
    if not summary["grouped"]:
        console.say("Warning: split by window, not by group: scores will come out too high.")
