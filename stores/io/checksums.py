"""Checksums of files: xxh3-128, which the manifest of a store records."""

from __future__ import annotations

import xxhash

from headrace.stores.io.places import Place, storage_of


def file_digest(path: Place) -> bytes | None:
    """xxh3-128 of a file, read in slices of 4 MiB; None if it cannot be read."""
    state = xxhash.xxh3_128()
    try:
        for part in storage_of(path).parts():
            state.update(part)
    except OSError:
        return None
    return state.digest()
