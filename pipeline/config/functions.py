"""The functions of the user's own that a configuration names: their files, and they themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.functions.load import fault, load_function, load_module, users_line
from headrace.pipeline.functions.reference import Found, FunctionFault, find
from headrace.pipeline.functions.sources import Sources, sources_of
from headrace.stores.errors import FunctionError, UserError

if TYPE_CHECKING:
    from types import ModuleType

    from headrace.pipeline.config.config import Config

FEATURES = "features.custom"
CALLED_WITH = {
    "model.build": "(inputs, target)",
    "train.loss": "(labels, probabilities), or with nothing where it gives a Keras loss",
    "train.metrics": "(labels, probabilities), or with nothing where it gives a Keras metric",
    "train.callbacks": "(folder), or with nothing",
    "augment.custom": "(sample, seeds)",
}
NO_GRADIENTS = "No gradients provided for any variable"
"""Of Keras' optimizers, where the loss depends on no weight."""
ARGUMENTS = re.compile(r"(?:.*\.)?(\w+)\(\) (?:takes|missing|got) ")
"""How Python says that a function is not called with what it takes."""


def named_functions(config: Config) -> tuple[tuple[str, str], ...]:
    """(key, `module:function`) of those that decide what a training gives."""
    single = (("model.build", config.model.build), ("train.loss", config.train.loss))
    several = (
        ("train.metrics", config.train.metrics),
        ("train.callbacks", config.train.callbacks),
        ("augment.custom", config.augment.custom),
    )
    return (
        *((key, name) for key, name in single if name is not None),
        *((key, name) for key, names in several for name in names),
    )


def code_folder(config: Config) -> Path:
    """Where functions are looked for first: the configuration's folder, or the working one."""
    return (config.code.folder or Path()).absolute()


def with_sources(config: Config) -> Config:
    """`config` with the digests of the files that its functions are made of.

    Raises:
        UserError: one cannot be found or read, or is not what `config` says already.
    """
    named = named_functions(config)
    if not named:
        return config
    folder = code_folder(config)
    with as_user_errors():
        found = [find(key, name, folder) for key, name in named]
        digests = sources_of(found, folder).digests()
    known = config.code.sources
    changed = sorted(path for path in {*known, *digests} if known.get(path) != digests.get(path))
    if known and changed:
        what = folder / changed[0] if changed[0].endswith(".py") else changed[0]
        raise FunctionError(
            f"{what} is not what it was when this run, or the one that it is a part "
            "of, was started. Restore it, or start again from the configuration: the edited file "
            "makes another run."
        )
    return config.changed("code", folder=folder, sources=digests)


def copied_sources(config: Config) -> Sources:
    """The files of all functions that a run must have to be used where the folder is gone.

    Raises:
        UserError: one that decides the run cannot be found or read.
    """
    folder = code_folder(config)
    with as_user_errors():
        found = [find(key, name, folder) for key, name in named_functions(config)]
        return sources_of([*found, *_features(config, folder)], folder)


def load_named(config: Config, key: str, reference: str) -> Callable[..., Any]:
    """A function that `config` names, loaded.

    Raises:
        UserError: it cannot be; or it is not what the run was started with.
    """
    with as_user_errors():
        return load_function(key, reference, code_folder(config), config.code.sources or None)


def loaded_modules(config: Config) -> list[ModuleType]:
    """The modules of all functions that decide a run, loaded.

    Raises:
        UserError: as `load_named`.
    """
    folder, expected = code_folder(config), config.code.sources or None
    with as_user_errors():
        return [
            load_module(key, find(key, name, folder), folder, expected)
            for key, name in named_functions(config)
        ]


@contextmanager
def users_code(config: Config, key: str | None = None) -> Iterator[None]:
    """Say of an error inside, which runs functions of the user's, which line it comes from.

    Args:
        config: names them; nothing happens where it names none.
        key: of what alone runs inside, so that any error is its; None: ours runs there too, and
            an error without a line of the user's stays what it is.

    Raises:
        UserError: something was raised that is not one already.
    """
    if not named_functions(config):
        yield
        return
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        said = _said(config, key, error)
        if said is None:
            raise
        raise FunctionError(said) from error


def _said(config: Config, key: str | None, error: BaseException) -> str | None:
    """An error of the user's code in one line, with where it is; None: it may be ours."""
    named = {name for name, _ in named_functions(config)}
    loss = next((each for each in ("train.loss", "model.build") if each in named), None)
    if loss is not None and NO_GRADIENTS in str(error):
        return (
            f"{_place(config, loss)}: no weight of the network changes the loss, so nothing can be "
            "learned. Compute it of the network's output, with TensorFlow or keras.ops."
        )
    where = users_line(users_files(config), error)
    if where is not None:
        return fault(where, error)
    called = _called_wrongly(config, error)
    if called is not None:
        return f"{fault(_place(config, called), error)} It is called with {CALLED_WITH[called]}."
    return None if key is None else fault(_place(config, key), error)


def _called_wrongly(config: Config, error: BaseException) -> str | None:
    """The key of the function that does not take what it is called with; None: of none."""
    found = ARGUMENTS.match(str(error)) if isinstance(error, TypeError) else None
    if found is None:
        return None
    keys = (key for key, name in named_functions(config) if name.endswith(f":{found[1]}"))
    return next(keys, None)


def _place(config: Config, key: str) -> str:
    """`model.build = net:build (its file)`, or those of all functions that a key names."""
    folder = code_folder(config)
    named = [find(key, name, folder) for each, name in named_functions(config) if each == key]
    return f"{key} = " + ", ".join(f"{each.module}:{each.function} ({each.file})" for each in named)


def users_files(config: Config) -> list[Path]:
    """The files of the functions that decide a run."""
    folder = code_folder(config)
    found = [find(key, name, folder) for key, name in named_functions(config)]
    modules = [each.file for each in found if each.file is not None]
    return [*(folder / path for path in config.code.sources), *modules]


@contextmanager
def as_user_errors() -> Iterator[None]:
    """Raise a fault of the user's function as an error of the user's."""
    try:
        yield
    except FunctionFault as error:
        raise FunctionError(str(error)) from error


def _features(config: Config, folder: Path) -> list[Found]:
    """Those of the features that are in the folder: a training needs none of them."""
    found = []
    for name in config.features.custom:
        try:
            found.append(find(FEATURES, name, folder))
        except FunctionFault:
            continue
    return found
