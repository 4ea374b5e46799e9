"""A store as an xarray Dataset: lazy, with names for its axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from headrace.stores.io.places import storage_of
from headrace.stores.views.describe import fold_rows
from headrace.stores.views.lazy_rows import lazy_rows, lazy_windows

if TYPE_CHECKING:
    import xarray as xr

    from headrace.stores.store import Store


def labelled_dataset(store: Store) -> xr.Dataset:
    """The arrays of a store, opened and not read, with coordinates.

    Returns:
        `raw` (window, time, channel) as stored, or cut from `stretches` when it is indexed, if the
        store holds those, with `stretch` and `offset` of each window; `features` (window,
        feature), `label`, `group`, `source_index` and, for recordings, `recording` and `start`
        (window). Coordinates: `time` in seconds, `channel`, `unit` and `channel_scale` (raw *
        channel_scale = units) of each channel, `feature`, and `fold` of the folds' bounds in the
        attributes: first row and past the last, or such a pair for each part. Codes of `label` and
        `group` are explained by `flag_values` and `flag_meanings` as the CF conventions do. `label`
        of several labels or values is (window, label) or (window, value), with their names, and
        `value_unit`, as coordinates; of a sequence (window, step), `step` in seconds.
    """

    data = _opened(store) if len(store.parts) == 1 else _joined(store)
    coordinates: dict[str, tuple[str, object, dict[str, str]]] = {
        "time": ("time", np.arange(store.spec.time) / store.spec.rate_hz, {"units": "s"}),
        "channel": ("channel", list(store.spec.channels), {}),
        "unit": ("channel", list(store.spec.units), {}),
        "channel_scale": ("channel", list(store.spec.scale), {}),
    }
    if store.feature_names:
        coordinates["feature"] = ("feature", list(store.feature_names), {})
    data = data.assign_coords(coordinates)
    data["group"].attrs = _flags(store.groups)
    named, units = store.target.column_names
    data["label"].attrs = {} if named else _flags(store.classes)
    (_, *inner) = store.target.dimensions
    if named:
        data = data.assign_coords({inner[0]: (inner[0], list(named))})
    if units:
        data = data.assign_coords(value_unit=(inner[0], list(units)))
    if store.target.length:
        seconds = store.target.sample_of_step / store.spec.rate_hz
        data = data.assign_coords({inner[0]: (inner[0], seconds, {"units": "s"})})
    data["raw"].attrs = {"sampling_rate_hz": store.spec.rate_hz}
    if "features" in data:
        data["features"].attrs = {}
    data.attrs = {
        "store": str(store.path),
        "fingerprint": store.fingerprint,
        "folds": {fold.name: fold_rows(fold) for fold in store.folds},
    }
    return data


def _flags(meanings: Sequence[str]) -> dict[str, object]:
    """What explains codes as the CF conventions do."""
    return {
        "flag_values": np.arange(len(meanings), dtype=np.int32),
        "flag_meanings": " ".join(each.replace(" ", "_") for each in meanings),
        "names": list(meanings),
    }


def _opened(store: Store) -> xr.Dataset:
    """The arrays as they are stored."""
    import xarray as xr

    where = storage_of(store.path).for_zarr()
    # Without chunks= nothing is computed by Dask: indexing reads what it asks for.
    data: xr.Dataset = xr.open_zarr(where, consolidated=False, chunks=None)
    if store.manifest.stretches:
        data = data.rename(raw="stretches").rename_dims(time="stretch_time")
        data["raw"] = lazy_windows(store)
    return data


def _joined(store: Store) -> xr.Dataset:
    """The arrays of several parts; of stretches only the windows that are cut from them."""
    import xarray as xr

    shown = [each for each in store.manifest.arrays() if each.name not in ("stretch", "offset")]
    data = {
        each.name: lazy_windows(store)
        if each.name == "raw"
        else lazy_rows(store, each.name, (store.windows, *each.row_shape))
        for each in shown
    }
    return xr.Dataset(data)
