"""Figures of sequences, as PNG bytes: what was labelled over what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model import drawing

MOST_TIMELINES = 12
"""Recordings in a figure."""
KEY_COLUMNS = 6


@dataclass(frozen=True, eq=False)
class Lines:
    """Timelines of one recording.

    Attributes:
        title: of the recording.
        step_s: seconds of a step.
        codes: name of a line, such as label or network -> (n,) classes, -1 for none.
    """

    title: str
    step_s: float
    codes: dict[str, NDArray[Any]]


def timelines(recordings: Sequence[Lines], classes: Sequence[str]) -> bytes:
    """Each recording's lines over one another, a colour a class; white where there is none."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    drawn = list(recordings)[:MOST_TIMELINES]
    lines = sum(len(each.codes) for each in drawn)
    keys = 0.25 * -(-len(classes) // KEY_COLUMNS)
    figure = drawing.blank(10, 1.0 + keys + 0.35 * lines + 0.5 * len(drawn))
    if len(classes) <= 20:
        colours = colormaps["tab20"](np.arange(len(classes)))
    else:
        colours = colormaps["turbo"](np.linspace(0, 1, len(classes)))
    palette = ListedColormap(["white", *colours])
    panels = figure.subplots(max(len(drawn), 1), 1, squeeze=False)[:, 0]
    for axes, each in zip(panels, drawn, strict=False):
        rows = np.stack(list(each.codes.values()))
        end = rows.shape[1] * each.step_s
        axes.imshow(
            rows,
            aspect="auto",
            interpolation="nearest",
            cmap=palette,
            vmin=-1.5,
            vmax=len(classes) - 0.5,
            extent=(0, end, len(rows), 0),
        )
        axes.set_yticks(np.arange(len(rows)) + 0.5, list(each.codes))
        axes.set_title(each.title, fontsize=8)
    panels[-1].set_xlabel("seconds")
    patches = [Patch(color=palette(at + 1), label=name) for at, name in enumerate(classes)]
    figure.legend(handles=patches, loc="outside lower center", ncols=KEY_COLUMNS, fontsize=8)
    return drawing.png(figure)
