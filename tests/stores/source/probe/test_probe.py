"""Strangers' files are opened in a child first, within limits; how it ends is said in a line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe import probe
from headrace.stores.source.probe.found import contents_of_json
from headrace.stores.source.probe.looking import chosen
from headrace.stores.source.probe.probe import look_at, look_at_stretches, open_stranger
from tests.refusals import refused
from tests.stores.source_files import write_recordings, write_windows


def ends_by(monkeypatch: pytest.MonkeyPatch, name: str, said: str = "", last: str = "") -> None:
    """Let a child end by a signal, once it has opened the file `last`."""
    real = subprocess.run

    def run(command: list[str], **named: Any) -> Any:
        code = (
            "import os, signal, sys; "
            f"os.pwrite({command[-1]}, {last!r}.encode(), 0); sys.stderr.write({said!r}); "
            f"sys.stderr.flush(); signal.signal(signal.{name}, signal.SIG_DFL) "
            f"if '{name}' != 'SIGKILL' else None; os.kill(os.getpid(), signal.{name})"
        )
        return real([command[0], "-c", code], **named)

    monkeypatch.setattr("headrace.stores.source.probe.child.subprocess.run", run)


@pytest.mark.parametrize(
    ("name", "said", "named"),
    [
        ("SIGSEGV", "", ("two.parquet", "pyarrow", "SIGSEGV")),
        ("SIGABRT", "terminate called after throwing std::bad_alloc", ("memory", "two.parquet")),
        ("SIGKILL", "", ("two.parquet", "SIGKILL", "memory")),
    ],
)
def test_each_end_of_a_child_names_the_file_that_was_open(
    name: str, said: str, named: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("one.parquet", "two.parquet"):
        (tmp_path / each).write_bytes(b"PAR1 and what no footer is PAR1")
    ends_by(monkeypatch, name, said, str(tmp_path / "two.parquet"))
    with refused(SourceError, str(tmp_path), *named):
        open_stranger(tmp_path, SourceOptions())


@pytest.mark.parametrize("name", ["one.h5", "folder", "folder/*.h5"])
def test_what_keeps_a_child_busy_for_ever_is_ended_and_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ("one.h5" if name == "one.h5" else "folder/one.h5")
    file.parent.mkdir(exist_ok=True)
    write_windows(file)
    real = subprocess.run
    code = (
        "import sys; from pathlib import Path; from headrace.stores.source.formats import opening; "
        "from headrace.stores.source.probe import child; child.BUSY_SECONDS = 0.2; "
        "child.BASE_SECONDS = 0.2; "
        f"child.limit(Path({str(tmp_path / name)!r}), int(sys.argv[1])); "
        f"opening.OPENED[0](Path({str(file)!r}))\n"
        "while True: pass"
    )
    monkeypatch.setattr(
        "headrace.stores.source.probe.child.subprocess.run",
        lambda command, **named: real([command[0], "-c", code, command[-1]], **named),
    )
    with refused(SourceError, str(file), "HDF5", "h5repack"):
        open_stranger(tmp_path / name, SourceOptions())


@pytest.mark.parametrize("name", ["*.csv", "files.csv", "one.csv"])
def test_a_child_may_wait_and_each_file_that_it_opens_gives_it_more_time(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "files.csv").write_text("file\none.csv\n")
    (tmp_path / "one.csv").write_text("x\n1\n")
    code = (
        "import signal, sys; from pathlib import Path; "
        "from headrace.stores.source.formats import opening; "
        "from headrace.stores.source.probe import child; "
        "child.BASE_SECONDS, child.BUSY_A_FILE = 100, 1000; "
        "place = Path(sys.argv[1]); child.limit(place); "
        "opening.open_file(place.parent / 'one.csv').close(); "
        "print(signal.getitimer(signal.ITIMER_REAL)[0] == 0, "
        "1000 < signal.getitimer(signal.ITIMER_PROF)[0] < 1200)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / name)]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "True True\n"


def test_the_parent_opens_nothing_before_the_child_lived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_windows(tmp_path / "s.h5")
    monkeypatch.setattr(probe, "open_source", lambda *_: pytest.fail("opened"))
    (tmp_path / "damaged.h5").write_bytes((tmp_path / "s.h5").read_bytes()[:-200])
    for look in (look_at, lambda path: open_stranger(path, SourceOptions())):
        with refused(SourceError, "damaged.h5"):
            look(tmp_path / "damaged.h5")


def test_a_child_may_take_so_much_memory_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("x\n1\n")
    code = (
        "import sys, headrace.stores.source.probe.child as child; "
        "child.LEAST_ROOM, child.SHARE_OF_ROOM = 64 << 20, 0; "
        "from pathlib import Path; child.limit(Path(sys.argv[1])); "
        "import numpy; numpy.ones(1 << 22); "
        "numpy.ones(1 << 28)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s.csv")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MemoryError" in child.stderr


@pytest.mark.usefixtures("probed_here")
def test_a_folder_is_looked_at_by_all_its_names_and_some_of_its_files(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"s{number:02}.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "labels.txt").write_text("1 2 a\n3 4 b\n")
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    found = look_at(tmp_path)
    assert len(found.names) == 62
    opened = {file.name: file for file in found.files}
    assert {"s00.csv", "s59.csv", "labels.txt", "notes.pdf"} <= set(opened)
    assert len(opened) <= 24
    assert opened["notes.pdf"].error
    assert opened["s00.csv"].named("x").values == [1, 3]
    assert contents_of_json(found.as_json()) == found


def test_files_are_opened_of_every_kind_of_name() -> None:
    names = [f"{who}/{what}_{n}.csv" for who in "abc" for what in ("acc", "gyr") for n in range(99)]
    taken = chosen([*names, "README.txt", "a/labels_0.txt"])
    assert {name.partition("_")[0] for name in taken if name in names} == {
        f"{who}/{what}" for who in "abc" for what in ("acc", "gyr")
    }
    assert {"README.txt", "a/labels_0.txt"} <= set(taken)


@pytest.mark.usefixtures("probed_here")
def test_what_attributes_say_is_that_of_the_nearest(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["a/x"] = np.arange(10.0)
        file.attrs["fs"] = 1
        file["a"].attrs["fs"] = 50
        file["a/x"].attrs["unit"] = "g"
    array = look_at(tmp_path / "s.h5").named("a/x")
    assert array.attributes == {"fs": 50, "unit": "g"}
    assert (array.least, array.most, array.rises, array.step, array.even) == (0, 9, True, 1, True)


@pytest.mark.usefixtures("probed_here")
def test_stretches_of_labels_are_counted_by_class(tmp_path: Path) -> None:
    write_recordings(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        rows = len(file["labels"])
        del file["labels"]
        file["labels"] = np.arange(rows) // 10 % 2
        ends = np.append(file["recordings/start"][()], rows)
    found = look_at_stretches(tmp_path / "s.h5", SourceOptions())
    borders = np.unique(np.concatenate([np.arange(0, rows, 10), ends]))
    lengths, label = np.diff(borders), borders[:-1] // 10 % 2
    for number, name in enumerate(("none", "walk")):
        own = lengths[(label == number) & (lengths > 1)]
        assert found.counts[name] == len(own)
        assert found.quartiles[name] == np.percentile(own, [25, 50, 75]).tolist()
    assert json.loads(found.as_json())["rate_hz"] == found.rate_hz
