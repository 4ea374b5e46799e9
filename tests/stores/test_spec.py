"""What a window is, and in what two kinds of windows differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace import stores
from headrace.stores.spec import WindowSpec
from tests.refusals import refused

SPEC = WindowSpec(128, 50.0, ("x", "y", "z"), ("g", "g", ""), np.dtype(np.int16), (0.5, 0.5, 2.0))


def test_sizes_are_those_of_arrays() -> None:
    stored = np.zeros(SPEC.shape, SPEC.dtype)
    assert (SPEC.values, SPEC.stored_bytes) == (stored.size, stored.nbytes)
    assert SPEC.float_bytes == stored.astype(np.float32).nbytes
    assert SPEC.seconds == 2.56


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({}, ()),
        ({"time": 64}, ("time",)),
        ({"rate_hz": 25.0}, ("rate_hz",)),
        ({"channels": ("y", "x", "z")}, ("channels",)),
        ({"units": ("m/s2", "g", "")}, ("units",)),
        ({"units": ("", "", "")}, ()),
        ({"units": ("g", "g", "V")}, ()),
        ({"dtype": np.dtype(np.float32), "scale": (1.0, 1.0, 1.0)}, ()),
        (
            {"time": 64, "channels": ("x",), "units": ("V",), "scale": (1.0,)},
            ("channels", "units", "time"),
        ),
    ],
)
def test_windows_differ_in_what_a_network_would_notice(
    changes: dict[str, Any], differing: tuple[str, ...]
) -> None:
    other = replace(SPEC, **changes)
    assert SPEC.differences(other) == other.differences(SPEC) == differing


@pytest.mark.parametrize("attribute", ["channels", "units", "scale"])
def test_every_channel_has_one_unit_and_one_factor(attribute: str) -> None:
    with refused(ValueError):
        replace(SPEC, **{attribute: getattr(SPEC, attribute)[1:]})


def test_a_store_gives_the_windows_that_its_arrays_hold(tiny_store: Path) -> None:
    store = stores.open(tiny_store)
    raw = store.read("raw", 0, 1)
    assert (raw.shape[1:], raw.dtype, raw.nbytes) == (
        store.spec.shape,
        store.spec.dtype,
        store.spec.stored_bytes,
    )
