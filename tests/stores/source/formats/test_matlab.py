"""MATLAB files of the versions 4 to 7, written by SciPy, and files that lie."""

import struct
import tracemalloc
import zlib
from contextlib import closing, suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.sparse import csc_array

from headrace.stores.errors import SourceError
from headrace.stores.source.formats import matlab_bytes
from headrace.stores.source.formats.matlab import open_matlab
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source
from tests.stores.source_files import write_windows

TABLE = np.arange(21.0).reshape(7, 3)
CONTENT = {
    "x": TABLE,
    "counts": np.arange(12, dtype="i2").reshape(3, 4),
    "cube": np.arange(24, dtype="f4").reshape(2, 3, 4),
    "truth": np.array([[True], [False]]),
    "word": "walk \N{SNOWMAN}",
    "words": np.array(["walk", "run", "ski"]),
    "labels": np.array(["walk", "", "sn\N{SNOWMAN}w"], dtype=object).reshape(3, 1),
    "trials": np.array([np.full((n + 1, 2), n, "f4") for n in range(12)], dtype=object),
    "s": {"inner": {"x": TABLE}, "name": "ann", "fs": 50.0},
    "people": np.array([("ann", TABLE), ("bob", 2 * TABLE)], [("name", "O"), ("x", "O")]),
    "nothing": np.zeros((0, 0)),
}


@pytest.fixture
def opened(tmp_path):
    """Opens the file of the test, once it is written."""
    files = []

    def open_it(path=tmp_path / "file.mat"):
        files.append(open_matlab(path))
        return files[-1]

    yield open_it
    for file in files:
        file.close()


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_texts_cells_and_structs_by_name(tmp_path, opened, packed):
    savemat(tmp_path / "file.mat", CONTENT, do_compression=packed)
    file = opened()
    for name in ("x", "counts", "cube", "truth"):
        array = file.array(name)
        assert (array.shape, array.dtype) == (CONTENT[name].shape, CONTENT[name].dtype)
        np.testing.assert_array_equal(array.ready().read(1, 9), CONTENT[name][1:9])
        np.testing.assert_array_equal(array.whole(), CONTENT[name])
    assert file.array("word").texts(0, 1).tolist() == ["walk \N{SNOWMAN}"]
    assert file.array("words").texts(1, 9).tolist() == ["run", "ski"]
    labels = file.array("labels")
    assert (labels.shape, labels.dtype.kind) == ((3,), "O")
    assert labels.texts(0, 3).tolist() == ["walk", "", "sn\N{SNOWMAN}w"]
    trials = file.group("trials")
    assert file.array("trials") is None
    assert [trials.array(str(n)).read(0, 99).tolist() for n in range(12)] == [
        np.full((n + 1, 2), n).tolist() for n in range(12)
    ]
    assert [trials.array("12"), trials.array("x"), trials.group("0")] == [None] * 3
    for name in ("s/inner/x", "s.inner.x", "/s/inner.x"):
        assert file.array(name).name == "/s/inner/x"
    np.testing.assert_array_equal(file.group("s.inner").array("x").read(0, 7), TABLE)
    assert file.array("s.name").texts(0, 1).tolist() == ["ann"]
    np.testing.assert_array_equal(file.array("people/1/x").read(0, 7), 2 * TABLE)
    assert file.group("people").group("0").array("name").texts(0, 1).tolist() == ["ann"]
    assert file.array("nothing").shape == (0, 0)
    assert [file.array("lost"), file.array("s/lost"), file.group("x")] == [None] * 3
    assert "x (7, 3) float64" in file.contents()
    assert "inner/x (7, 3) float64" in file.group("s").contents()
    with pytest.raises(TypeError):
        file.array("x").texts(0, 1)


def test_numbers_are_of_the_class_that_matlab_shows(tmp_path, opened):
    """MATLAB stores doubles that are whole in as few bytes as they need."""
    (tmp_path / "file.mat").write_bytes(file_of(matrix(6, (2, 2), element(2, bytes([1, 2, 3, 4])))))
    array = opened().array("x")
    assert array.dtype == np.float64
    assert array.read(0, 2).tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("order", "<>")
