"""The functions of the user's own that a configuration names: their files, and they themselves."""

from __future__ import annotations

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
        where = users_line(users_files(config), error)
        if where is None and key is None:
            raise
        raise FunctionError(fault(where or str(key), error)) from error


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
