"""The inspect stage: what a store holds, from its metadata alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.pipeline.request import Request, open_requested
from headrace.stores.store import Store
from headrace.stores.text import format_bytes, shown
from headrace.stores.views.describe import describe_store

ARRAYS = ("array", "shape", "type", "size", "stored", "ratio")
COUNTED = ("folds with it", "fewest in a fold")
PARTS = ("part", "windows", "groups", "where")
FOLDS = ("fold", "windows")


def run_inspect(request: Request) -> dict[str, Any]:
    """Describe `request.store`: arrays, geometry, folds with their groups and classes.

    Returns:
        JSON-able description.

    Raises:
        UserError: there is no finished store.
    """
    store = open_requested(request)
    summary = describe_store(store)
    _print(request, store, summary)
    return summary


def _print(request: Request, store: Store, summary: dict[str, Any]) -> None:
    console, window = request.console, summary["window"]
    console.say(
        f"{store.path}: {store.windows:,} windows of {window['samples']} x "
        f"{len(store.spec.channels)} ({window['seconds']:g} s at {store.spec.rate_hz:g} Hz), "
        f"{summary['features']} features, {store.target.described}, "
        f"{len(store.groups)} groups"
    )
    if len(store.parts) > 1:
        rows = [_part_row(number, each) for number, each in enumerate(summary["parts"])]
        console.table("Parts", PARTS, rows)
    arrays, folds = summary["arrays"], summary["folds"]
    console.table("Arrays", ARRAYS, [_array_row(array) for array in arrays])
    names = summary["tallies"]
    counts = [[fold["class_counts"][number] for fold in folds] for number in range(len(names))]
    one, several, what = store.target.words
    console.table(several, (one, what, *COUNTED), [*map(_class_row, names, counts)])
    head = (*FOLDS, several.lower(), "groups")
    console.table("Folds", head, [_fold_row(fold) for fold in folds])
    for what in ("dropped", "filled"):
        if summary[f"{what}_windows"]:
            console.say(
                f"{summary[f'{what}_windows']:,} source windows with NaN or infinity were {what}."
            )
    missing = sum(array["missing_shards"] for array in arrays)
    if missing:
        console.say(f"Warning: {missing} files are missing. Mend it: headrace features --repair.")
    if not summary["grouped"]:
        console.say("Warning: split by window, not by group: scores will come out too high.")


def _array_row(array: dict[str, Any]) -> tuple[str, ...]:
    return (
        array["name"],
        " x ".join(f"{length:,}" for length in array["shape"]),
        array["dtype"],
        format_bytes(array["bytes"]),
        format_bytes(array["stored_bytes"]),
        f"{array['compression_ratio']:.2f}",
    )


def _part_row(number: int, part: dict[str, Any]) -> tuple[str, ...]:
    return str(number), f"{part['windows']:,}", shown(part["groups"]), part["path"]


def _class_row(name: str, counts: Sequence[int]) -> tuple[str, ...]:
    """Of the windows of a class in each fold."""
    found = sum(count > 0 for count in counts)
    return name, f"{sum(counts):,}", f"{found} of {len(counts)}", f"{min(counts):,}"


def _fold_row(fold: dict[str, Any]) -> tuple[str, ...]:
    classes = sum(count > 0 for count in fold["class_counts"])
    groups = ", ".join(fold["groups"][:8]) + (", ..." if len(fold["groups"]) > 8 else "")
    return fold["name"], f"{fold['windows']:,}", f"{classes}", groups
