"""Where compiled kernels are kept: a folder named after all that they were compiled from.

Numba looks at the file of a function only. Kernels call kernels of other files and hold constants
of other modules, so after a change there it would run the old code; here every change of any file
of the catalogue or of this package, of Numba or of the processor names another folder. Loads no
compiler.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

KEPT_SECONDS = 30 * 24 * 3600
"""Before a folder of kernels that are not these is removed."""
_SOURCES = Path(__file__).parents[1] / "pipeline" / "catalogue"
_CPU_SETTINGS = [os.environ.get(f"NUMBA_CPU_{name}", "") for name in ("NAME", "FEATURES")]


@cache
def cache_folder() -> Path:
    """The folder: in NUMBA_CACHE_DIR if set, else beside the catalogue, or in the user's cache."""
    name = f"kernels-{_fingerprint()}"
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen) / name
    beside = _SOURCES / "__pycache__" / name
    try:
        beside.mkdir(parents=True, exist_ok=True)
    except OSError:
        writable = False
    else:
        writable = os.access(beside, os.W_OK)
    return beside if writable else user_cache_path("headrace") / name


def kernels_are_cached() -> bool:
    """Whether all kernels have been compiled by this Python, for what is here now."""
    return _marker().is_file()


def mark_cached() -> None:
    """Say so, and drop what other versions of the kernels left long ago.

    What is younger may be in use: by another Python, Numba or processor over one checkout.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _marker().touch()
    for other in folder.parent.glob("kernels-*"):
        if time.time() - other.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


def _marker() -> Path:
    return cache_folder() / f"complete-{sys.implementation.cache_tag}"


def _fingerprint() -> str:
    # The place too: Numba's own names in the folder depend on it.
    parts = (version("numba"), str(_SOURCES.resolve()), _processor(), *_CPU_SETTINGS)
    digest = hashlib.sha256("\n".join(parts).encode())
    for path in [*sorted(_SOURCES.glob("*.py")), *sorted(Path(__file__).parent.glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            kept = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
        return "".join(sorted(set(kept)))
    except OSError:
        return platform.processor()
