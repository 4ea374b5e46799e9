"""A store as a piece of HTML, which Jupyter shows: no script, and the colours of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import UserError
from headrace.stores.text import format_bytes
from headrace.stores.views.describe import describe_store
from headrace.stores.views.palette import PALETTE

if TYPE_CHECKING:
    from headrace.stores.store import Store
    from headrace.stores.views.window import Window

OPEN_FOLDS = 20
"""Folds that are listed without being asked for."""
BAR_WIDTH = 220
LINE_WIDTH, LINE_HEIGHT = 160, 24


@dataclass(frozen=True)
class Line:
    """A channel as it is drawn: the range of its values, and points of a polyline."""

    name: str
    unit: str
    low: float
    high: float
    points: str
    width: int = LINE_WIDTH
    height: int = LINE_HEIGHT


@dataclass(frozen=True)
class Bar:
    """A class's part of the bar of a fold, in pixels, and its windows."""

    number: int
    count: int
    x: float
    width: float


def store_html(store: Store, sample: Window | UserError) -> str:
    """What a store holds: metadata, sizes of files, and one window, or why there is none.

    Every name in it is escaped: a store may be a stranger's.
    """
    told = describe_store(store)
    return _TEMPLATES.get_template("store.html.j2").render(
        told=told,
        target=store.target,
        stored=max(1, sum(array["stored_bytes"] for array in told["arrays"])),
        plain=sum(array["bytes"] for array in told["arrays"]),
        missing=_missing(told),
        files=told["geometry"]["shards"] * len(told["arrays"]),
        notes=_notes(told),
        sample=sample,
        lines=None if isinstance(sample, UserError) else _lines(sample),
        bars=[_bars(fold["class_counts"]) for fold in told["folds"]],
        bar_width=BAR_WIDTH,
        open_folds=OPEN_FOLDS,
    )


def window_html(window: Window) -> str:
    """One window: what it is, and a line a channel."""
    return _TEMPLATES.get_template("window.html.j2").render(window=window, lines=_lines(window))


def _missing(told: dict[str, Any]) -> int:
    return sum(array["missing_shards"] for array in told["arrays"])


def _notes(told: dict[str, Any]) -> list[str]:
    """What is wrong with a store, and what to know before its scores are believed."""
    notes, missing = [], _missing(told)
    if missing:
        notes.append(f"{missing} files are missing. Mend it with: headrace features --repair.")
    if not told["grouped"]:
        notes.append("Split by window, not by group: scores will come out too high.")
    for what in ("dropped", "filled"):
        if told[f"{what}_windows"]:
            notes.append(f"{told[f'{what}_windows']:,} windows with NaN or infinity were {what}.")
    return notes


def _lines(window: Window) -> list[Line]:
    return [
        Line(name, unit, float(values.min()), float(values.max()), _points(values))
        for name, unit, values in zip(window.channels, window.units, window.raw.T, strict=True)
    ]


def _points(values: NDArray[np.float64]) -> str:
    finite = np.nan_to_num(values)
    low, span = finite.min(), np.ptp(finite) or 1.0
    shown = finite[:: max(1, len(finite) // (2 * LINE_WIDTH))]
    across = np.linspace(1, LINE_WIDTH - 1, len(shown))
    down = LINE_HEIGHT - 2 - (shown - low) / span * (LINE_HEIGHT - 4)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))


def _bars(counts: Sequence[int]) -> list[Bar]:
    """One bar, parted by class."""
    widths = np.array(counts) / max(sum(counts), 1) * BAR_WIDTH
    starts = np.cumsum(widths) - widths
    parts = zip(counts, starts.tolist(), widths.tolist(), strict=True)
    return [Bar(number, count, x, width) for number, (count, x, width) in enumerate(parts)]


def _colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def _opacity(number: int) -> str:
    """The palette comes round again paler."""
    return f"{max(0.3, 1 - 0.35 * (number // len(PALETTE))):.2f}"


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "bytes": format_bytes,
    "colour": _colour,
    "thousands": lambda number: f"{number:,}",
    "opacity": _opacity,
}
