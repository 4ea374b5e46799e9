"""Zarrs that are wrong or hostile: folders and zip files."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from headrace.stores.errors import SourceError
from headrace.stores.source.formats import zarr_places
from tests.stores.source.bad.cases import assert_file_refused, read
from tests.stores.source.bad.memory import assert_bounded

VALUES = np.arange(60.0).reshape(20, 3)
VERSIONS = (2, 3)


def made(folder: Path, version: int, **how) -> Path:
    group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=version)
    group.create_array("x", data=VALUES, chunks=(5, 3), **how)
    return folder / "a.zarr"


def document(path: Path, version: int) -> Path:
    return path / "x" / ("zarr.json" if version == 3 else ".zarray")


def chunk(path: Path, version: int, number: int = 0) -> Path:
    return path / "x" / (f"c/{number}/0" if version == 3 else f"{number}.0")


def stated(**changes) -> Callable[[Path, int], None]:
    """Say something else of the array."""

    def change(path: Path, version: int) -> None:
        content = json.loads(document(path, version).read_text())
        document(path, version).write_text(json.dumps(content | changes))

    return change


def written(text: str) -> Callable[[Path, int], object]:
    return lambda path, version: document(path, version).write_text(text)


def grown(path: Path, version: int) -> None:
    """100 MB of blanks behind the document: none of them is on the disk."""
    with open(document(path, version), "r+b") as file:
        file.truncate(100 << 20)


def linked(target: str) -> Callable[[Path, int], None]:
    def change(path: Path, version: int) -> None:
        chunk(path, version).unlink()
        chunk(path, version).symlink_to(target)

    return change


def folder_out(path: Path, version: int) -> None:
    (path.parent / "outside").mkdir()
    shutil.move(path / "x", path.parent / "outside" / "x")
    (path / "x").symlink_to(path.parent / "outside" / "x")


def cut(path: Path, version: int) -> None:
    os.truncate(chunk(path, version), chunk(path, version).stat().st_size // 2)


def emptied(path: Path, version: int) -> None:
    os.truncate(chunk(path, version), 0)


def longer(path: Path, version: int) -> None:
    with open(chunk(path, version), "ab") as file:
        file.truncate(100 << 20)


def noise(path: Path, version: int) -> None:
    chunk(path, version).write_bytes(np.random.default_rng(0).bytes(100))


def replaced(make: Callable[[Path], object]) -> Callable[[Path, int], None]:
    def change(path: Path, version: int) -> None:
        chunk(path, version).unlink()
        make(chunk(path, version))

    return change


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(path))  # The name of a socket has 107 bytes at most.


CHANGES: dict[str, Callable[[Path, int], object]] = {
    "no JSON": written("{shape: 5}"),
    "no text": lambda path, version: document(path, version).write_bytes(b"\xff\xfe\0"),
    "a list": written("[]"),
    "nothing": written(""),
    "lists in lists": written("[" * 100_000),
    "tables in tables": written('{"a":' * 50_000 + "1" + "}" * 50_000),
    "100 MB": grown,
    "a shape beyond memory": stated(shape=[1 << 50, 3]),
    "a shape beyond int64": stated(shape=[1 << 63, 3]),
    "a negative shape": stated(shape=[-20, 3]),
    "a shape of many axes": stated(shape=[1] * 70),
    "a shape in words": stated(shape="20x3"),
    "infinitely many rows": stated(shape=[1e999, 3]),
    "a link out": linked("/etc/passwd"),
    "a link that leads up": linked("../../../../../../../etc/passwd"),
    "a link to what never ends": linked("/dev/zero"),
    "a link to itself": linked("0"),
    "a link to what is lost": linked("lost"),
    "a pipe": replaced(os.mkfifo),
    "a socket": replaced(listening),
    "a folder out": folder_out,
    "half a chunk": cut,
    "a chunk of nothing": emptied,
    "a chunk with 100 MB behind it": longer,
    "a chunk of noise": noise,
    "no chunk type": stated(chunks=None, chunk_grid=None),
    "a type that is code": stated(dtype="f8,(__import__('os').abort())", data_type="code"),
    "a type of fields": stated(dtype=[["a", "<f8"]], data_type={"name": "struct"}),
    "a codec of its own": stated(
        compressor={"id": "os.system"}, codecs=[{"name": "os.system", "configuration": {}}]
    ),
    "a codec that unpickles": stated(
        filters=[{"id": "pickle"}], codecs=[{"name": "numcodecs.pickle", "configuration": {}}]
    ),
    "no codec at all": stated(compressor=5, codecs=5),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CHANGES)
def test_an_array_that_lies_or_leads_out_is_refused(name, version, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = made(tmp_path, version)
    CHANGES[name](path, version)
    with assert_bounded(64 << 20):
        assert_file_refused(path, "x", SourceError)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", ["folder", "lost"])
def test_a_chunk_that_is_no_file_is_as_one_that_is_not_there(what, version, tmp_path):
    path = made(tmp_path, version, fill_value=7.0)
    replaced(os.mkdir if what == "folder" else lambda _: None)(path, version)
    assert read(path, "x") == [[7.0] * 3] * 5 + VALUES[5:].tolist()


FILLS = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf, "0": 0.0}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", FILLS)
def test_what_was_not_written_is_the_fill_value(name, version, tmp_path):
    path = made(tmp_path, version, fill_value=FILLS[name])
    chunk(path, version, 3).unlink()
    np.testing.assert_array_equal(read(path, "x")[15:], np.full((5, 3), FILLS[name]))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", [">i8", "<u8", "i1", ">f4", "f2", "?"])
def test_values_of_any_type_are_those_that_were_written(kind, version, tmp_path):
    info = np.iinfo(kind) if np.dtype(kind).kind in "iu" else None
    values = np.array([info.min, info.max] if info else [0, 1], kind)
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    group.create_array("x", data=values)
    assert read(tmp_path / "a.zarr", "x") == values.tolist()


def packed(path: Path, pack: int = zipfile.ZIP_STORED, **more: bytes) -> Path:
    found = path.with_suffix(".zip")
    with zipfile.ZipFile(found, "w", pack) as archive:
        for file in sorted(path.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(path))
        for name, content in more.items():
            archive.writestr(name, content)
    return found


def byte_changed(at: Callable[[bytes], int], to: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        place = at(bytes(content))
        content[place : place + len(to)] = to
        path.write_bytes(content)

    return change


def in_list(name: bytes, offset: int) -> Callable[[bytes], int]:
    """A byte of a member's entry in the list of members."""
    return lambda content: content.rindex(name) - 46 + offset


