"""Sets TensorFlow up for a stage, before its first operation."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headrace.pipeline.memory.machine import usable_cores
from headrace.stores.errors import RunError

if TYPE_CHECKING:
    from headrace.pipeline.config.training import TrainOptions

STANDARD_ERROR = 2


def set_up_tensorflow(options: TrainOptions) -> None:
    """Seed everything; op determinism on a CPU if asked for; GPU memory grows as needed.

    Op determinism stays off on a GPU: the promise of the same bits is the CPU's, and some GPU
    kernels have no deterministic twin. The number of threads decides how sums are cut, hence bits.
    """
    threads = options.threads or usable_cores()
    with _silent_libraries():
        import keras
        import tensorflow as tf

        # Where TensorFlow runs already, as in a notebook, its threads stand.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        gpus = tf.config.list_physical_devices("GPU")
        running = tf.config.threading.get_intra_op_parallelism_threads()
    if options.threads and running not in (0, options.threads):
        raise RunError(
            f"TensorFlow runs in this process with {running} threads, not train.threads = "
            f"{options.threads}: results would differ. Start this stage in a process of its own."
        )
    for gpu in gpus:
        if not tf.config.experimental.get_memory_growth(gpu):
            tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(options.seed)
    if options.deterministic and not gpus:
        tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Hold back what TensorFlow's libraries print while they load, before they know a log level.

    Exceptions pass; TF_CPP_MIN_LOG_LEVEL=0 shows everything.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") == "0":
        yield
        return
    kept = os.dup(STANDARD_ERROR)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(kept, STANDARD_ERROR)
        os.close(kept)
