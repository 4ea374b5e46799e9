"""A store as a piece of HTML, which Jupyter shows: no script, and the colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import UserError
from headrace.stores.text import format_bytes
from headrace.stores.views.describe import describe_store
from headrace.stores.views.plots import PALETTE
from headrace.stores.views.window import Window, read_window

if TYPE_CHECKING:
    from headrace.stores.store import Store

OPEN_FOLDS = 20
"""Folds that are listed without being asked for."""
STYLE = """
.headrace { font-size: 13px; line-height: 1.5 }
.headrace .name { font-weight: 600 }
.headrace .faint { opacity: .65 }
.headrace table { border-collapse: collapse; margin: .3em 0 .8em; background: none;
  font-size: inherit; color: inherit }
.headrace table th, .headrace table td { padding: .1em 1.2em .1em 0; text-align: right;
  background: none; border: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent) }
.headrace table .left { text-align: left }
.headrace summary { cursor: pointer; font-weight: 600 }
.headrace svg { display: block }
.headrace .key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .9em }
.headrace .wrong { border-left: 4px solid #D55E00; padding-left: .6em }
"""
"""Lines and text take the colour of the page, dark or light; only bars have their own."""


def store_html(store: Store) -> str:
    """What a store holds: metadata, sizes of files, and one window as a sample.

    Every name in it is escaped: a store may be a stranger's.
    """
    told = describe_store(store)
    return "".join(
        (
            f"<style>{STYLE}</style><div class='headrace'>",
            _heading(store, told),
            _integrity(told),
            _details("Arrays", _arrays(told), True),
            _details(f"Channels ({len(store.spec.channels)})", _channels(store), True),
            _details(
                f"Folds ({len(store.folds)})", _folds(store, told), len(store.folds) <= OPEN_FOLDS
            ),
            "</div>",
        )
    )


def _heading(store: Store, told: dict[str, Any]) -> str:
    stored = sum(array["stored_bytes"] for array in told["arrays"])
    plain = sum(array["bytes"] for array in told["arrays"])
    facts = (
        f"{store.windows:,} windows of {store.spec.time:,} &times; {len(store.spec.channels)} "
        f"({told['window']['seconds']:g} s at {store.spec.rate_hz:g} Hz)",
        f"{told['features']:,} features",
        f"{len(store.classes)} classes",
        f"{len(store.groups)} groups",
        f"{format_bytes(stored)} on disk ({plain / max(stored, 1):.2f} : 1)",
    )
    return (
        f"<div><span class='name'>{escape(str(store.path))}</span> "
        f"<span class='faint'>headrace store, format {told['format_version']}, "
        f"fingerprint {told['fingerprint'][:12]}</span></div><div>{' · '.join(facts)}</div>"
    )


def _integrity(told: dict[str, Any]) -> str:
    missing = sum(array["missing_shards"] for array in told["arrays"])
    notes = []
    if missing:
        notes.append(f"{missing} files are missing. Mend it with: headrace features --repair.")
    if not told["grouped"]:
        notes.append("Split by window, not by group: scores will come out too high.")
    for what in ("dropped", "filled"):
        if told[f"{what}_windows"]:
            notes.append(f"{told[f'{what}_windows']:,} windows with NaN or infinity were {what}.")
    files = sum(told["geometry"]["shards"] for _ in told["arrays"])
    sealed = ", the manifest has its checksum" if told["format_version"] > 1 else ""
    state = (
        ""
        if missing
        else f"<div>✓ complete, {files:,} files in place{sealed} "
        "<span class='faint'>(every read checks its chunk; headrace verify checks all)</span></div>"
    )
    return state + "".join(f"<div class='wrong'>{escape(note)}</div>" for note in notes)


def _arrays(told: dict[str, Any]) -> str:
    geometry = told["geometry"]
    rows = [
        (
            escape(array["name"]),
            " &times; ".join(
                f"{escape(name)} {length:,}"
                for name, length in zip(array["dimensions"], array["shape"], strict=True)
            ),
            array["dtype"],
            format_bytes(array["bytes"]),
            format_bytes(array["stored_bytes"]),
            f"{array['compression_ratio']:.2f}",
        )
        for array in told["arrays"]
    ]
    return (
        _table(("array", "dimensions", "type", "size", "on disk", "ratio"), rows)
        + f"<div class='faint'>chunks of {geometry['chunk_windows']:,} windows, shards of "
        f"{geometry['shard_windows']:,}, {escape(geometry['compressor'])} level "
        f"{geometry['level']}</div>"
    )


def _channels(store: Store) -> str:
    try:
        window = read_window(store, 0)
    except UserError as error:
        return f"<div class='wrong'>{escape(str(error))}</div>"
    return _signals(window, "first window") + f"<div class='faint'>{escape(window.title)}</div>"


def window_html(window: Window) -> str:
    """One window: what it is, and a line a channel."""
    size = f"{len(window.time_s):,} &times; {len(window.channels)}"
    return (
        f"<style>{STYLE}</style><div class='headrace'><div><span class='name'>"
        f"{escape(window.title)}</span> <span class='faint'>{size}, {len(window.features):,} "
        f"features</span></div>{_signals(window, 'signal')}</div>"
    )


def _signals(window: Window, title: str) -> str:
    rows = [
        (
            escape(name),
            escape(unit or "?"),
            f"<span title='{low:g} to {high:g}'>{_sparkline(values)}</span>",
            f"{low:.3g} … {high:.3g}",
        )
        for name, unit, values in zip(window.channels, window.units, window.raw.T, strict=True)
        for low, high in [(values.min(), values.max())]
    ]
    return _table(("channel", "unit", title, "range"), rows)


def _folds(store: Store, told: dict[str, Any]) -> str:
    rows = [
        (
            escape(fold["name"]),
            f"{fold['windows']:,}",
            _balance(fold["class_counts"], store.classes),
            f"<span title='{escape(', '.join(fold['groups']))}'>{escape(_some(fold['groups']))}"
            "</span>",
        )
        for fold in told["folds"]
    ]
    keys = "".join(
        f"<span class='key' style='background:{_colour(n)};opacity:{_opacity(n)}'></span>"
        f"{escape(name)} "
        for n, name in enumerate(store.classes[:40])
    )
    more = f" and {len(store.classes) - 40} more" if len(store.classes) > 40 else ""
    return _table(("fold", "windows", "classes", "groups"), rows) + f"<div>{keys}{more}</div>"


def _sparkline(values: NDArray[np.float64], width: int = 160, height: int = 24) -> str:
    finite = np.nan_to_num(values)
    low, span = finite.min(), np.ptp(finite) or 1.0
    step = max(1, len(finite) // (2 * width))
    shown = finite[::step]
    across = np.linspace(1, width - 1, len(shown))
    down = height - 2 - (shown - low) / span * (height - 4)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    return (
        f"<svg width='{width}' height='{height}' role='img'><polyline points='{points}' "
        "fill='none' stroke='currentColor' stroke-width='1'/></svg>"
    )


def _balance(counts: Sequence[int], classes: Sequence[str], width: int = 220) -> str:
    """One bar, parted by class."""
    total, at, parts = max(sum(counts), 1), 0.0, []
    for number, count in enumerate(counts):
        share = count / total * width
        parts.append(
            f"<rect x='{at:.1f}' width='{share:.1f}' height='12' fill='{_colour(number)}' "
            f"opacity='{_opacity(number)}'><title>{escape(classes[number])}: {count:,} "
            "</title></rect>"
        )
        at += share
    return f"<svg width='{width}' height='12' role='img'>{''.join(parts)}</svg>"


def _colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def _opacity(number: int) -> str:
    """The palette comes round again paler."""
    return f"{max(0.3, 1 - 0.35 * (number // len(PALETTE))):.2f}"


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f", … ({len(names)})" if len(names) > most else "")


def _details(title: str, body: str, shown: bool) -> str:
    return f"<details{' open' if shown else ''}><summary>{escape(title)}</summary>{body}</details>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are HTML already; numbers to the right."""
    head = "".join(f"<th class='left'>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(content: str) -> str:
    number = content[:1].isdigit() or content[:1] == "-"
    return f"<td>{content}</td>" if number else f"<td class='left'>{content}</td>"