def test_version_4_is_read_in_both_orders_of_bytes(tmp_path, opened, order):
    code = 0 if order == "<" else 1000
    content = b""
    for name, stored, values in (("x", 0, TABLE), ("i", 3, TABLE.astype("i2"))):
        head = struct.pack(f"{order}5i", code + 10 * stored, 7, 3, 0, 2)
        values = values.T.astype(values.dtype.newbyteorder(order))
        content += head + name.encode() + b"\0" + values.tobytes()
    content += struct.pack(f"{order}5i", code + 51, 2, 2, 0, 2) + b"t\0" + b"acbd"
    (tmp_path / "file.mat").write_bytes(content)
    for name in "xi":
        array = opened().array(name)
        assert (array.shape, array.dtype) == ((7, 3), np.float64)
        np.testing.assert_array_equal(array.read(2, 5), TABLE[2:5])
    assert opened().array("t").texts(0, 2).tolist() == ["ab", "cd"]


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 4)),
    start=st.integers(0, 30),
    length=st.integers(0, 30),
    packed=st.booleans(),
    kind=st.sampled_from(["f8", "f4", "i2", "u1", "i8", "?"]),
)
def test_any_rows_are_those_that_were_saved(tmp_path_factory, shape, start, length, packed, kind):
    values = np.arange(shape[0] * shape[1]).reshape(shape).astype(kind)
    path = tmp_path_factory.mktemp("rows") / "file.mat"
    savemat(path, {"x": values}, do_compression=packed)
    with closing(open_matlab(path)) as file:
        array = file.array("x").ready()
        expected = values[start : start + length]
        np.testing.assert_array_equal(array.read(start, start + length), expected)
        out = np.empty(expected.shape, array.dtype)
        array.read_into(out, start)
        np.testing.assert_array_equal(out, expected)


def test_windows_are_read_as_a_source(tmp_path, opened):
    content = write_windows(tmp_path / "plain.h5")
    savemat(tmp_path / "file.mat", {"imu": content["X"]}, do_compression=True)
    options = SourceOptions(windows="imu", labels="", rate_hz=20.0, split_by_window=True)
    source = Source(tmp_path / "file.mat", opened(), options)
    np.testing.assert_array_equal(source.read_windows(0, source.windows), content["X"])
    assert len(source.fingerprint()) == 32
    assert source.bytes_read([(0, 5), (5, 9)]) == content["X"].nbytes


@pytest.mark.parametrize("packed", [False, True])
def test_an_array_is_loaded_once_and_holds_what_it_says(tmp_path, opened, packed):
    values = np.random.default_rng(0).normal(size=(40_000, 16))
    savemat(tmp_path / "file.mat", {"other": values, "x": values}, do_compression=packed)
    file = opened()
    file.array("x")
    import scipy.io  # noqa: F401 - what it holds is not of the array

    tracemalloc.start()
    array = file.array("x").ready()
    assert tracemalloc.get_traced_memory()[0] < 1 << 20
    array.read(0, 1)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert array.cache_bytes == values.nbytes
    assert held < array.cache_bytes + (1 << 20)
    assert peak < array.cache_bytes + array.decode_bytes
    (tmp_path / "file.mat").write_bytes(b"")
    np.testing.assert_array_equal(array.read(7, 9), values[7:9])


@pytest.mark.parametrize(
    ("values", "what"),
    [(csc_array(TABLE), "sparse"), (TABLE + 1j, "complex")],
)
@pytest.mark.parametrize("version", ["4", "5"])
def test_what_is_no_full_matrix_of_real_numbers_is_refused_by_name(
    tmp_path, opened, values, what, version
):
    savemat(tmp_path / "file.mat", {"x": values, "y": TABLE}, format=version)
    with pytest.raises(SourceError) as error:
        opened().array("x")
    assert "/x" in str(error.value)
    assert what in str(error.value)
    assert opened().array("y").shape == (7, 3)
    assert "y (7, 3) float64" in opened().contents()


@pytest.mark.parametrize(("kind", "what"), [(3, "object"), (16, "function"), (17, "opaque")])
def test_objects_and_functions_are_refused_by_name(tmp_path, opened, kind, what):
    head = flags(kind) + (b"" if kind == 17 else sizes((1, 1))) + element(1, b"x")
    (tmp_path / "file.mat").write_bytes(file_of(element(14, head + element(1, b"MCOS"))))
    with pytest.raises(SourceError, match=what):
        opened().array("x")
    opened().contents()


def element(kind, content):
    return struct.pack("<2I", kind, len(content)) + content + bytes(-len(content) % 8)


def flags(kind):
    return element(6, struct.pack("<2I", kind, 0))


def sizes(shape):
    return element(5, struct.pack(f"<{len(shape)}i", *shape))


def matrix(kind, shape, content, name=b"x"):
    return element(14, flags(kind) + sizes(shape) + element(1, name) + content)


def file_of(*variables, end=b"IM"):
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01" + end + b"".join(variables)


def packed(content):
    content = zlib.compress(content)
    return struct.pack("<2I", 15, len(content)) + content


def nested(depth):
    content = matrix(6, (1, 1), element(9, bytes(8)), b"")
    for _ in range(depth):
        content = matrix(1, (1, 1), content, b"")
    return matrix(1, (1, 1), content)


