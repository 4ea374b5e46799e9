"""Folders of files that do not belong together, are not what they seem, or change."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused
from tests.stores.source.bad.cases import SETTINGS, Refusal, assert_command_refused

Make = Callable[[Path], Any]
OPTIONS: dict[str, Any] = {
    "rate_hz": 20,
    "window_samples": 4,
    "labels": "",
    "split_by_window": True,
}


def csv(path: Path, columns: str = "x,z", rows: int = 10, body: str | None = None) -> None:
    count = columns.count(",") + 1
    lines = (",".join(str(row * 10 + n) for n in range(count)) + "\n" for row in range(rows))
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(f"{columns}\n" + ("".join(lines) if body is None else body))


def second(**how: Any) -> Make:
    return lambda folder: csv(folder / "b.csv", **how)


def hdf5(columns: str = "x,z", rate: float = 20, **attributes: Any) -> Make:
    def make(folder: Path) -> None:
        (folder / "a.csv").unlink()
        said: dict[str, Any] = {"channels": columns, "sampling_rate_hz": rate} | attributes
        for name, given in (("a", {"channels": "x,z", "sampling_rate_hz": 20}), ("b", said)):
            with h5py.File(folder / f"{name}.h5", "w") as file:
                file["signals"] = np.arange(20.0).reshape(10, 2)
                file["signals"].attrs.update(given)

    return make


def link(target: str) -> Make:
    return lambda folder: (folder / "b.csv").symlink_to(target)


def outside(folder: Path) -> None:
    csv(folder.parent / "outside.csv")
    (folder / "b.csv").symlink_to(folder.parent / "outside.csv")


def raw(content: bytes) -> Make:
    return lambda folder: (folder / "b.csv").write_bytes(content)


FOLDERS: dict[str, tuple[Make, Refusal]] = {
    "other columns": (second(columns="x,w"), (SourceContentError, "b.csv", "z", "x, w")),
    "one column less": (second(columns="x"), (SourceContentError, "b.csv", "z")),
    "a dash among numbers": (
        second(body="-,1\n" + "2,3\n" * 9), (SourceContentError, "b.csv, line 2", "x"),
    ),
    "texts for numbers": (
        second(body="a,1\nb,2\n" * 5), (SourceContentError, "b.csv, line 2", "x"),
    ),
    "nothing": (raw(b""), (SourceContentError, "b.csv")),
    "cut UTF-16": (
        raw("x,z\n1,2\n".encode("utf-16")[:-1]), (SourceContentError, "b.csv", "utf-16"),
    ),
    "a damaged table": (
        raw(b"x,z\n1,2\n1\n" + b"1,2\n" * 9), (SourceContentError, "b.csv, line 3"),
    ),
    "an HDF5 file by another name": (
        raw(b"\x89HDF\r\n\x1a\n" + bytes(90)), (SourceContentError, "b.csv"),
    ),
    "a packed file that was cut": (raw(b"\x1f\x8b\x08\0"), (SourceError, "b.csv")),
    "two kinds of files": (
        lambda folder: np.save(folder / "b.npy", np.zeros((9, 2))),
        (SourceError, ".csv", ".npy", "source.files"),
    ),
    "another rate": (hdf5(rate=50), (SourceError, "b.h5", "20", "50", "source.rate_hz")),
    "other channels": (hdf5("x,w"), (SourceError, "b.h5", "x,w", "source.channels")),
    "channels in another order": (hdf5("z,x"), (SourceError, "b.h5", "z,x")),
    "another scale": (hdf5(scale_to_units=[2.0, 2.0]), (SourceError, "b.h5", "source.scale")),
    "another offset": (hdf5(offset_to_units=[1.0, 1.0]), (SourceError, "b.h5", "source.offset")),
    "other units": (hdf5(units="m,m"), (SourceError, "b.h5", "source.units")),
    "a link out": (outside, (SourceError, "b.csv", "source.files")),
    "a link to a file of the system": (link("/etc/passwd"), (SourceError, "b.csv")),
    "a link to what never ends": (link("/dev/zero"), (SourceError, "b.csv")),
    "a link to what is not there": (link("lost.csv"), (SourceError, "b.csv")),
    "a link to itself": (link("b.csv"), (SourceError, "b.csv")),
    "a link to another of them": (link("a.csv"), (SourceError, "b.csv", "a.csv")),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_files_that_do_not_belong_together_are_refused_by_name(name, tmp_path):
    make, (kind, *named) = FOLDERS[name]
    csv(tmp_path / "data/a.csv")
    make(tmp_path / "data")
    options = OPTIONS | ({"rate_hz": None} if "rate" in name else {})
    with refused(kind, *named), open_source(tmp_path / "data", SourceOptions(**options)) as source:
        source.read_windows(0, source.windows)


@pytest.mark.usefixtures("probed_here")
@pytest.mark.parametrize("name", ["other columns", "a link out", "a damaged table"])
def test_the_command_says_so_in_one_line(name, tmp_path, capsys):
    make, case = FOLDERS[name]
    csv(tmp_path / "data/a.csv")
    make(tmp_path / "data")
    assert_command_refused(tmp_path, tmp_path / "data", case, capsys, SETTINGS)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(path))


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a socket": listening,
    "a hidden file": lambda path: path.with_name(".b.csv").write_bytes(b"\0"),
    "a folder": os.mkdir,
    "a way round": lambda path: path.symlink_to("."),
}


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file_is_passed_over_and_never_waited_for(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    csv(tmp_path / "data/a.csv")
    NO_FILES[name](tmp_path / "data/b.csv")
    with open_source(tmp_path / "data", SourceOptions(**OPTIONS)) as source:
        assert source.windows == 4
        assert len(source.fingerprint()) == 32


@pytest.mark.parametrize("name", ["a pipe", "a socket", "a link to what never ends"])
def test_a_source_that_is_no_file_is_refused_and_never_waited_for(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "b.csv"
    (NO_FILES[name](path) if name in NO_FILES else path.symlink_to("/dev/zero"))
    with refused(SourceError, "b.csv"), open_source(path, SourceOptions(**OPTIONS)):
        pass


NAMES = ["b\nc.csv", "b\x1b[2J.csv", os.fsdecode(b"b\xff.csv"), "b\u202ec.csv", " .csv", "b\\c.csv"]


@pytest.mark.parametrize("name", NAMES)
def test_files_of_any_name_are_read(name, tmp_path):
    csv(tmp_path / "data/a.csv")
    csv(tmp_path / "data" / name)
    with open_source(tmp_path / "data", SourceOptions(**OPTIONS)) as source:
        assert source.windows == 8
        assert len(source.fingerprint()) == 32


@pytest.mark.usefixtures("probed_here")
@pytest.mark.parametrize("name", [name for name in NAMES if not name.isprintable()])
def test_a_name_that_commands_is_shown_and_obeyed_by_no_terminal(name, tmp_path, capsys):
    csv(tmp_path / "data" / name, body="1,2\n1\n")
    case = (SourceContentError, "line 3")
    assert_command_refused(tmp_path, tmp_path / "data", case, capsys, SETTINGS)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.isprintable()])
def test_a_name_that_commands_is_no_name_of_a_group(name, tmp_path):
    for each in ("a.csv", "c.csv", name):
        csv(tmp_path / "data" / each)
    options = OPTIONS | {"split_by_window": False, "groups": "who", "files": ["{who}.csv"]}
    with (
        refused(SourceError, "source.groups"),
        open_source(tmp_path / "data", SourceOptions(**options)),
    ):
        pass


@pytest.mark.parametrize("columns", ["z,x", "w,z,x,v"])
def test_columns_are_found_by_their_names_in_every_file(columns, tmp_path):
    csv(tmp_path / "data/a.csv")
    csv(tmp_path / "data/b.csv", columns)
    with open_source(tmp_path / "data", SourceOptions(**OPTIONS)) as source:
        places = [columns.split(",").index(name) for name in source.spec.channels]
        assert source.read_windows(4, 5)[0, 0].tolist() == places


CHANGES: dict[str, Callable[[Path], object]] = {
    "shrinks": lambda path: csv(path, rows=3),
    "vanishes": lambda path: path.unlink(),
    "has another column": lambda path: csv(path, "x,z,w"),
    "is no table": lambda path: path.write_bytes(b"\0\0"),
    "is a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "grows": lambda path: csv(path, rows=30),
    "has other columns": lambda path: path.write_text(path.read_text().replace("x,z", "z,x")),
}
SEEN_BY_STATE = ("grows", "has other columns")
"""Changes of what is not read again: the state of the source tells them."""


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_after_it_was_planned_is_named_or_seen(name, tmp_path):
    for number in range(12):  # More than are open at a time.
        csv(tmp_path / f"data/{number:02}.csv")
    with open_source(tmp_path / "data", SourceOptions(**OPTIONS)) as source:
        state = source.state()
        CHANGES[name](tmp_path / "data/02.csv")
        if name not in SEEN_BY_STATE:
            with pytest.raises(SourceError, match=r"02\.csv"):
                source.read_windows(0, source.windows)
        if name != "vanishes":
            assert source.state() != state
