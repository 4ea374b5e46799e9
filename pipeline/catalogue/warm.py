"""Compiles every kernel once, so that no feature worker waits for the compiler."""

from __future__ import annotations

import subprocess

from headrace.child import child_command
from headrace.compiled.cache import mark_cached
from headrace.pipeline.catalogue.columns import Triad


def warm_up() -> None:
    """Compile and cache all kernels for float32 and float64 rows; fast when already cached."""
    import numpy as np

    from headrace.compiled.decimals import read_decimals
    from headrace.pipeline.catalogue.build import build_catalogue

    triad = Triad("acc", (0, 1, 2), accelerometer=True)
    catalogue = build_catalogue(("x", "y", "z"), 50.0, 32, (triad,))
    windows = np.random.default_rng(0).normal(size=(2, 32, 3))
    for dtype in (np.float32, np.float64):
        catalogue.extract(windows.astype(dtype))
    text = np.frombuffer(b"1.5\n", np.uint8)
    read_decimals(text, 0, ord(","), ord("."), np.zeros(1, np.int64), np.empty((1, 1)))
    mark_cached()


def compile_in_child() -> None:
    """`warm_up` in a child process: the compiler's memory (some 200 MiB) goes with it.

    In a session of its own: an interrupt reaches this process, which then ends the child.
    """
    subprocess.run(child_command(__name__), check=True, start_new_session=True)


def main() -> int:
    """The child."""
    warm_up()
    return 0
