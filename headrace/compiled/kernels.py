"""How kernels are compiled, those of features and of the stream: one set of flags, one place.

Kernels work on one signal (one row) at a time, so that a value depends on that row and on nothing
else in the batch. Within a row LLVM may reorder a sum to vectorise it: the order is then fixed by
the row's length and the CPU type. ``nnan`` is allowed because windows are finite by contract.
Infinities keep their meaning. Divisions follow
NumPy, because Python's test for zero in each keeps a loop from being vectorised (the entropy of a
spectrum took eight times as long); every kernel guards its own divisors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

from headrace.compiled.cache import cache_folder

Kernel = TypeVar("Kernel", bound=Callable[..., object])

_FLAGS = {"reassoc", "contract", "nsz", "arcp", "nnan"}


def kernel(function: Kernel) -> Kernel:
    """Compile ``function`` on its first call; the code is cached on disk and releases the GIL."""
    return _compiled(function, _FLAGS)


def exact_kernel(function: Kernel) -> Kernel:
    """The same, but every operation is rounded on its own, as it is written."""
    return _compiled(function, set())


def part_of_kernel(function: Kernel) -> Kernel:
    """A part of a kernel, of its own name: compiled where it stands in the kernel, as one piece.

    A call costs a tenth of the kernel on short windows.
    """
    return cast(Kernel, numba.njit(inline="always", error_model="numpy")(function))


def _compiled(function: Kernel, flags: set[str]) -> Kernel:
    compile_it = numba.njit(cache=True, nogil=True, fastmath=flags, error_model="numpy")
    given = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())  # Read once, when a cache is made for a function.
    try:
        return cast(Kernel, compile_it(function))
    finally:
        numba.config.CACHE_DIR = given
