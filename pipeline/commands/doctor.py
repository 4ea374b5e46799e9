"""What a bug report needs to know about this machine and this installation."""

from __future__ import annotations

import importlib.metadata
import locale
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from headrace.compiled.cache import cache_folder
from headrace.pipeline.memory.machine import available_memory, total_memory, usable_cores
from headrace.pipeline.process.environment import FORCED, SETTINGS
from headrace.stores.text import format_bytes

OPTIONAL = ("bokeh", "ipykernel", "tensorboard", "tensorstore")
"""What changes how Headrace behaves, or is used beside it, where it is installed."""
LIMITS = {
    "open files": resource.RLIMIT_NOFILE,
    "size of a file": resource.RLIMIT_FSIZE,
    "address space": resource.RLIMIT_AS,
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ASK_TENSORFLOW = (
    "import tensorflow as tf; "
    "print(*(f'{d.device_type} {d.name}' for d in tf.config.list_physical_devices()), sep='\\n')"
)


def run_doctor(devices: bool = False) -> dict[str, Any]:
    """Describe the installation: JSON-able, sizes in bytes.

    Args:
        devices: also ask TensorFlow for its devices, in a child process: a few seconds.
    """
    report: dict[str, Any] = {
        "headrace": _version("headrace"),
        "python": platform.python_version(),
        "executable": sys.executable,
        "environment": _environment(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _processor(),
        "memory": _memory(),
        **_folder(),
        "limits": {name: _limit(number) for name, number in LIMITS.items()},
        "encoding": f"{locale.getpreferredencoding(False)}, files {sys.getfilesystemencoding()}",
        "settings": {
            name: os.environ.get(name) for name in (*SETTINGS, *FORCED, *THREAD_VARIABLES)
        },
        "compiled_kernels": _kernel_cache(),
        "versions": {name: _version(name) for name in _dependencies()} | {"hdf5": _hdf5()},
        "beside": {name: _version(name) for name in OPTIONAL},
    }
    if devices:
        report["devices"] = _devices()
    return report


def report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report for people: sizes in words, one fact a line."""
    sizes = {"disk_free", *report["memory"]}
    for key, value in report.items():
        if isinstance(value, dict):
            yield f"{key}:"
            yield from (f"  {name}: {_said(name in sizes, one)}" for name, one in value.items())
        else:
            yield f"{key}: {_said(key in sizes, value)}"


def _said(size: bool, value: Any) -> str:
    if value is None:
        return "-"
    return format_bytes(value) if size and isinstance(value, int) else str(value)


def _folder() -> dict[str, Any]:
    try:
        folder = Path.cwd()
        free = psutil.disk_usage(str(folder)).free
        return {"disk_free": free, "folder": str(folder), "file_system": _file_system(folder)}
    except OSError:
        return {"disk_free": None, "folder": "(deleted)", "file_system": None}


def _file_system(folder: Path) -> str | None:
    """Of the mount that holds `folder`: ext4, nfs4, overlay."""
    kinds = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    return next((kinds[each] for each in (folder, *folder.parents) if each in kinds), None)


def _limit(number: int) -> int | None:
    """What the shell allows, `ulimit`; None for no limit."""
    allowed = resource.getrlimit(number)[0]
    return None if allowed == resource.RLIM_INFINITY else allowed


def _hdf5() -> str | None:
    try:
        from h5py.version import hdf5_version
    except ImportError:
        return None
    return str(hdf5_version)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _dependencies() -> list[str]:
    """Names of what headrace asks for without an extra; none when it is not installed."""
    try:
        required = importlib.metadata.requires("headrace") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    plain = (line for line in required if "extra ==" not in line)
    return sorted(name[0] for line in plain if (name := re.match(r"[\w.-]+", line)))


def _environment() -> str:
    """Which kind of environment runs this, and where it is."""
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return f"conda {sys.prefix}"
    kind = "virtual environment" if sys.prefix != sys.base_prefix else "system"
    return f"{kind} {sys.prefix}"


def _processor() -> dict[str, Any]:
    return {"model": _processor_model(), "cores": os.cpu_count(), "usable": usable_cores()}


def _processor_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found[1] if found else platform.processor()


def _memory() -> dict[str, int]:
    """Bytes: of the machine; and, within the limits of the control groups, in all and to take."""
    machine = psutil.virtual_memory().total
    return {"machine": machine, "total": total_memory(), "available": available_memory()}


def _kernel_cache() -> dict[str, Any]:
    """Where Numba keeps compiled kernels, and whether it can: without it every process compiles."""
    folder = cache_folder()
    compiled = len(list(folder.rglob("*.nbc"))) if folder.is_dir() else 0
    return {"folder": str(folder), "writable": _writable(folder), "files": compiled}


def _writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`, or in its nearest parent that exists."""
    while not folder.is_dir():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _devices() -> list[str]:
    """TensorFlow's devices, or one line that says why it has none."""
    command = [sys.executable, "-P", "-c", _ASK_TENSORFLOW]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return [f"TensorFlow does not start: {reason[0]}"]
    return done.stdout.split("\n")[:-1]
