"""NumPy's files: any slice is the array's, and what is not as it says is refused."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import warnings
import zipfile
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from headrace.stores.errors import SourceError
from headrace.stores.source.formats import npy_bytes, npy_header, numpy_files, zip_members
from headrace.stores.source.formats.numpy_files import open_npy, open_npz
from tests.refusals import refused
from tests.stores.source.formats.object_places import as_objects

VALUES = np.random.default_rng(0).normal(size=(600, 7, 3))
RECORDS = np.zeros(500, dtype=[("t", "<i8"), ("acc", ">f4", (3,)), ("who", "U4"), ("x", "V0")])
RECORDS["t"], RECORDS["who"] = np.arange(500), np.where(np.arange(500) % 2, "né", "b")
RECORDS["acc"] = VALUES[:500, 0]
KINDS = ["<f4", ">f8", "<f2", "<i2", ">u4", "i1", "?", "<M8[ms]"]
WHERE = pytest.mark.parametrize("packed", [None, False, True])


def write(folder, packed, **content):
    """A .npy file of one array, or an .npz file, stored or packed."""
    if packed is None:
        (values,) = content.values()
        np.save(folder / "a.npy", values)
        return open_npy(folder / "a.npy")
    (np.savez_compressed if packed else np.savez)(folder / "a.npz", **content)
    return open_npz(folder / "a.npz")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), packed=st.sampled_from([None, False, True]))
def test_any_slice_is_that_of_the_array(tmp_path, data, packed):
    shape = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)
    values = data.draw(arrays.arrays(data.draw(st.sampled_from(KINDS)), shape))
    order = data.draw(st.sampled_from("CF"))
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(values))] * 2)))
    with closing(write(tmp_path, packed, array=np.asarray(values, order=order))) as file:
        array = file.array("array").ready()
        assert (array.shape, array.dtype) == (values.shape, values.dtype)
        read = array.read(start, stop)
        assert read.tobytes() == values[start:stop].tobytes()
        native = np.zeros(read.shape, dtype=values.dtype.newbyteorder("="))
        array.read_into(native, start)
        assert native.tobytes() == values[start:stop].astype(native.dtype).tobytes()
        assert array.whole().tobytes() == values.tobytes()


@pytest.mark.parametrize("order", "CF")
@WHERE
def test_reads_longer_than_a_run_are_joined(tmp_path, monkeypatch, packed, order):
    monkeypatch.setattr(numpy_files, "RUN_BYTES", 1000)
    values = np.asarray(VALUES, order=order).astype(">f4", order="K")
    with closing(write(tmp_path, packed, array=values)) as file:
        out = np.empty((500, 7, 3), dtype="<f4")
        file.array("array").read_into(out, 60)
        assert np.array_equal(out, values[60:560])
        with pytest.raises(IndexError):
            file.array("array").read_into(out, 101)


@WHERE
def test_fields_of_records_are_arrays_of_their_own(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(numpy_files, "RUN_BYTES", 1000)
    with closing(write(tmp_path, packed, table=RECORDS)) as file:
        node = file if packed is None else file.group("table")
        assert node.array("x") is None
        for name in ("t", "acc"):
            array = node.array(name)
            assert array.shape == RECORDS[name].shape
            assert np.array_equal(array.read(3, 400), RECORDS[name][3:400])
            assert array.row_bytes == RECORDS.itemsize
        assert node.array("who").texts(7, 300).tolist() == RECORDS["who"][7:300].tolist()


def test_nested_fields_are_groups(tmp_path):
    values = np.zeros(4, dtype=[("imu", [("acc", "f4"), ("gyr", "f4", (3,))]), ("t", "i8")])
    values["imu"]["gyr"] = 2
    with closing(write(tmp_path, None, array=values)) as file:
        assert file.group("imu").array("gyr").read(1, 3).tolist() == [[2] * 3] * 2
        assert file.group("t") is None
        assert [file.contents(), file.group("imu").contents()] == [
            "imu/acc (4,) float32, imu/gyr (4, 3) float32, t (4,) int64",
            "acc (4,) float32, gyr (4, 3) float32",
        ]


@WHERE
@pytest.mark.parametrize("kind", ["U", ">U", "S"])
def test_texts_are_read_as_utf8_without_padding(tmp_path, packed, kind):
    names = ["walk", "", "läuft"]
    values = np.array([each.encode() for each in names] if kind == "S" else names)
    if kind == ">U":
        values = values.astype(values.dtype.newbyteorder(">"))
    wide = values.astype(f"{kind}{1 << 15}")
    with closing(write(tmp_path, packed, array=wide)) as file:
        array = file.array("array")
        assert array.texts(0, 3).tolist() == names
        assert array.texts(1, 9).dtype == np.dtype("U5")
        assert np.asarray(array.whole()).tolist() == values.tolist()


def test_texts_that_are_none_are_said_to_be(tmp_path):
    content = {"a": np.array([b"\xff"]), "b": np.zeros(1), "c": np.array([0x110000], "<u4")}
    with closing(write(tmp_path, False, **(content | {"c": content["c"].view("<U1")}))) as file:
        with pytest.raises(UnicodeDecodeError):
            file.array("a").texts(0, 1)
        with pytest.raises(TypeError):
            file.array("b").texts(0, 1)
        for read in (file.array("c").whole, lambda: file.array("c").texts(0, 1)):
            with refused(SourceError, "c"):
                read()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header_is_read(tmp_path, version):
    name = "Größe ʤ" if version == (3, 0) else "Grösse"
    values = np.zeros(3, dtype=[(name, "f4"), ("b", "i4")])
    with (tmp_path / "a.npy").open("wb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(stream, values, version)
    with closing(open_npy(tmp_path / "a.npy")) as file:
        assert file.array(name).read(0, 3).tolist() == [0, 0, 0]


def test_a_header_of_python_2_is_read(tmp_path):
    (tmp_path / "a.npy").write_bytes(descr("'<i4'", "(2L,)") + bytes(8))
    with closing(open_npy(tmp_path / "a.npy")) as file:
        assert file.array("array").read(0, 2).tolist() == [0, 0]


def test_one_value_is_an_array_without_rows(tmp_path):
    with closing(write(tmp_path, None, array=np.array("walk"))) as file:
        assert file.array("array").shape == ()
        assert file.array("array").whole() == "walk"


@pytest.mark.parametrize("order", "CF")
def test_little_is_read_of_a_large_file_and_none_is_held(tmp_path, order):
    shape = (1 << 22, 16)
    np.lib.format.open_memmap(
        tmp_path / "a.npy", "w+", np.float64, shape, fortran_order=order == "F"
    ).flush()
    with closing(open_npy(tmp_path / "a.npy")) as file:
        array = file.array("array")
        tracemalloc.start()
        array.read(1 << 21, (1 << 21) + 10)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 100_000
        assert array.cache_bytes == 0
        spans = list(array.byte_spans(5, 7))
        assert sum(stop - start for start, stop in spans) == 2 * 16 * 8
        assert array.piece_rows == (512 if order == "F" else None)
        with refused(SourceError, "array"):
            array.whole()


def test_what_is_packed_is_decoded_once_and_counted(tmp_path, monkeypatch):
    with closing(write(tmp_path, True, a=VALUES, b=VALUES)) as file:
        array = file.array("a")
        assert array.cache_bytes >= VALUES.nbytes
        assert list(array.byte_spans(0, 2)) == []
        array.read(0, 3)
        opened = []
        monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: opened.append(1))
        assert np.array_equal(array.read(100, 200), VALUES[100:200])
        assert not opened


def test_more_than_may_be_decoded_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npy_bytes, "MOST_UNPACKED", VALUES.nbytes + 1000)
    with closing(write(tmp_path, True, a=VALUES, b=VALUES, c=np.tile(VALUES, (2, 1, 1)))) as file:
        assert file.array("a").read(0, 1).any()
        with refused(SourceError, "c.npy"):
            file.array("c")
        with refused(SourceError, "b.npy"):
            file.array("b").read(0, 1)
        assert "c" not in file.contents()


def test_names_with_slashes_are_groups(tmp_path):
    content = {"recordings/start": np.arange(3), "recordings/length": np.ones(3), "X": VALUES}
    with closing(write(tmp_path, False, **content)) as file:
        group = file.group("recordings")
        assert group.array("start").read(0, 3).tolist() == [0, 1, 2]
        assert group.contents() == "start (3,) int64, length (3,) float64"
        assert (file.group("X"), file.group("rec"), file.array("recordings")) == (None, None, None)
        assert (file.name, group.name, group.array("start").name) == (
            "/", "/recordings", "/recordings/start",
        )  # fmt: skip
        assert file.array("X").attribute("units") is None


def test_an_object_is_read_as_a_file_is(tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    for packed in (None, False, True):
        write(tmp_path / "files", packed, array=VALUES).close()
        if packed is False:
            (tmp_path / "files/a.npz").rename(tmp_path / "files/stored.npz")
    np.save(tmp_path / "files/f.npy", np.asfortranarray(VALUES))
    with as_objects(tmp_path / "files", monkeypatch) as place:
        for name in ("a.npy", "f.npy", "stored.npz", "a.npz"):
            opener = open_npz if name.endswith("npz") else open_npy
            with closing(opener(place / name)) as file:
                array = file.array("array")
                assert file.fetched_bytes > 0
                assert file.fetch(set(array.byte_spans(100, 200)))
                assert np.array_equal(array.read(100, 200), VALUES[100:200])
                assert np.array_equal(array.read(0, 600), VALUES)


def header(text, version=b"\1\0", length=None):
    text = text.encode("latin1")
    size = len(text) if length is None else length
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", size) + text


def descr(descr="'<f8'", shape="(3,)"):
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


HOSTILE = {
    "objects": descr("'|O'") + pickle.dumps([1, 2, 3]),
    "objects within": descr("[('a', [('b', '|O')])]") + bytes(24),
    "pickle": pickle.dumps(np.zeros(3)),
    "empty": b"",
    "text": b"1,2,3\n",
    "cut header": descr()[:40],
    "cut values": descr() + bytes(23),
    "two arrays": descr() + bytes(24) + descr() + bytes(24),
    "header of 1 GB": header("{", b"\2\0", 1 << 30),
    "version": header("{}", b"\x09\0"),
    "no dict": header("[1, 2]"),
    "nested": header("(" * 5_000),
    "minus": header("-" * 60_000 + "1"),
    "call": header("__import__('os').getcwd()"),
    "other keys": header("{'descr': '<f8', 'shape': (3,)}") + bytes(24),
    "negative": descr(shape="(-3, -1)") + bytes(24),
    "enormous": descr(shape="(10**15,)") + bytes(24),
    "large": descr(shape="(1000000000000000, 100000000000)") + bytes(24),
    "digits": descr(shape=f"({'9' * 4000}, {'9' * 4000})") + bytes(24),
    "truth": descr(shape="(True, 3)") + bytes(24),
    "fractions": descr(shape="(3.0,)") + bytes(24),
    "dimensions": descr(shape=repr((1,) * 300)) + bytes(8),
    "no bytes": descr("'|S0'", "(1000000000000000,)"),
    "no type": descr("'quaternion'") + bytes(24),
    "table of tables": descr("[('a', '<f8')]", "(3, 1)") + bytes(24),
    "no table": descr("[('a', '<f8')]", "()") + bytes(8),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_is_not_as_it_says_is_refused(tmp_path, case):
    path = tmp_path / "a.npy"
    path.write_bytes(HOSTILE[case])
    with refused(SourceError, str(path)) as caught:
        open_npy(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", HOSTILE[case])
        archive.writestr("b.npy", saved(VALUES))
    with closing(open_npz(tmp_path / "a.npz")) as file:
        assert file.contents() == "b (600, 7, 3) float64"
        with refused(SourceError, "a"):
            file.array("a")


def test_a_file_that_is_cut_off_while_it_is_read_is_an_error(tmp_path):
    with closing(write(tmp_path, None, array=VALUES)) as file:
        with (tmp_path / "a.npy").open("r+b") as stream:
            stream.truncate(1000)
        assert file.array("array").read(0, 2).any()
        with refused(SourceError, str(tmp_path / "a.npy")):
            file.array("array").read(100, 200)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path):
    for opener in (open_npy, open_npz):
        for path in (tmp_path, tmp_path / "none.npz"):
            with refused(SourceError, str(path)):
                opener(path)


def saved(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def zipped(path, *names, how=zipfile.ZIP_STORED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", how) as archive:
        warnings.simplefilter("ignore")
        for name in names:
            archive.writestr(name, saved(np.zeros(1000)))
    return path


@pytest.mark.parametrize("names", [["../a.npy"], ["/a.npy"], ["..\\a.npy"], ["a.npy", "a.npy"]])
def test_names_that_lead_out_or_are_there_twice_are_refused(tmp_path, names):
    with refused(SourceError, str(tmp_path / "a.npz")):
        open_npz(zipped(tmp_path / "a.npz", *names))


def test_many_members_are_refused_before_they_are_listed(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.npz", *(f"{number}.npy" for number in range(30)))
    for most, entry in ((29, 300), (30, 5)):
        monkeypatch.setattr(numpy_files, "MOST_MEMBERS", most)
        monkeypatch.setattr(zip_members, "DIRECTORY_ENTRY", entry)
        with refused(SourceError, str(path)):
            open_npz(path)


def test_members_that_are_no_npy_are_not_listed(tmp_path):
    with closing(open_npz(zipped(tmp_path / "a.npz", "x.npy", "y.txt", "z/"))) as file:
        assert file.contents() == "x (1000,) float64"
        assert file.array("y") is None


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused_by_name(tmp_path, how):
    path, name = zipped(tmp_path / "a.npz", "x.npy", how=how), zipfile.compressor_names[how]
    with closing(open_npz(path)) as file, refused(SourceError, "x.npy", name):
        file.array("x")


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", "x.npy")
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        content[content.index(mark) + flags] |= 1
    path.write_bytes(content)
    with closing(open_npz(path)) as file, refused(SourceError, "x.npy"):
        file.array("x")


def falsified(path, field, *numbers):
    """Change what the list of members says of the first one, from byte `field` of it on."""
    content = bytearray(path.read_bytes())
    struct.pack_into(f"<{len(numbers)}I", content, content.index(b"PK\1\2") + field, *numbers)
    path.write_bytes(content)


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("rows", [100_000, 1 << 28])
def test_a_member_that_claims_what_it_cannot_hold_is_refused(tmp_path, how, rows):
    head = descr(shape=f"({rows},)")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", how) as archive:
        archive.writestr("x.npy", head + bytes(800))
    claimed = len(head) + 8 * rows
    falsified(tmp_path / "a.npz", 20, claimed if how == zipfile.ZIP_STORED else 90, claimed)
    with closing(open_npz(tmp_path / "a.npz")) as file, refused(SourceError, "x"):
        file.array("x")


def test_a_packed_member_of_another_checksum_is_an_error(tmp_path):
    path = zipped(tmp_path / "a.npz", "x.npy", how=zipfile.ZIP_DEFLATED)
    falsified(path, 16, 1234)
    with closing(open_npz(path)) as file, refused(SourceError, "x"):
        file.array("x").read(0, 10)


def test_a_header_is_read_up_to_a_length(tmp_path, monkeypatch):
    monkeypatch.setattr(npy_header, "MOST_HEADER", 100)
    with refused(SourceError, str(tmp_path / "a.npy")):
        write(tmp_path, None, array=VALUES)


def test_a_damaged_packed_member_is_an_error(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=VALUES)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with closing(open_npz(path)) as file, refused(SourceError, "x"):
        file.array("x").read(0, 10)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_off_or_random_zip_file_is_refused(tmp_path, share):
    path = tmp_path / "a.npz"
    np.savez(path, x=VALUES)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with refused(SourceError, str(path)):
        open_npz(path)
