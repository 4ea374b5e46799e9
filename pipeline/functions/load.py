"""A function of the user's, loaded: its module runs under a name that nothing else can have.

The folder is on no search path. What a module there imports by the name of another one is that one;
every other import is as everywhere.
"""

from __future__ import annotations

import builtins
import difflib
import importlib
import importlib.util
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

from headrace.pipeline.functions.reference import (
    Found,
    FunctionFault,
    find,
    is_sibling,
    module_file,
)
from headrace.pipeline.functions.sources import content_digest, sources_of

PREFIX = "_headrace_own_"
"""Begins the names that modules of the user's run under."""
MOST_NAMED = 8
"""Functions of a module where the one that is wanted is not there."""


def load_function(
    key: str, reference: str, folder: Path, expected: Mapping[str, str] | None = None
) -> Callable[..., Any]:
    """Run the module of `module:function` and return the function, or what is called like one.

    Args:
        key: of the configuration that names it.
        reference: `module:function`.
        folder: of the configuration.
        expected: digests by path, as `Sources.digests`; None: whatever is there.

    Raises:
        FunctionFault: it cannot be found; its module fails, or is not as expected.
    """
    found = find(key, reference, folder)
    module = load_module(key, found, folder, expected)
    function = getattr(module, found.function, None)
    if not callable(function):
        raise FunctionFault(
            f"{key}: {reference!r} cannot be found: {found.file or found.module} has no function "
            f"{found.function}. {_named_there(module, found.function)}"
        )
    return function  # type: ignore[no-any-return]


def load_module(
    key: str, found: Found, folder: Path, expected: Mapping[str, str] | None = None
) -> types.ModuleType:
    """Run a function's module, once for each content; `load_function` explains."""
    if not found.own:
        with _explained(key, [found.file] if found.file else []):
            return importlib.import_module(found.module)
    digests = sources_of([found], folder).digests()
    with _explained(key, [folder / path for path in digests]):
        changed = [path for path in digests if expected and digests[path] != expected.get(path)]
        if changed:
            raise FunctionFault(
                f"{key}: {folder / changed[0]} is not what this run was started with. Start again."
            )
        # Another content is another module: a notebook may edit it and go on.
        name = PREFIX + content_digest(repr((str(folder), digests)).encode())
        space = _SPACES.setdefault(name, _Space(name, folder))
        return space.load(found.module)


def _named_there(module: types.ModuleType, wanted: str) -> str:
    """The functions and classes that a module defines, those with the closest names first."""
    there = [
        name
        for name, each in vars(module).items()
        if (inspect.isfunction(each) or inspect.isclass(each))
        and each.__module__ == module.__name__
    ]
    there.sort(key=lambda name: -difflib.SequenceMatcher(None, wanted, name).ratio())
    if not there:
        return "It defines none: write one there, or name another file."
    more = f", and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    return f"Name one that it has: {', '.join(there[:MOST_NAMED])}{more}."


class _Space:
    """The modules of a folder, under a private name."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        if _FINDER not in sys.meta_path:
            # First: the folder is a package, in which any finder would find modules.
            sys.meta_path.insert(0, _FINDER)

    def load(self, module: str) -> types.ModuleType:
        return importlib.import_module(f"{self.name}.{module}")

    def spec(self, name: str) -> ModuleSpec | None:
        """How one of its modules, or the folder itself, is imported."""
        inside = name[len(self.name) + 1 :]
        stem = self.folder.joinpath(*inside.split(".")) if inside else self.folder
        file = module_file(self.folder, inside) if inside else None
        if file is None:
            if not stem.is_dir():
                return None
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(stem)]
            return spec
        package = [str(stem)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, file, loader=_Loader(name, file, self), submodule_search_locations=package
        )

    def import_(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        """`__import__` of its modules."""
        top = name.partition(".")[0]
        if level or not is_sibling(self.folder, top):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = importlib.__import__(f"{self.name}.{name}", globals, locals, fromlist or (), 0)
        return found if fromlist else sys.modules[f"{self.name}.{top}"]


class _Loader(SourceFileLoader):
    """Runs a file as it is now: a compiled one beside it may be of another second's content."""

    def __init__(self, name: str, file: Path, space: _Space) -> None:
        super().__init__(name, str(file))
        self._space = space

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self.get_data(self.path), self.path, "exec", dont_inherit=True)

    def exec_module(self, module: types.ModuleType) -> None:
        # Statements `import` ask the `__builtins__` of the module that they stand in.
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._space.import_}
        exec(self.get_code(module.__name__), vars(module))


class _Finder(MetaPathFinder):
    """Finds what has a private name, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        space = _SPACES.get(fullname.partition(".")[0])
        return None if space is None else space.spec(fullname)


_SPACES: dict[str, _Space] = {}
_FINDER = _Finder()


@contextmanager
def _explained(key: str, files: Sequence[Path]) -> Iterator[None]:
    """Say of an error inside which line of the user's it comes from.

    Args:
        key: of the configuration, where no line is known.
        files: of the user's.

    Raises:
        FunctionFault: something was raised that is not one already.
    """
    try:
        yield
    except FunctionFault:
        raise
    except (Exception, SystemExit) as error:
        raise FunctionFault(fault(users_line(files, error) or key, error)) from error


def fault(where: str, error: BaseException) -> str:
    """An error in one line, after where it comes from."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    # TensorFlow tells of what it traces in the message, and puts the reason last.
    reason = (lines[-1].strip() if _is_traced(error) else lines[0]) if lines else kind
    said = f"{where}: {reason if reason.startswith(kind) else f'{kind}: {reason}'}"
    return said if said.endswith((".", "!", "?")) else f"{said}."


def users_line(files: Sequence[Path], error: BaseException) -> str | None:
    """`file:line` of the innermost line of some files that an error came through; None: of none."""
    places = {str(file) for file in files}
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in places:
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename in places:
        found = f"{error.filename}:{error.lineno}"
    if _is_traced(error):
        told = re.findall(r'File "([^"]+)", line (\d+)', str(error))
        own = [f"{file}:{line}" for file, line in told if file in places]
        found = own[-1] if own else found
    return found


def _is_traced(error: BaseException) -> bool:
    return str(error).lstrip().startswith("in user code:")
