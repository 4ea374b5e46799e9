"""What is held while something is tried."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def assert_bounded(most: int) -> Iterator[None]:
    """At no moment more than `most` bytes are held of what is allocated within."""
    tracemalloc.start()
    try:
        yield
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held < most, f"{held:,} bytes"