DOUBLE = element(9, bytes(32))
LIES = {
    "empty texts without end": file_of(matrix(4, (1 << 29, 0), element(4, b""))),
    "nothing": b"",
    "text": b"column,other\n" * 50,
    "version 7.3": file_of()[:124] + b"\x00\x02IM" + bytes(512),
    "too long a variable": file_of(struct.pack("<2I", 14, 1 << 31), bytes(64)),
    "a variable of no bytes": file_of(bytes(64)),
    "more values than there are": file_of(matrix(6, (2, 1 << 30), DOUBLE)),
    "fewer values": file_of(matrix(6, (1, 1), DOUBLE)),
    "a negative length": file_of(matrix(6, (-2, -2), DOUBLE)),
    "no axes": file_of(matrix(6, (), DOUBLE)),
    "forty axes": file_of(matrix(6, (1,) * 40, DOUBLE)),
    "values of no type": file_of(matrix(6, (2, 2), element(8, bytes(32)))),
    "a longer element than its matrix": file_of(matrix(6, (2, 2), struct.pack("<2I", 9, 99))),
    "cells without members": file_of(matrix(1, (1 << 30, 1), b"")),
    "cells without end": file_of(matrix(1, (1 << 16, 1 << 16), bytes(64))),
    "a short element that is long": file_of(
        matrix(6, (1, 1), struct.pack("<2I", 9 + (5 << 16), 0))
    ),
    "a struct without names": file_of(matrix(2, (1, 1), DOUBLE)),
    "bytes that are not packed": file_of(struct.pack("<2I", 15, 64), bytes(64)),
    "a bomb": file_of(packed(struct.pack("<2I", 14, 0xFFFFFFF0) + bytes(1 << 20))),
    "version 4 backwards": struct.pack("<5i", 0, -1, 22, 0, 2) + b"x\0" + bytes(200),
    "version 4 beyond its end": struct.pack("<5i", 0, 1 << 30, 1 << 30, 0, 2) + b"x\0" + bytes(64),
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
def test_a_file_that_lies_is_refused_and_takes_no_memory(tmp_path, content):
    path = tmp_path / "file.mat"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(SourceError) as error, closing(open_matlab(path)) as file:
        file.array("x").read(0, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(error.value)
    assert "file.mat" in str(error.value)
    assert peak < 4 << 20


@pytest.mark.parametrize("name", ["missing.mat", ""])
def test_no_file_is_refused(tmp_path, name):
    with pytest.raises(SourceError):
        open_matlab(tmp_path / name)


def test_cells_that_nest_deeply_are_followed_as_far_as_they_are_named(tmp_path, opened):
    (tmp_path / "file.mat").write_bytes(file_of(packed(nested(3000))))
    file = opened()
    assert file.array("x") is None
    assert file.array("x" + "/0" * 3001).shape == (1, 1)
    assert file.contents() == "no dataset"


def test_an_array_that_takes_more_than_it_may_is_refused_before_it_is_read(tmp_path):
    """Doubles that are stored as bytes: half a GiB that is said to be there takes four."""
    values = (1 << 29) + 8
    content = flags(6) + sizes((1, values)) + element(1, b"x") + struct.pack("<2I", 2, values)
    content = struct.pack("<2I", 14, len(content) + values) + content
    content += np.random.default_rng(0).bytes(2_000_000)
    (tmp_path / "file.mat").write_bytes(file_of(packed(content)))
    with pytest.raises(SourceError, match="4,294,967,360"):
        open_matlab(tmp_path / "file.mat")


@pytest.mark.parametrize("with_its_checksum", [True, False])
def test_a_packed_variable_that_is_not_what_was_saved_is_refused(
    tmp_path, opened, monkeypatch, with_its_checksum
):
    savemat(tmp_path / "file.mat", {"x": TABLE}, do_compression=True)
    content = bytearray((tmp_path / "file.mat").read_bytes())
    packed_bytes = len(content) - 136
    monkeypatch.setattr(matlab_bytes, "READ_BYTES", packed_bytes - (0 if with_its_checksum else 4))
    content[-1] ^= 1
    (tmp_path / "file.mat").write_bytes(content)
    with pytest.raises(SourceError, match="MATLAB"):
        opened().array("x").read(0, 1)


def read_all(path):
    """Read whatever the file says that it has; only a `SourceError` may be raised."""
    with suppress(SourceError), closing(open_matlab(path)) as file:
        file.contents()
        for name in (*CONTENT, "s/inner/x", "s/name", "people/1/x", "trials/3"):
            with suppress(SourceError):
                array = file.array(name)
                if array is not None:
                    array.texts(0, 9) if array.dtype.kind == "O" else array.read(0, 9)


@settings(max_examples=60, deadline=None)
@given(
    stop=st.integers(0, 5000),
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4),
    packed=st.booleans(),
)
def test_a_file_that_is_cut_or_changed_is_read_or_refused(
    tmp_path_factory, saved, stop, changes, packed
):
    content = bytearray(saved[packed])
    for place, value in changes:
        content[place % len(content)] = value
    path = tmp_path_factory.mktemp("cut") / "file.mat"
    path.write_bytes(content[: stop if stop < len(content) else None])
    read_all(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file as it is and packed."""
    path = tmp_path_factory.mktemp("saved") / "file.mat"
    found = []
    for pack in (False, True):
        savemat(path, CONTENT, do_compression=pack)
        found.append(path.read_bytes())
    return found
