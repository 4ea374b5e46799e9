"""Augmentations of the user's own: functions of the arrays of some windows and their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import tensorflow as tf

from headrace.pipeline.augmentations.chance import Sample, seeds
from headrace.pipeline.config.functions import load_named, users_code
from headrace.stores.errors import FunctionError

if TYPE_CHECKING:
    from headrace.pipeline.augmentations.registry import Apply
    from headrace.pipeline.config.config import Config

KEY = "augment.custom"
FIRST_STREAM = 1 << 20
"""Of the first function's chances; those of our augmentations are far below."""


def own_augmentations(config: Config, inputs: Sequence[str]) -> list[Apply]:
    """The functions that `augment.custom` names, in order.

    Each takes a dict of float32 `raw` (n, T, C) and `features` (n, F), normalised, those of
    `inputs`, and `label` (n, K); and seeds int32 (n, 2), of each window and epoch others. It
    returns such a dict, of what it changed. A block of n windows is no batch: each is to be
    augmented by itself.

    Raises:
        UserError: one cannot be loaded; in the graph: it fails, or returns other arrays.
    """
    return [
        _applied(config, reference, FIRST_STREAM + number, inputs)
        for number, reference in enumerate(config.augment.custom)
    ]


@contextmanager
def own_faults() -> Iterator[None]:
    """Raise what a function of the user's did wrong: TensorFlow gives back an error of its own."""
    _FAULTS.clear()
    try:
        yield
    except Exception as error:
        if _FAULTS:
            raise _FAULTS[-1] from error
        raise


_FAULTS: list[FunctionError] = []


def _applied(config: Config, reference: str, stream: int, inputs: Sequence[str]) -> Apply:
    function, seed = load_named(config, KEY, reference), config.train.seed
    names = (*inputs, "label")

    def apply(sample: Sample) -> Sample:
        given = {name: sample[name] for name in names}
        try:
            with users_code(config, KEY):
                found = function(dict(given), seeds(sample, seed, stream))
            return sample | _checked(found, given, reference)
        except FunctionError as error:
            _FAULTS.append(error)
            raise

    return apply


def _checked(found: object, given: Sample, reference: str) -> Sample:
    if not isinstance(found, dict) or not found.keys() <= given.keys():
        names = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise FunctionError(
            f"{KEY}: {reference} returns {names}; a dict of {', '.join(given)} is wanted, or of "
            "some of them."
        )
    checked = {}
    for name, value in found.items():
        tensor, wanted = tf.convert_to_tensor(value), given[name]
        if tensor.dtype != wanted.dtype or not tensor.shape.is_compatible_with(wanted.shape):
            raise FunctionError(
                f"{KEY}: {reference} returns {name} as {tensor.dtype.name} {tensor.shape}, not "
                f"{wanted.dtype.name} {wanted.shape}."
            )
        checked[name] = tf.ensure_shape(tensor, wanted.shape)
    return checked