CHUNK = b"x/c/0/0"
ZIPPED: dict[str, Callable[[Path], object]] = {
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "no list of members": lambda path: os.truncate(path, path.read_bytes().index(b"PK\1\2")),
    "encrypted": byte_changed(in_list(CHUNK, 8), b"\1"),
    "packed in another way": byte_changed(in_list(CHUNK, 10), struct.pack("<H", 12)),
    "a wrong checksum": byte_changed(in_list(CHUNK, 16), b"1234"),
    "a size it has not": byte_changed(in_list(CHUNK, 24), struct.pack("<I", 2**32 - 2)),
    "a place it is not at": byte_changed(in_list(CHUNK, 42), struct.pack("<I", 5)),
    "a place behind the end": byte_changed(in_list(CHUNK, 42), struct.pack("<I", 2**31)),
    "a name that leads up": byte_changed(in_list(CHUNK, 46), b"../c/00"),
    "a name from the root": byte_changed(in_list(CHUNK, 46), b"/etc/00"),
}


@pytest.mark.parametrize("name", ZIPPED)
@pytest.mark.parametrize("pack", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_file_that_lies_or_leads_out_is_refused(name, pack, tmp_path):
    path = packed(made(tmp_path, 3), pack)
    assert read(path, "x") == VALUES.tolist()
    ZIPPED[name](path)
    with assert_bounded(32 << 20):
        assert_file_refused(path, "x", SourceError)


def test_a_member_that_unpacks_to_a_thousand_times_is_never_unpacked_whole(tmp_path):
    path = made(tmp_path, 3)
    chunk(path, 3).unlink()
    bomb = packed(path, zipfile.ZIP_DEFLATED, **{CHUNK.decode(): bytes(64 << 20)})
    with assert_bounded(24 << 20):
        assert_file_refused(bomb, "x", SourceError)


def test_a_document_that_unpacks_to_a_thousand_times_is_never_unpacked_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_places, "MOST_DOCUMENT", 1 << 20)
    monkeypatch.setattr("headrace.stores.source.formats.zarr_documents.MOST_DOCUMENT", 1 << 20)
    path = made(tmp_path, 3)
    document(path, 3).unlink()
    bomb = packed(path, zipfile.ZIP_DEFLATED, **{"x/zarr.json": b" " * (24 << 20)})
    with assert_bounded(16 << 20):
        assert_file_refused(bomb, "x", SourceError, "x/zarr.json")
