"""Which versions of which packages write a store."""

from __future__ import annotations

from importlib.metadata import version

WRITERS = ("h5py", "headrace", "numba", "numcodecs", "numpy", "scipy")


def writer_versions() -> dict[str, str]:
    """Versions of the packages that may change a byte of the store."""
    return {name: version(name) for name in WRITERS}
