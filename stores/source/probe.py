"""What is done with a source in a child process first: libhdf5 can crash on a stranger's file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headrace.child import child_command
from headrace.stores.errors import SourceError, UserError, first_line
from headrace.stores.io.places import Place, storage_of, unpacked
from headrace.stores.source.census import census_from
from headrace.stores.source.formats.hdf5 import open_hdf5
from headrace.stores.source.formats.hdf5_own import HDF5_ERRORS, check_own
from headrace.stores.source.located import folder_of
from headrace.stores.source.many import files_changed
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
REFUSED = 3
"""Exit code of a child that met an error: no import of its own ends with it."""
MOST_DATASETS = 500
LOOKS, LOOK_ROWS = 16, 4096
"""Slices of a column that are looked at, evenly spread, and rows of each."""
MOST_VALUES = 200
"""Different values of a column that are told."""


@dataclass(frozen=True)
class FoundDataset:
    """One dataset.

    Attributes:
        name: its path in the file.
        shape: of it.
        kind: NumPy's: "f", "i", "u", "b", "S", or "O" for strings of any length.
        attributes: small ones, by name.
        values: of one dimension: different values in a sample, in order; None: more than 200.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    attributes: dict[str, Any]
    values: list[Any] | None = None


@dataclass(frozen=True)
class Contents:
    """Datasets of a file, and the file's own attributes."""

    datasets: tuple[FoundDataset, ...]
    attributes: dict[str, Any]

    def named(self, name: str) -> FoundDataset | None:
        """The dataset of that path."""
        return next((each for each in self.datasets if each.name == name), None)


def open_stranger(path: Place, options: SourceOptions) -> Source:
    """`open_source`, once a child process has done so, read some of the data, and lived.

    Raises:
        UserError: as `open_source`, or the child was ended by a signal.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        kept = Path(folder) / "census.npz"
        _run_child("open", path, options.model_dump_json(), str(kept))
        census = census_from(kept, folder_of(path)) if kept.is_file() else None
    if census is not None and files_changed(census):
        census = None
    # Its other refusals, and its faults, come again here, with their whole story.
    return open_source(path, options, census)


def look_at(path: Place) -> Contents:
    """What `path` holds, found by a child process.

    Raises:
        UserError: it is not HDF5, or crashes HDF5.
    """
    child = _run_child("contents", path, "")
    found = json.loads(child.stdout)
    if "error" in found:
        open_hdf5(path).close()  # It says better what is wrong, if it is the whole file.
        raise SourceError(
            f"The source {path} cannot be read as HDF5 ({found['error']}). Name an HDF5 file."
        )
    datasets = tuple(
        FoundDataset(**(each | {"shape": tuple(each["shape"])})) for each in found["datasets"]
    )
    return Contents(datasets, found["attributes"])


def _run_child(
    purpose: str, path: Place, given: str, *also: str
) -> subprocess.CompletedProcess[str]:
    """Call `main` of this module in a process of its own.

    Args:
        purpose: what it is to do with the source; it may end with REFUSED.
        path: the source.
        given: its standard input.
        also: more arguments.

    Raises:
        UserError: it was ended by a signal.
    """
    child = subprocess.run(
        child_command(__name__, purpose, storage_of(path).packed(), *also),
        input=given,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if -child.returncode in CRASHES:
        raise SourceError(
            f"The source {path} cannot be read: HDF5 crashed on it "
            f"({signal.Signals(-child.returncode).name}). The file is damaged: restore it, or "
            "write it anew with h5repack."
        )
    if child.returncode < 0:
        raise SourceError(
            f"Reading the source {path} was ended by {signal.Signals(-child.returncode).name}, as "
            "the system does for lack of memory. Free some, and start again."
        )
    if child.returncode not in (0, REFUSED):
        raise RuntimeError(f"The source could not be opened in a child process: {child.stderr}")
    return child


def main() -> int:
    """The child: do what the first argument names with the source that the second one packs."""
    purpose, source, *also = sys.argv[1:]
    return _try_to_open(source, Path(also[0])) if purpose == "open" else _print_contents(source)


def _try_to_open(packed_source: str, kept: Path) -> int:
    """Open the source with the options on standard input, and read some of its data.

    What is found in many files is written to `kept`.
    """
    options = SourceOptions.model_validate_json(sys.stdin.read())
    try:
        with open_source(unpacked(packed_source), options) as source:
            source.fingerprint()
            if source.census is not None:
                kept.write_bytes(source.census.to_bytes())
    except Exception:  # The parent meets it again, and says it.
        return REFUSED
    return 0


def _print_contents(packed_source: str) -> int:
    """Print what the file holds as JSON."""
    try:
        with closing(open_hdf5(unpacked(packed_source))) as file:
            print(json.dumps(_contents(file.node)))
    except (UserError, *HDF5_ERRORS) as error:
        print(json.dumps({"error": first_line(error)}))
    return 0


def _contents(file: Any) -> dict[str, Any]:
    datasets: list[dict[str, Any]] = []

    def visit(name: str | bytes, item: Any) -> bool | None:
        # Bytes are no UTF-8: no configuration could name them.
        if isinstance(name, str) and isinstance(item, h5py.Dataset) and item.shape is not None:
            datasets.append(asdict(_look(file, name, item)))
        return True if len(datasets) >= MOST_DATASETS else None

    file.visititems(visit)
    return {"datasets": datasets, "attributes": _attributes(file)}


def _look(file: Any, name: str, item: Any) -> FoundDataset:
    values = None
    if len(item.shape) == 1 and item.shape[0] and item.dtype.kind in "iubfSO":
        try:
            check_own(file, item, name)
            values = _sample(item)
        except (UserError, *HDF5_ERRORS):
            values = None
    return FoundDataset(name, tuple(item.shape), item.dtype.kind, _attributes(item), values)


def _sample(item: Any) -> list[Any] | None:
    rows = item.shape[0]
    starts = np.unique(np.linspace(0, max(0, rows - LOOK_ROWS), LOOKS).astype(np.int64))
    read = item.asstr() if item.dtype.kind in "SO" else item
    parts = [np.asarray(read[start : start + LOOK_ROWS]) for start in starts.tolist()]
    seen = np.concatenate(parts)
    if seen.dtype.kind == "f" and not np.isfinite(seen).all():
        return None
    values = np.unique(seen.astype(np.str_) if seen.dtype.kind == "O" else seen).tolist()
    return values if len(values) <= MOST_VALUES else None


def _attributes(node: Any) -> dict[str, Any]:
    """Attributes of up to 300 numbers or strings."""
    found = {}
    for name in list(node.attrs)[:100]:
        try:
            value = np.asarray(node.attrs[name])
        except HDF5_ERRORS:
            continue
        if value.size <= 300 and value.dtype.kind in "iufSOU":
            plain = value.tolist()
            found[name] = json.loads(json.dumps(plain, default=_text))
    return found


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
