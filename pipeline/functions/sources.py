"""The files that a function of the user's is made of: its module and those that it imports there.

They are read, not run: whoever names a run must not wait for TensorFlow.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.pipeline.functions.reference import Found, FunctionFault, is_sibling, module_file


@dataclass(frozen=True)
class Sources:
    """What some functions are made of.

    Attributes:
        files: path, relative to the configuration's folder -> content.
        installed: name of an installed module -> digest of its file.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)

    def digests(self) -> dict[str, str]:
        """Path or module -> digest of its content."""
        own = {path: content_digest(content) for path, content in self.files.items()}
        return dict(sorted({**own, **self.installed}.items()))


def content_digest(content: bytes) -> str:
    """Sixteen hex digits of SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def sources_of(found: Iterable[Found], folder: Path) -> Sources:
    """Read the files of functions.

    Of the folder's modules those too that they import, at any depth, by an `import` statement.
    Of an installed module its own file alone: what it imports is installed as well.

    Raises:
        FunctionFault: a file cannot be read, or is not Python.
    """
    files: dict[str, bytes] = {}
    installed: dict[str, str] = {}
    waiting: list[str] = []
    for each in found:
        if each.own:
            waiting.append(each.module)
        else:
            installed[each.module] = content_digest(_read(each.file) if each.file else b"")
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        # `import a.b` runs a/__init__.py too.
        waiting += [module.rpartition(".")[0]] if "." in module else []
        file = module_file(folder, module)
        if file is None:
            continue
        content = _read(file)
        files[file.relative_to(folder).as_posix()] = content
        waiting += _imported(_parsed(content, file), module, file.name == "__init__.py", folder)
    return Sources(files, installed)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FunctionFault(f"{file} cannot be read ({error.strerror}).") from error


def _parsed(content: bytes, file: Path) -> ast.AST:
    try:
        return ast.parse(content, str(file))
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        where = f"{file}:{line}" if line else str(file)
        raise FunctionFault(f"{where} is not Python: {error}. Correct it.") from error


def _imported(tree: ast.AST, module: str, package: bool, folder: Path) -> list[str]:
    """Modules of the folder that a module's statements import, or may."""
    return [
        name
        for name, relative in _named(tree, module, package)
        if name and (relative or is_sibling(folder, name.partition(".")[0]))
    ]


def _named(tree: ast.AST, module: str, package: bool) -> Iterator[tuple[str, bool]]:
    """Every name that may be a module's, in full, and whether it was a relative one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            parts = [node.module] if node.module else []
            if node.level:
                above = module.split(".")
                up = node.level - (1 if package else 0)
                parts = [*above[: max(0, len(above) - up)], *parts]
            base = ".".join(parts)
            yield base, bool(node.level)
            for alias in node.names:
                yield ".".join([*parts, alias.name]), bool(node.level)
