"""The inspect stage: what a store holds, from its metadata alone."""

from __future__ import annotations

from typing import Any

from headrace.pipeline.request import Request
from headrace.stores.store import Store, open_store
from headrace.stores.text import format_bytes
from headrace.stores.views.describe import describe_store


def run_inspect(request: Request) -> dict[str, Any]:
    """Describe `request.store`: arrays, geometry, folds with their groups and classes.

    Returns:
        JSON-able description.

    Raises:
        UserError: there is no finished store.
    """
    store = open_store(request.store)
    summary = describe_store(store)
    _print(request, store, summary)
    return summary


def _print(request: Request, store: Store, summary: dict[str, Any]) -> None:
    console, window = request.console, summary["window"]
    console.say(
        f"{store.path}: {store.windows:,} windows of {window['samples']} x "
        f"{len(store.spec.channels)} ({window['seconds']:g} s at {store.spec.rate_hz:g} Hz), "
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
    missing = sum(array["missing_shards"] for array in summary["arrays"])
    if missing:
        console.say(f"Warning: {missing} files are missing. Mend it: headrace features --repair.")
    if not summary["grouped"]:
        console.say("Warning: split by window, not by group: scores will come out too high.")
