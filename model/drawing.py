"""What all figures share: how one is begun, its colours, bars, and its end as PNG bytes.

Drawn on figures of their own, never through pyplot: no state, no display, no backend to choose.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
"""Of the palette of Okabe and Ito (2008)."""
MOST_DRAWN = 60
"""Groups, or folds, in a figure: PNG and readers know an end."""


def blank(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def bars(
    names: Sequence[str], columns: Mapping[str, Sequence[float]], line: float, line_name: str
) -> bytes:
    """Grouped horizontal bars on 0..1, the first name on top, with a line at a mean."""
    figure = blank(7, 1.2 + 0.32 * len(names) + 0.2 * len(columns))
    axes = figure.subplots()
    places = np.arange(len(names))
    height = 0.8 / len(columns)
    for number, (name, values) in enumerate(columns.items()):
        colour = (BLUE, ORANGE, GREEN)[number]
        offset = (number - (len(columns) - 1) / 2) * height
        axes.barh(places + offset, values, height, color=colour, label=name.replace("_", "-"))
    axes.axvline(line, color="0.4", linestyle=":", label=f"{line_name} {line:.3f}")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="score")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=len(columns) + 1)
    return png(figure)


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file, the same for the same figure."""
    buffer = io.BytesIO()
    # Without the software's version the bytes depend on what is drawn alone.
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
