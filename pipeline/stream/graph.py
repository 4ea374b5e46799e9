"""What streams are made of: calls into Python, raw in units, and the bounds of a dataset.

A call's error reaches the caller, and calls end before the interpreter does.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headrace.pipeline.augmentations.chance import Sample
from headrace.pipeline.stream.buffers import PREPARE_CALLS
from headrace.stores.errors import UserError

if TYPE_CHECKING:
    from headrace.pipeline.config.sections import StreamOptions
    from headrace.stores import Store
    from headrace.stores.spec import WindowSpec

_QUIET_SECONDS = 0.1
"""Without a call, after which no thread of TensorFlow is on its way into one."""


class _Calls:
    """The calls that streams of this process are in.

    A thread that asks for the lock of an interpreter that is being finalised never goes on. An
    iterator that is still alive then, half way through its data, would wait for such a thread for
    ever: a script that ends would hang. So when the process ends, no stream reads any more, and
    reads that have begun are waited for.
    """

    def __init__(self) -> None:
        self.faults: list[UserError] = []
        self._changed = threading.Condition()
        self._running = 0
        self._latest = 0.0
        self._ending = False

    def run(
        self, read: Callable[..., list[NDArray[Any]]], given: Sequence[Any]
    ) -> list[NDArray[Any]]:
        """What `read` returns; a `UserError` is kept for `store_errors`."""
        with self._changed:
            self._latest = time.monotonic()
            if self._ending:
                raise RuntimeError("The process is about to end.")
            self._running += 1
        try:
            return read(*given)
        except UserError as error:
            self.faults.append(error)
            raise
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Refuse new calls, and wait until all have returned and none is on its way."""
        with self._changed:
            self._ending = True
            self._changed.wait_for(lambda: self._running == 0)
        while (left := self._latest + _QUIET_SECONDS - time.monotonic()) > 0:
            time.sleep(left)


_CALLS = _Calls()
atexit.register(_CALLS.end)


def call_from_graph(
    read: Callable[..., list[NDArray[Any]]],
    arguments: Sequence[tf.Tensor],
    columns: Sequence[tuple[str, tuple[int, ...], np.dtype[Any]]],
) -> dict[str, tf.Tensor]:
    """Call `read` from the graph; it may run in several threads at a time.

    Args:
        read: function of arrays; returns a list of arrays (n, ...), which it must not touch again.
        arguments: tensors.
        columns: name, shape of a row and dtype of each array that it returns.
    """

    def call(*given: Any) -> list[NDArray[Any]]:
        return _CALLS.run(read, given)

    # Stateful, it would be serialised under op determinism, and read nothing ahead.
    values = tf.numpy_function(
        call, arguments, [tf.as_dtype(kind) for _, _, kind in columns], stateful=False
    )
    for (_, shape, _), value in zip(columns, values, strict=True):
        value.set_shape((None, *shape))
    return {name: value for (name, _, _), value in zip(columns, values, strict=True)}


def columns_from_graph(
    store: Store,
    names: Sequence[str],
    read: Callable[..., list[NDArray[Any]]],
    arguments: list[tf.Tensor],
) -> Sample:
    """Call `read` from the graph, and say what it returns: a dict of columns (n, ...)."""
    kinds = column_kinds(store)
    return call_from_graph(read, arguments, [(name, *kinds[name]) for name in names])


def column_kinds(store: Store) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape of a row and dtype of the columns that streams read of windows."""
    return {
        "raw": (store.spec.shape, store.spec.dtype),
        "features": ((len(store.feature_names),), np.dtype(np.float32)),
        "label": (store.target.shape, store.target.dtype),
        "group": ((), np.dtype(np.int32)),
        "source_index": ((), np.dtype(np.int64)),
    }


def in_units(raw: tf.Tensor, spec: WindowSpec) -> tf.Tensor:
    """Stored raw (n, T, C) as float32 in units."""
    raw = tf.cast(raw, tf.float32)
    scale = np.tile(np.array(spec.scale, np.float32), (spec.time, 1))
    return raw if (scale == 1).all() else raw * scale


def with_bounds(
    dataset: tf.data.Dataset, options: StreamOptions, prefetched: int, held: Mapping[str, int]
) -> tf.data.Dataset:
    """Prefetch a few batches, and let nothing grow or reorder.

    Threads of its own, as many as it makes calls at a time, keep reads that wait for the disk from
    holding up the network's. One thread a call: blocks are small, and are prepared side by side.
    """
    settings = tf.data.Options()
    settings.autotune.enabled = False
    # Half of the machine's memory unless it is said.
    settings.autotune.ram_budget = sum(held.values())
    settings.deterministic = True
    settings.threading.private_threadpool_size = options.read_threads + PREPARE_CALLS
    settings.threading.max_intra_op_parallelism = 1
    return dataset.prefetch(prefetched).with_options(settings)


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Raise what the store said of its damage: TensorFlow itself gives back its own error only.

    What the block held is let go of, whatever it ends by: an iterator half way through its data
    that waits in an error's frames crashes Python 3.12 once that collects its garbage.
    """
    _CALLS.faults.clear()
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, tf.errors.OpError) and _CALLS.faults:
            raise _CALLS.faults[0] from error
        raise
