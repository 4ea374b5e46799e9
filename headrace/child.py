"""Start a module of ours in a process of its own, where no other module can stand in for it.

That process runs this file by its path, with `-P`. So `headrace` is the package that this file is
in, whatever the working directory, PYTHONPATH or a notebook's own `sys.path` hold: processes that
multiprocessing starts from there load this file first, too.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys


def child_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that calls `main()` of a module of ours in a process of its own.

    Args:
        module: its full name; `main` takes nothing, reads `sys.argv[1:]`, and returns the exit
            code or ends the process.
        arguments: its `sys.argv[1:]`.
    """
    return [sys.executable, "-P", os.path.abspath(__file__), module, *arguments]


def _load_ours() -> None:
    """Import the package that this file is in as `headrace`."""
    folder = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        "headrace", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} holds no package.")
    package = sys.modules["headrace"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


if "headrace" not in sys.modules:
    _load_ours()

if __name__ == "__main__":
    name = sys.argv.pop(1)
    sys.exit(importlib.import_module(name).main())
