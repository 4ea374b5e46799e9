"""Sets TensorFlow up for a stage, before its first operation."""

from __future__ import annotations


def set_up_tensorflow(seed: int, deterministic: bool) -> None:
    """Seed everything; op determinism on a CPU if asked for; GPU memory grows as needed.

    Op determinism stays off on a GPU: it was made for the CPU's promise of the same bits, and
    some GPU kernels have no deterministic twin.
    """
    import keras
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        if not tf.config.experimental.get_memory_growth(gpu):
            tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(seed)
    if deterministic and not gpus:
        tf.config.experimental.enable_op_determinism()
