"""How the catalogue's kernels are compiled: one set of flags, one place.

Kernels work on one signal (one row) at a time, so that a value depends on that row and on nothing
else in the batch. Within a row LLVM may reorder a sum to vectorise it: the order is then fixed by
the row's length and the CPU type. ``nnan`` is allowed because windows are finite by contract; it
is what lets a minimum and a maximum vectorise. Infinities keep their meaning. Divisions follow
NumPy, because Python's test for zero in each keeps a loop from being vectorised (the entropy of a
spectrum took eight times as long); every kernel guards its own divisors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])

_FLAGS = {"reassoc", "contract", "nsz", "arcp", "nnan"}


def kernel(function: Kernel) -> Kernel:
    """Compile ``function`` on its first call; the code is cached on disk and releases the GIL."""
    compiled = numba.njit(cache=True, nogil=True, fastmath=_FLAGS, error_model="numpy")(function)
    return cast(Kernel, compiled)
