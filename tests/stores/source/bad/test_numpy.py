"""NumPy's files that are wrong or hostile."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile

import numpy as np
import pytest

from headrace.stores.errors import SourceError
from headrace.stores.source.formats import packed
from tests.stores.source.bad.cases import assert_file_refused, read
from tests.stores.source.bad.memory import assert_bounded


def npy(values) -> bytes:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=True)
    return content.getvalue()


def headed(descr: str, shape: str, values: bytes = b"", fortran="False", version=(1, 0)) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + values


class Unpickled:
    """Raises where it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


FLAT = npy(np.arange(3.0))
REFUSED_NPY: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "an object that runs code": (npy(np.array([Unpickled()])), ("values.astype(str)",)),
    "a field of objects": (npy(np.array([(1, {})], [("a", "i4"), ("b", "O")])), ()),
    "a header that calls": (headed("__import__('os').abort()", "(3,)", bytes(24)), ()),
    "a header that computes": (headed("'<f8'", "(10**9,)", bytes(24)), ()),
    "a header with a comprehension": (headed("'<f8'", "tuple(range(3))", bytes(24)), ()),
    "a deep header": (headed("'<f8'", "(" * 3000 + ")" * 3000), ()),
    "a deep type": (headed("[('a'," * 2000 + "'<f8'" + ")]" * 2000, "(3,)", bytes(24)), ()),
    "an expression without end": (headed("'<f8'", "(3,)" + "+1" * 50_000, version=(2, 0)), ()),
    "a negative length": (headed("'<f8'", "(-3,)", bytes(24)), ("-3",)),
    "a length that is true": (headed("'<f8'", "(True,)", bytes(8)), ("True",)),
    "a length with a point": (headed("'<f8'", "(3.0,)", bytes(24)), ()),
    "a length in words": (headed("'<f8'", "('3',)", bytes(24)), ()),
    "more than there is": (headed("'<f8'", "(4,)", bytes(24)), ("cut off",)),
    "less than there is": (headed("'<f8'", "(2,)", bytes(24)), ("more was written",)),
    "more than a computer has": (headed("'<f8'", "(1152921504606846976, 8)"), ()),
    "a product that overflows to 0": (headed("'<f8'", "(4294967296, 4294967296)"), ("4294967296",)),
    "none of rows too long": (headed("'<f8'", "(0, 9223372036854775807)"), ()),
    "33 axes": (headed("'<f8'", f"({'1, ' * 33})", bytes(8)), ()),
    "texts of no letters": (headed("'<U0'", "(9223372036854775807,)"), ()),
    "two arrays": (FLAT + FLAT, ("one array a file",)),
    "half a header": (FLAT[:40], ("within its header",)),
    "a signature": (FLAT[:6], ()),
    "a version to come": (FLAT[:6] + b"\4\0" + FLAT[8:], ("4.0",)),
    "a header of 4 GB": (b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(99), ("4,294,967,295",)),
    "one key more": (FLAT.replace(b"'fortran_order': False,", b"'x':1,'fortran_order':0,"), ()),
    "a record within a record of records": (
        headed("[('a','<f8')]", "(2, 2)", bytes(32)), ("numpy.savez",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_NPY)
def test_a_npy_file_that_lies_or_would_run_code_is_refused(name, tmp_path):
    content, named = REFUSED_NPY[name]
    (tmp_path / "a.npy").write_bytes(content)
    with assert_bounded(32 << 20):
        assert_file_refused(tmp_path / "a.npy", "array", SourceError, *named)


AS_SAVED = {
    "the other order of bytes": np.arange(-3, 3, dtype=">i2"),
    "the other order of bytes of floats": np.array([1.5, -(2.0**40)], ">f8"),
    "int64 above 2**53": np.array([2**53 + 1, -(2**63), 2**63 - 1]),
    "uint64 above 2**63": np.array([2**64 - 1, 0], np.uint64),
    "columns first": np.asfortranarray(np.arange(24.0).reshape(4, 3, 2)),
    "columns first and the other order of bytes": np.asfortranarray(
        np.arange(6, dtype=">i4").reshape(3, 2)
    ),
    "half precision": np.array([65504, -0.0, np.inf], "f2"),
    "truth": np.array([True, False]),
    "no rows": np.zeros((0, 3)),
    "letters beyond ASCII": np.array(["\u20ac", "", "a\U0001f600"]),
}


@pytest.mark.parametrize("name", AS_SAVED)
@pytest.mark.parametrize("packed_as", ["npy", "npz", "packed npz"])
def test_values_are_those_that_were_saved(name, packed_as, tmp_path):
    values = AS_SAVED[name]
    path = tmp_path / f"a.{packed_as[-3:]}"
    with open(path, "wb") as file:
        if packed_as == "npy":
            np.save(file, values)
        else:
            (np.savez if packed_as == "npz" else np.savez_compressed)(file, array=values)
    assert list(map(repr, read(path, "array"))) == list(map(repr, values.tolist()))


def zipped(*members, pack=zipfile.ZIP_STORED, change=None) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(content, "w", pack) as archive:
        warnings.simplefilter("ignore")
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = pack
            if change:
                change(info)
            archive.writestr(info, data)
    return content.getvalue()


def linked(info: zipfile.ZipInfo) -> None:
    info.external_attr = 0o120777 << 16


PACK = zipfile.ZIP_DEFLATED
PACKED = zipped(("a.npy", FLAT), pack=PACK)
TWO = zipped(("a.npy", FLAT), ("b.npy", npy(np.arange(3))))
REFUSED_NPZ: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "a name that leads up": (zipped(("../a.npy", FLAT)), ("../a.npy",)),
    "a name that leads up within": (zipped(("b/../../a.npy", FLAT)), ("b/../../a.npy",)),
    "a name of Windows that leads up": (zipped(("..\\a.npy", FLAT)), ()),
    "a name from the root": (zipped(("/etc/a.npy", FLAT)), ("/etc/a.npy",)),
    "a folder that leads up": (zipped(("../", b""), ("a.npy", FLAT)), ("../",)),
    "a name of nothing": (TWO.replace(b"b.npy", b"\0.npy"), ()),
    "a name twice": (zipped(("a.npy", FLAT), ("a.npy", FLAT)), ()),
    "one that stands for two": (TWO.replace(b"b.npy", b"c.npy", 1), ("b",)),
    "a link": (zipped(("a.npy", b"/etc/passwd"), change=linked), ()),
    "no member": (zipped(), ()),
    "no list of members": (TWO[: TWO.index(b"PK\1\2")], ()),
    "half": (TWO[: len(TWO) // 2], ()),
    "a wrong checksum": (PACKED.replace(PACKED[14:18], b"1234"), ()),
    "text in place of an array": (zipped(("a.npy", b"1,2,3\n")), ("a",)),
    "a pickle in place of an array": (zipped(("a.npy", b"\x80\4K\1.")), ("a",)),
    "packed by another program": (zipped(("a.npy", FLAT), pack=zipfile.ZIP_LZMA), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_NPZ)
def test_an_npz_file_that_lies_or_leads_out_is_refused(name, tmp_path):
    content, named = REFUSED_NPZ[name]
    (tmp_path / "a.npz").write_bytes(content)
    asked = "b" if name == "one that stands for two" else "a"
    assert_file_refused(tmp_path / "a.npz", asked, SourceError, *named)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_an_npz_that_unpacks_to_a_thousand_times_is_refused_before_it_is_held(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(packed, "SMALL_UNPACKED", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(4 << 20))
    with assert_bounded(8 << 20):
        assert_file_refused(tmp_path / "a.npz", "a", SourceError, "numpy.savez")
    monkeypatch.setattr(packed, "SMALL_UNPACKED", 64 << 20)
    assert len(read(tmp_path / "a.npz", "a")) == 4 << 20


def test_an_npz_that_claims_more_than_it_has_is_refused_before_it_is_held(tmp_path):
    content = bytearray(zipped(("a.npy", FLAT), pack=PACK))
    at = content.index(b"PK\1\2") + 24
    for claimed in (200_000, 2**31 - 1, 2**32 - 2):
        content[at : at + 4] = struct.pack("<I", claimed)
        (tmp_path / "a.npz").write_bytes(content)
        with assert_bounded(8 << 20):
            assert_file_refused(tmp_path / "a.npz", "a", SourceError)
