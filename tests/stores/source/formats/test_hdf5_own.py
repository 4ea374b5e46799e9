"""Virtual datasets whose parts stand beside them, and filters that HDF5 does not have."""

import shutil
import sys
from contextlib import closing
from types import ModuleType

import h5py
import numpy as np
import pytest

from headrace.stores.errors import SourceError
from headrace.stores.source.formats.hdf5 import open_hdf5
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.stores.source_files import C, N, T, write_windows

HALF = N // 2


@pytest.fixture
def virtual(tmp_path):
    """A file of windows whose signals are in two others, below its folder."""
    path = tmp_path / "all.h5"
    content = write_windows(path)
    (tmp_path / "parts").mkdir()
    layout = h5py.VirtualLayout((N, T, C), "f4")
    for number in range(2):
        rows = slice(number * HALF, (number + 1) * HALF)
        name = f"parts/{number}.h5"
        with h5py.File(tmp_path / name, "w") as part:
            part.create_dataset("X", data=content["X"][rows], chunks=(5, T, C))
        layout[rows] = h5py.VirtualSource(name, "X", (HALF, T, C))
    write_virtual(path, layout)
    return path, content["X"]


def write_virtual(path, layout):
    with h5py.File(path, "a") as file:
        file.pop("X", None)
        file.create_virtual_dataset("X", layout, fillvalue=7)


def one_part(name, dataset="X", shape=(N, T, C)):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(name, dataset, shape)
    return layout


def refused(path):
    with closing(open_hdf5(path)) as file, pytest.raises(SourceError) as error:
        file.array("X")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_virtual_dataset_with_all_of_its_parts_is_read(virtual, monkeypatch, tmp_path):
    path, expected = virtual
    # Neither of these is a part: HDF5 looks beside the file first.
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(path.parent / "parts", elsewhere / "parts")
    for part in (elsewhere / "parts").iterdir():
        with h5py.File(part, "r+") as file:
            file["X"][...] = 0
    monkeypatch.chdir(elsewhere)
    with closing(open_hdf5(path)) as file:
        array = file.array("X")
        assert array.files == (tmp_path / "parts/0.h5", tmp_path / "parts/1.h5")
        assert array.decode_bytes >= 2 * 5 * T * C * 4
        np.testing.assert_array_equal(array.ready().read(0, N), expected)
    with open_source(path, SourceOptions()) as source:
        np.testing.assert_array_equal(source.read_windows(0, N), expected)


def test_the_fingerprint_covers_the_sizes_of_parts(virtual):
    path, _ = virtual
    with open_source(path, SourceOptions()) as source:
        before = source.fingerprint()
    with (path.parent / "parts/1.h5").open("ab") as part:
        part.write(b"\0")
    with open_source(path, SourceOptions()) as source:
        assert source.fingerprint() != before


@pytest.mark.parametrize("damage", ["lost", "not HDF5", "without the dataset", "shorter", "a link"])
def test_a_part_that_is_not_all_there_is_refused_by_name(virtual, tmp_path_factory, damage):
    path, _ = virtual
    part = path.parent / "parts/1.h5"
    if damage == "lost":
        part.unlink()
    elif damage == "not HDF5":
        part.write_bytes(b"something else")
    elif damage == "a link":
        part.symlink_to(shutil.move(part, tmp_path_factory.mktemp("away") / "1.h5"))
    else:
        with h5py.File(part, "r+") as file:
            del file["X"]
            if damage == "shorter":
                file["X"] = np.zeros((HALF - 1, T, C), "f4")
    assert "1.h5" in refused(path)


def test_rows_of_a_part_that_are_not_there_are_refused(virtual):
    path, _ = virtual
    layout = h5py.VirtualLayout((9, T, C), "f4")
    layout[:] = h5py.VirtualSource("parts/0.h5", "X", (HALF + 4, T, C))[HALF - 5 :]
    write_virtual(path, layout)
    assert "0.h5" in refused(path)


@pytest.mark.parametrize("name", ["../other.h5", "parts/../../other.h5", "/etc/passwd"])
def test_a_part_outside_of_the_folder_is_refused(virtual, name):
    path, _ = virtual
    write_virtual(path, one_part(name))
    assert name in refused(path)


