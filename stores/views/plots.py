"""Plots of windows and features with matplotlib, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.stores.errors import StoreError
from headrace.stores.views.palette import PALETTE
from headrace.stores.views.window import Rows, evenly, features_table, read_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from headrace.stores.store import Store

SAMPLE = 20_000
"""Windows that a distribution is drawn from, unless rows are named."""
BY = ("label", "group", "fold")


def plot_window(store: Store, row: int) -> list[Axes]:
    """Draw row `row`: one panel a unit, one line a channel.

    Returns:
        The panels.

    Raises:
        IndexError: there is no such row.
        UserError: its chunk is missing or damaged.
    """
    import matplotlib.pyplot as plt

    window = read_window(store, row)
    units = list(dict.fromkeys(window.units))
    _, panels = plt.subplots(
        len(units), 1, sharex=True, squeeze=False, figsize=(9, 0.6 + 2.2 * len(units)),
        layout="constrained",
    )  # fmt: skip
    axes: list[Any] = list(panels[:, 0])
    for panel, unit in zip(axes, units, strict=True):
        numbers = [n for n, each in enumerate(window.units) if each == unit]
        for place, number in enumerate(numbers):
            style = {"color": PALETTE[place % len(PALETTE)], "label": window.channels[number]}
            line = "-" if place < len(PALETTE) else "--"
            panel.plot(window.time_s, window.raw[:, number], line, **style)
        panel.set_ylabel(unit or "unit unknown")
        panel.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes[0].set_title(window.title, loc="left")
    axes[-1].set_xlabel("time (s)")
    return axes


def plot_feature(store: Store, name: str, by: str, rows: Rows | None) -> Axes:
    """Draw the distribution of a feature in each class, group or fold, as boxes.

    A box is the middle half, its line the median, its whiskers the middle nine tenths. Without
    `rows`, of about 20,000 windows that are evenly spread over the store.

    Raises:
        IndexError: there is no such row.
        UserError: no such feature or `by`, or a chunk is missing or damaged.
    """
    import matplotlib.pyplot as plt

    if name not in store.feature_names:
        raise StoreError(f"{store.path} has no feature {name!r}. {_hint(store, name)}")
    if by not in BY:
        raise StoreError(f"A feature is drawn by {', '.join(BY)}, not by {by!r}.")
    table = features_table(store, evenly(store, SAMPLE).tolist() if rows is None else rows)
    parts = {str(key): part.dropna() for key, part in table.groupby(by, observed=True)[name]}
    _, axes = plt.subplots(figsize=(8, 1.2 + 0.32 * len(parts)), layout="constrained")
    axes.boxplot(
        [part.to_numpy(np.float64) for part in parts.values()],
        tick_labels=[f"{key} ({len(part):,})" for key, part in parts.items()],
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        medianprops={"color": PALETTE[1]},
    )
    axes.invert_yaxis()
    axes.set(xlabel=name, title=f"{name} by {by}, {len(table):,} of {store.windows:,} windows")
    return axes


def _hint(store: Store, name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, store.feature_names, n=3, cutoff=0.4)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"It has {len(store.feature_names)}: see feature_names."
