"""A store that shows itself: windows, tables, plots, xarray, and HTML for Jupyter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.stores.errors import UserError
from headrace.stores.io.object_options import DEFAULT_OBJECTS, ObjectOptions
from headrace.stores.io.places import Place
from headrace.stores.store import Store, open_store
from headrace.stores.views.plots import plot_feature, plot_window
from headrace.stores.views.store_html import store_html
from headrace.stores.views.to_xarray import labelled_dataset
from headrace.stores.views.window import Rows, Window, features_table, read_window

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes


def open_notebook_store(
    path: Place | str | Sequence[Place | str],
    options: ObjectOptions = DEFAULT_OBJECTS,
    *,
    parts: int | Sequence[int] | None = None,
    new_classes: bool = False,
) -> NotebookStore:
    """Open a finished store to look at, or several as one: see `stores.store.open_store`."""
    store = open_store(path, options, parts=parts, new_classes=new_classes)
    return NotebookStore(*store.parts)


class NotebookStore(Store):
    """A store with what people look at it with."""

    def window(self, row: int) -> Window:
        """One window with its labels, features and place in the source; raw values in units.

        Raises:
            IndexError: there is no such row.
            UserError: its chunk is missing or damaged.
        """
        return read_window(self, row)

    def features_frame(self, rows: Rows | None = None) -> pd.DataFrame:
        """Features, label, group and fold of some rows, a pandas table.

        Args:
            rows: a slice, or row numbers; None: all, if they take less than 1 GiB.

        Returns:
            One row a window: label, group and fold (categorical), source_index, and a float32
            column a feature.

        Raises:
            IndexError: there is no such row.
            UserError: the table would not fit, or a chunk is damaged.
        """
        return features_table(self, rows)

    def to_xarray(self) -> xr.Dataset:
        """The store as a lazy Dataset with coordinates: see `stores.views.to_xarray`."""
        return labelled_dataset(self)

    def plot_window(self, row: int) -> list[Axes]:
        """Draw one window, a panel a unit: see `stores.views.plots`."""
        return plot_window(self, row)

    def plot_feature(self, name: str, by: str = "label", rows: Rows | None = None) -> Axes:
        """Draw a feature's distribution by label, group or fold: see `stores.views.plots`."""
        return plot_feature(self, name, by, rows)

    def _repr_html_(self) -> str:
        sample: Window | UserError
        try:
            sample = read_window(self, 0)
        except UserError as error:
            sample = error
        return store_html(self, sample)