def test_a_part_by_its_whole_path_is_read_where_it_is_inside(virtual, tmp_path):
    path, expected = virtual
    with h5py.File(tmp_path / "whole.h5", "w") as part:
        part["X"] = expected
    write_virtual(path, one_part(tmp_path / "whole.h5"))
    with closing(open_hdf5(path)) as file:
        np.testing.assert_array_equal(file.array("X").read(0, N), expected)


@pytest.mark.parametrize("kind", ["virtual", "external", "link"])
def test_a_part_that_takes_its_values_from_elsewhere_is_refused(virtual, tmp_path, kind):
    path, _ = virtual
    with h5py.File(tmp_path / "between.h5", "w") as part:
        if kind == "virtual":
            part.create_virtual_dataset("X", one_part("parts/0.h5"))
        elif kind == "external":
            part.create_dataset("X", (N, T, C), "f4", external=[("/etc/passwd", 0, 4 * N * T * C)])
        else:
            with h5py.File(tmp_path / "third.h5", "w") as third:
                third["X"] = np.zeros((N, T, C), "f4")
            part["X"] = h5py.ExternalLink("third.h5", "X")
    write_virtual(path, one_part("between.h5"))
    assert "between.h5" in refused(path)


def test_rows_that_no_part_gives_are_refused(virtual):
    path, _ = virtual
    layout = h5py.VirtualLayout((N, T, C), "f4")
    layout[:HALF] = h5py.VirtualSource("parts/0.h5", "X", (HALF, T, C))
    write_virtual(path, layout)
    assert f"{HALF * T * C:,}" in refused(path)


def test_a_mapping_without_end_is_refused(virtual):
    path, _ = virtual
    endless = slice(0, h5py.h5s.UNLIMITED)
    layout = h5py.VirtualLayout((N, T, C), "f4", maxshape=(None, T, C))
    source = h5py.VirtualSource("parts/0.h5", "X", (HALF, T, C), maxshape=(None, T, C))
    layout[endless] = source[endless]
    write_virtual(path, layout)
    refused(path)


def test_a_prefix_that_hdf5_would_take_parts_from_is_refused(virtual, monkeypatch):
    path, _ = virtual
    monkeypatch.setenv("HDF5_VDS_PREFIX", "/somewhere")
    assert "HDF5_VDS_PREFIX" in refused(path)


def test_a_chunk_of_a_part_has_the_bound_of_any_other(virtual, tmp_path):
    path, _ = virtual
    shape = (N, 2**21, 4)
    with h5py.File(tmp_path / "large.h5", "w") as part:
        part.create_dataset("X", shape, "f4", chunks=shape)
    write_virtual(path, one_part("large.h5", shape=shape))
    assert "large.h5" in refused(path)


BLOSC = 32001


def write_blosc(path):
    """A dataset that says it is packed with Blosc; its chunk cannot be unpacked without."""
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4,))
        properties.set_filter(h5py.h5z.FILTER_SHUFFLE, 0)
        made = h5py.h5d.create(
            file.id, b"X", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((4,)), properties
        )
        made.write_direct_chunk((0,), bytes(32))
    content = path.read_bytes()
    at = content.index(b"shuffle\x00")
    path.write_bytes(content[: at - 8] + BLOSC.to_bytes(2, "little") + content[at - 6 :])


def test_a_filter_that_is_not_there_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    write_blosc(tmp_path / "packed.h5")
    with closing(open_hdf5(tmp_path / "packed.h5")) as file:
        array = file.array("X")
        for read in (lambda: array.read(0, 4), array.whole):
            with pytest.raises(SourceError) as error:
                read()
            assert f"Blosc ({BLOSC})" in str(error.value)
            assert "hdf5plugin" in str(error.value)


def test_plugins_are_imported_where_a_filter_is_missing_and_only_there(tmp_path, monkeypatch):
    imported = []
    plugin = ModuleType("hdf5plugin")
    monkeypatch.setattr(
        "headrace.stores.source.formats.hdf5_filters.import_module",
        lambda name: imported.append(name) or plugin,
    )
    write_windows(tmp_path / "plain.h5")
    write_blosc(tmp_path / "packed.h5")
    with closing(open_hdf5(tmp_path / "plain.h5")) as file:
        file.array("X")
    assert imported == []
    with closing(open_hdf5(tmp_path / "packed.h5")) as file:
        file.array("X")
    assert imported == ["hdf5plugin"]
