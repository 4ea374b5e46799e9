"""Arguments of the library, checked where no configuration does; errors in their names."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from headrace.stores.errors import ConfigError, UserError

Kind = TypeVar("Kind")
SECTIONS = {
    "stream": ("drop_remainder", "buffer_chunks", "read_threads", "prefetch_batches"),
    "model": ("inputs", "feature_scaling"),
    "train": ("batch", "seed", "balance", "class_weight_power", "steps_per_epoch"),
    "split": ("test_fold", "folds"),
    "memory": ("budget",),
}
"""Options of a data set that are keys of a configuration, by section."""
KEYS = re.compile(
    r"\b(?:Dataset: )?(?:"
    + "|".join(f"{section}\\.({'|'.join(keys)})" for section, keys in SECTIONS.items())
    + r")\b"
)


@contextmanager
def own_names() -> Iterator[None]:
    """Errors that name keys of a configuration name the arguments that stand for them."""
    try:
        yield
    except UserError as error:
        said = KEYS.sub(lambda found: next(key for key in found.groups() if key), str(error))
        if said == str(error):
            raise
        raise type(error)(said) from error


def whole(name: str, value: Any, least: int) -> int:
    """`value` as a whole number, NumPy's and TensorFlow's too.

    Raises:
        UserError: it is none, or below `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise ConfigError(f"{name} is a whole number from {least}, not {value!r}.")
    return number


def one_of(name: str, value: Kind, allowed: tuple[Kind, ...]) -> Kind:
    """`value`, which has to be one of those.

    Raises:
        UserError: it is not.
    """
    if not any(value is each or (type(value) is type(each) and value == each) for each in allowed):
        shown = " or ".join(map(repr, allowed))
        raise ConfigError(f"{name} is {shown}, not {value!r}.")
    return value


def folder_of(name: str, value: Any) -> Path:
    """`value` as a folder that is there or may be made.

    Raises:
        UserError: it is no path, or a file stands there.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise ConfigError(f"{name} is the path of a folder, not {value!r}.")
    if Path(value).exists() and not Path(value).is_dir():
        raise ConfigError(f"{name} = {str(value)!r} is a file. Name a folder.")
    return Path(value)


def table_of(name: str, value: Any) -> dict[str, Any]:
    """`value` as a dict.

    Raises:
        UserError: it is none.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f'{name} is a dict, such as {{"noise_probability": 1.0}}, not {value!r}.')
    return dict(value)
