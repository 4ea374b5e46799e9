"""Tables beside the recordings belong to the source: one that changed is named, as a file is."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.stores.errors import SourceContentError
from headrace.stores.source.files.census import census_from
from headrace.stores.source.files.located import folder_of
from headrace.stores.source.files.record import KEY, differences
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused

ROWS = 40
PADDING = "#" * 20_000
"""Makes a table so long that its middle stands far from where files are sampled."""


def write_files(folder: Path) -> Path:
    folder.mkdir()
    for number in (1, 2):
        lines = "".join(f"{row},{number},{row // 20}\n" for row in range(ROWS))
        (folder / f"s{number}.csv").write_text("x,y,label\n" + lines)
    return folder


def write_one(folder: Path) -> Path:
    folder.mkdir()
    with h5py.File(folder / "one.h5", "w") as file:
        file["signals"] = np.arange(2.0 * ROWS).reshape(ROWS, 2)
        file["labels"] = np.arange(ROWS) // 20
    return folder / "one.h5"


FILES: dict[str, Any] = {
    **{"files": ["s{recording}.csv"], "signals": ["x", "y"], "labels": "label"},
    **{"rate_hz": 10.0, "window_samples": 10, "groups": "recording"},
}
ONE: dict[str, Any] = {"rate_hz": 10.0, "window_samples": 10, "split_by_window": True}
INTERVALS = (
    f"recording,start,stop,label\n1,0,20,a\n1,20,40,b\n{PADDING}\n2,0,20,a\n{PADDING[:9000]}\n"
)
ONE_INTERVALS = "start,stop,label\n0,20,a\n20,40,b\n"
MEANINGS = "label,name\n0,a\n1,b\n"
TABLE = f"recording,who\n1,a\n{PADDING}\n2,b\n{PADDING[:9000]}\n"
LIST = "file,who\ns1.csv,a\ns2.csv,b\n"
COLUMN = "\n".join(["a" * 500] * 20 + ["b" * 500] * 20) + "\n"
GROUPS = "\n".join("b" * 4) + "\n"

Table = tuple[Callable[[Path], Path], str, str, dict[str, Any]]
NO_LABELS = {"labels": None}
CASES: dict[str, Table] = {
    "intervals": (
        *(write_files, "labels.txt", INTERVALS),
        FILES | NO_LABELS | {"intervals": {"file": "labels.txt"}},
    ),
    "names": (
        *(write_files, "names.txt", MEANINGS),
        FILES | {"label_table": {"file": "names.txt"}},
    ),
    "table in the folder": (
        *(write_files, "who.csv", TABLE),
        FILES | {"table": "who.csv", "groups": "who"},
    ),
    "table beside the folder": (
        *(write_files, "../who.csv", TABLE),
        FILES | {"table": "who.csv", "groups": "who"},
    ),
    "list of files": (
        *(write_files, "list.csv", LIST),
        FILES | {"files": [], "groups": "who"},
    ),
    "labels": (
        *(write_files, "y2.txt", COLUMN),
        FILES | {"labels_file": "y{recording}.txt", "labels": "0"},
    ),
    "intervals of one file": (
        *(write_one, "labels.txt", ONE_INTERVALS),
        ONE | {"intervals": {"file": "labels.txt"}},
    ),
    "names of one file": (
        *(write_one, "names.txt", MEANINGS),
        ONE | {"label_table": {"file": "names.txt"}},
    ),
}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, SourceOptions]:
    """What is opened, the table, and how it is read."""
    write, name, text, options = CASES[request.param]
    data = write(tmp_path / "data")
    table = (tmp_path / "data" / name).resolve()
    table.write_text(text)
    if name == "y2.txt":
        table.with_name("y1.txt").write_text(text)
    return (
        table if name == "list.csv" else data,
        table,
        SourceOptions.model_validate(options),
    )


def edited(table: Path) -> None:
    """Change a letter; its size and the moment of its change stay."""
    seen = table.stat()
    text = table.read_text()
    at = text.rindex("b") if len(text) < 1000 or "#" in text else 7_000
    table.write_text(f"{text[:at]}c{text[at + 1 :]}")
    os.utime(table, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def known(source: Source, path: Path, options: SourceOptions) -> Source:
    """The same opened as a worker does."""
    census = source.census
    if census is not None:
        census = census_from(BytesIO(census.to_bytes()), folder_of(path))
        assert census is not None
    return open_source(path, options, census)


def test_a_table_that_is_touched_is_named_in_every_process(
    case: tuple[Path, Path, SourceOptions],
) -> None:
    path, table, options = case
    with open_source(path, options) as source, known(source, path, options) as worker:
        state = source.state()
        source.require_state(state)
        worker.read_windows(0, worker.windows)
        worker.require_state(state)
        if source.census is not None:
            assert source.census.state == state
        os.utime(table, ns=(1, 1))
        assert source.state() != state
        for each in (source, worker):
            with refused(SourceContentError, table.name):
                each.require_state(state)


def test_what_is_opened_once_a_table_has_changed_is_refused(
    case: tuple[Path, Path, SourceOptions],
) -> None:
    path, table, options = case
    with open_source(path, options) as source:
        state, census = source.state(), source.census
        os.utime(table, ns=(1, 1))
        with (
            refused(SourceContentError, table.name),
            open_source(path, options, census) as worker,
        ):
            worker.require_state(state)
        # Opened when it had changed, and asked for the state in which it then was.
        with refused(SourceContentError, table.name):
            source.require_state(source.state())


def test_a_table_counts_by_all_that_it_holds_and_is_recorded(
    case: tuple[Path, Path, SourceOptions],
) -> None:
    path, table, options = case
    with open_source(path, options) as source:
        first, record = source.fingerprint(), source.recorded_files()
        with known(source, path, options) as worker:
            assert (worker.fingerprint(), worker.recorded_files()) == (first, record)
    os.utime(table, ns=(1, 1))
    with open_source(path, options) as source:
        assert (source.fingerprint(), source.recorded_files()) == (first, record)
    edited(table)
    with open_source(path, options) as source:
        assert source.fingerprint() != first
        (found,) = differences({KEY: record}, {KEY: source.recorded_files()})
        assert found.startswith("changed")
        assert found.endswith(table.name)


def test_a_file_of_groups_is_named(tmp_path: Path) -> None:
    for number in (1, 2):
        np.save(tmp_path / f"w{number}.npy", np.zeros((4, 10, 2)))
        (tmp_path / f"g{number}.txt").write_text(GROUPS)
    options = SourceOptions(
        **{
            "files": ["w{n}.npy"],
            "groups_file": "g{n}.txt",
            "groups": "0",
            "rate_hz": 10.0,
            "labels": "",
        },
        windows="array",
        layout="windows",
    )
    with open_source(tmp_path, options) as source:
        state = source.state()
        os.utime(tmp_path / "g2.txt", ns=(1, 1))
        with refused(SourceContentError, "g2.txt"):
            source.require_state(state)


def test_one_file_without_tables_records_none(tmp_path: Path) -> None:
    options = SourceOptions.model_validate(ONE)
    with open_source(write_one(tmp_path / "data"), options) as source:
        assert source.recorded_files() is None
        assert len(source.state()) == len(open_source(source.path, options).state())
