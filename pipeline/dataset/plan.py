"""`headrace.plan`: what a `fit` of the user's own network on a data set will hold."""

from __future__ import annotations

import inspect
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import ByteSize, TypeAdapter, ValidationError

from headrace.pipeline.dataset.dataset import Dataset
from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.plan import MemoryPlan
from headrace.pipeline.memory.watch import watch_memory
from headrace.stores.errors import ConfigError, UserError, first_line

if TYPE_CHECKING:
    import keras

    from headrace.pipeline.dataset.part import Part

STEPS = 4
"""Of training and of validation that are measured: memory is level after the second."""


def plan(
    model_fn: Callable[[Dataset], keras.Model], data: Dataset, budget: int | str | None = None
) -> MemoryPlan:
    """Measure a few steps of your network in a process of its own, and add what the data takes.

    Args:
        model_fn: function of the data set that returns a compiled Keras model; of a module, or of
            a script whose own work stands below `if __name__ == "__main__":`, as the process
            imports it.
        data: the data set that `fit` will be given.
        budget: the most that the process of `fit` may hold; None: three quarters of what is free.

    Returns:
        A plan: `print` shows it, `projected` is its sum in bytes, `require_fit()` refuses what is
        above the budget.

    Raises:
        UserError: the function cannot be found there, fails, or returns no compiled model, or one
            that does not take the inputs or the targets.
    """
    limit = usable_budget(_bytes(budget))
    if not isinstance(data, Dataset):
        raise ConfigError(f"data is a headrace.Dataset, as fit will be given, not {data!r}.")
    if not inspect.isroutine(model_fn) and not inspect.isclass(model_fn):
        raise ConfigError(f"model_fn is a function of the data set, not {model_fn!r}.")
    try:
        given = pickle.dumps((model_fn, data))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{getattr(model_fn, '__qualname__', model_fn)!s} cannot be found from another process "
            f"({first_line(error)}). Define it at the top of a module or of your script."
        ) from error
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            reserved = pool.submit(measured, given).result()
    except BrokenProcessPool as error:
        raise ConfigError(
            "The process that was to measure a step ended before it could. Is the script's own "
            'work below `if __name__ == "__main__":`? If it is, memory is short.'
        ) from error
    buffers = dict(data["train"].memory("tf"))
    if data.split.validation:
        own = data["validation"].memory("tf")
        buffers |= {f"validation: {name}": size for name, size in own.items() if size}
    return MemoryPlan("fit", reserved, "measured", buffers, limit, total_memory(), key="budget")


def _bytes(budget: int | str | None) -> int | None:
    """Raises UserError: it is no number of bytes."""
    try:
        return None if budget is None else TypeAdapter(ByteSize).validate_python(budget)
    except ValidationError as error:
        raise ConfigError(f'budget is bytes, such as "1.5GiB", not {budget!r}.') from error


def measured(given: bytes) -> int:
    """Peak bytes, anonymous and shared, of a process in which a few steps are taken."""
    model_fn, data = _loaded(given)
    with watch_memory() as use:
        _take_steps(model_fn, data["train"], data)
    return use.peak


def _loaded(given: bytes) -> tuple[Callable[[Dataset], Any], Dataset]:
    try:
        model_fn, data = pickle.loads(given)
    except (AttributeError, ImportError) as error:
        raise ConfigError(
            f"The function cannot be found from another process ({first_line(error)}). Put it into "
            "a module, or at the top of a script."
        ) from error
    return model_fn, data


def _take_steps(model_fn: Callable[[Dataset], Any], train: Part, data: Dataset) -> None:
    import keras
    import tensorflow as tf

    # `__mp_main__` is what the script that is run is called here.
    where = model_fn.__module__
    with suppress(TypeError):  # What is built in has no file.
        where = inspect.getsourcefile(model_fn) or where
    name = f"{model_fn.__qualname__} ({where})"
    shapes = ", ".join(f"{key} {shape}" for key, shape in data.inputs.items())
    try:
        model = model_fn(data)
    except UserError:
        raise
    except SystemExit as error:
        raise ConfigError(f"{name} ended the process, with {error}.") from error
    except Exception as error:
        raise ConfigError(f"{name} failed: {type(error).__name__}: {first_line(error)}.") from error
    if not isinstance(model, keras.Model) or not model.compiled:
        what = "a model that is not compiled" if isinstance(model, keras.Model) else repr(model)
        raise ConfigError(f"{name} returned {what}; a compiled Keras model is needed.")
    inputs, target, weight = train.empty_batch()
    # The last class: a model of fewer outputs has no place for it.
    if target.ndim == 2:
        target[:, -1] = 1
    else:
        target[:] = len(data.classes) - 1
    batches = tf.data.Dataset.from_tensors((inputs, target, weight)).repeat(STEPS)
    try:
        model.fit(batches, validation_data=batches, verbose=0, shuffle=False)
    except Exception as error:
        raise ConfigError(
            f"A step of the model of {name} fails on inputs {shapes} and targets of "
            f"{len(data.classes)} classes: {type(error).__name__}: {first_line(error)}."
        ) from error
