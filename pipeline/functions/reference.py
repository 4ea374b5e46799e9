"""A function named `module:function`: where its module is. Nothing of the user's is run for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path

OURS = "headrace"


class FunctionFault(ValueError):
    """A function of the user's cannot be found, loaded, or fails; in one line."""


@dataclass(frozen=True)
class Found:
    """A function's module.

    Attributes:
        module, function: their names.
        file: of the module; None where there is none, as of a module that is built in.
        own: in the folder of the configuration; else it is installed.
    """

    module: str
    function: str
    file: Path | None
    own: bool


def find(key: str, reference: str, folder: Path) -> Found:
    """Find the module of `reference`: in `folder`, else among what is installed.

    Args:
        key: of the configuration that names it.
        reference: `module:function`; `package.module:function` is `folder/package/module.py`.
        folder: of the configuration.

    Raises:
        FunctionFault: it is malformed, or there is no such module.
    """
    if said := malformed(reference):
        raise FunctionFault(f"{key} = {reference!r}: {said}.")
    module, _, function = reference.partition(":")
    ours = module.split(".")[0] == OURS
    file = None if ours else module_file(folder, module)
    if file is not None:
        return Found(module, function, file, own=True)
    spec = _installed(module)
    if spec is None:
        raise FunctionFault(
            f"{key}: {reference!r} cannot be found: there is no "
            f"{folder / Path(*module.split('.'))}.py, and no such module is installed."
        )
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    return Found(module, function, file, own=False)


def malformed(reference: str) -> str | None:
    """Say what is wanted in place of a text that is not `module:function`; None: it is."""
    module, _, function = reference.partition(":")
    stem = module.removesuffix(".py").strip("/").replace("/", ".")
    if not (function.isidentifier() and all(part.isidentifier() for part in stem.split("."))):
        return "module:function is wanted, such as net:build for build in net.py"
    return None if stem == module else f"module:function is wanted: write {stem}:{function}"


def module_file(folder: Path, module: str) -> Path | None:
    """The file of a module in `folder`, or of a package's `__init__`; None: there is none."""
    stem = folder.joinpath(*module.split("."))
    files = (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
    return next((file for file in files if file.is_file()), None)


def is_sibling(folder: Path, name: str) -> bool:
    """Whether `import name` of a module in `folder` means another one there.

    So it does, unless that is the name of the standard library's or of an installed package's: a
    `numpy.py` beside a network stands in for nothing.
    """
    if not (module_file(folder, name) or (folder / name).is_dir()):
        return False
    return name not in sys.stdlib_module_names and name not in _distributed()


@cache
def _distributed() -> frozenset[str]:
    """Names that can be imported of all that is installed."""
    return frozenset({OURS, *packages_distributions()})


def _installed(module: str) -> ModuleSpec | None:
    """How a module would be imported; no package around it is run."""
    path: Sequence[str] | None = None
    spec = None
    parts = module.split(".")
    for number in range(len(parts)):
        name = ".".join(parts[: number + 1])
        loaded = sys.modules.get(name)
        spec = getattr(loaded, "__spec__", None) or _found_spec(name, path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and number < len(parts) - 1:
            return None
    return spec


def _found_spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None
