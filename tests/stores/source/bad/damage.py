"""Small files of every format, damaged by chance, and all that is asked of a file."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import resource
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headrace.stores.errors import UserError
from headrace.stores.source.formats.opening import open_file
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source

VALUES = np.random.default_rng(0).normal(size=(40, 3)).round(3)
NAMES = ["sit", "walk", "run", "stand"] * 10
SECONDS = 20
"""Of one file, after which it is said to hang."""
ASKED = ("signals", "X", "table", "y", "array", "a", "b", "text", "s/x", "cell", "when", "0", "1")
"""Arrays that are asked for by name."""


def text_lines(separator: str = ",", header: bool = True) -> str:
    rows = [separator.join((*map(str, row), name)) for row, name in zip(VALUES, NAMES, strict=True)]
    return "\n".join([separator.join(("a", "b", "c", "text")), *rows][not header :]) + "\n"


def text(path: Path) -> None:
    path.write_text(text_lines())


def blanks(path: Path) -> None:
    path.write_text("".join(" ".join(f"{x:9.3f}" for x in row) + "\n" for row in VALUES))


def quoted(path: Path) -> None:
    path.write_text("a;b;text\n" + "".join(f'{n},5;{n};"x;{n}"\n' for n in range(40)))


def packed_text(path: Path) -> None:
    path.write_bytes(gzip.compress(text_lines().encode(), mtime=0))


def parquet(path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(
        {
            "a": VALUES[:, 0],
            "b": pa.array([None, *range(39)]),
            "text": NAMES,
            "when": pa.array(range(40), pa.timestamp("ms")),
            "y": pa.array([None, {"x": 1}] * 20),
        }
    )
    parquet.write_table(table, path, row_group_size=15, compression="snappy")


def npy(path: Path) -> None:
    np.save(path, VALUES)


def records(path: Path) -> None:
    np.save(path, np.array([(1.5, 2, "x")] * 20, [("a", "f4"), ("b", "i8"), ("text", "U3")]))


def npz(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, X=VALUES, y=np.array(NAMES), signals=VALUES.astype("f4", order="F"))


def packed_npz(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, signals=VALUES, y=np.array(NAMES))


def zarr_zip(path: Path, version: int = 3, pack: int = zipfile.ZIP_STORED) -> None:
    import zarr

    folder = path.parent.parent / f"{path.parent.name}.zarr"
    group = zarr.open_group(folder, mode="w", zarr_format=version)
    group.create_array("signals", data=VALUES, chunks=(16, 3))
    group.create_array("y", data=np.array(NAMES, dtype="U5"), chunks=(40,))
    group["signals"].attrs["sampling_rate_hz"] = 20
    with zipfile.ZipFile(path, "w", pack) as zipped:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                zipped.write(file, file.relative_to(folder))


def zarr_2(path: Path) -> None:
    zarr_zip(path, 2, zipfile.ZIP_DEFLATED)


def matlab(path: Path, packed: bool = False, version: str = "5") -> None:
    from scipy.io import savemat

    cell = np.array(["sit", "walk"], dtype=object)
    content: dict[str, Any] = {"signals": VALUES, "text": np.array(["abc", "de "])}
    if version == "5":
        content |= {"s": {"x": VALUES[:5].astype("i2"), "y": "abc"}, "cell": cell, "b": VALUES > 0}
    savemat(path, content, format=version, do_compression=packed)


def packed_matlab(path: Path) -> None:
    matlab(path, packed=True)


def matlab_4(path: Path) -> None:
    matlab(path, version="4")


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("signals", data=VALUES, chunks=(10, 3), compression="gzip")
        file["y"] = NAMES
        file["s/x"] = np.array([(1, 2.5)] * 9, [("a", "i4"), ("b", "f8")])
        file.attrs["sampling_rate_hz"] = 20.0


def matlab_73(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["signals"] = VALUES.T
        file["signals"].attrs["MATLAB_class"] = np.bytes_("double")
        file["text"] = np.frombuffer("abcdef".encode("utf-16-le"), "u2").reshape(-1, 1)
        file["text"].attrs["MATLAB_class"] = np.bytes_("char")
        file["#refs#/a"] = file["text"][:3]
        file["#refs#/a"].attrs["MATLAB_class"] = np.bytes_("char")
        references = np.array([[file["#refs#/a"].ref, file["text"].ref]], dtype=h5py.ref_dtype)
        file.create_dataset("cell", data=references, dtype=h5py.ref_dtype)
        file["cell"].attrs["MATLAB_class"] = np.bytes_("cell")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "text": ("file.csv", text),
    "blanks": ("file.dat", blanks),
    "quoted": ("file.txt", quoted),
    "packed text": ("file.csv.gz", packed_text),
    "parquet": ("file.parquet", parquet),
    "npy": ("file.npy", npy),
    "records": ("file.npy", records),
    "npz": ("file.npz", npz),
    "packed npz": ("file.npz", packed_npz),
    "zarr 3": ("file.zip", zarr_zip),
    "zarr 2": ("file.zip", zarr_2),
    "matlab": ("file.mat", matlab),
    "packed matlab": ("file.mat", packed_matlab),
    "matlab 4": ("file.mat", matlab_4),
    "hdf5": ("file.h5", hdf5),
    "matlab 7.3": ("file.mat", matlab_73),
}
"""A name for the file, and what writes it."""
CRASHES = ("parquet", "hdf5", "matlab 7.3")
"""Formats whose library may end the process: only in a child."""
PIECES = (b"\xff" * 4, b"\0" * 4, b"\1\0\0\0", b"\x80" * 8, b"-1", b"9" * 20, b'"', b"\n", b"nan")


def damaged(content: bytes, seed: int) -> bytes:
    """Some bytes turned, overwritten, moved, repeated or cut."""
    chance, found = random.Random(seed), bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        # What is said of the values stands at the front or at the end.
        near = min(len(found), chance.choice((200, 1000, max(1, len(found)))))
        at = chance.randrange(max(1, near))
        at = at if chance.random() < 0.6 else len(found) - 1 - at
        kind = chance.randrange(7)
        if not found:
            break
        if kind == 0:
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            piece = chance.choice(PIECES)
            found[at : at + len(piece)] = piece
        elif kind == 2:
            found[at : at + 8] = chance.randbytes(8)
        elif kind == 3:
            del found[at : at + chance.randrange(1, 64)]
        elif kind == 4:
            found[at:at] = chance.choice(PIECES)
        elif kind == 5:
            source = chance.randrange(len(found))
            found[at:at] = found[source : source + chance.randrange(1, 64)]
        elif chance.random() < 0.3:
            del found[at:]
    return bytes(found)


def ask_all(path: Path, signals: str = "array") -> str:
    """Ask a file for all that it has; "read", or its refusals.

    Args:
        path: the file, alone in its folder.
        signals: what they are called in a .npy file.

    Raises:
        Exception: other than the user's errors.
    """
    said = []
    with contextlib.ExitStack() as closing:
        try:
            file = open_file(path)
            closing.callback(file.close)
            file.contents()
            file.size(), file.state()
        except UserError as error:
            return _checked(error)
        for name in ASKED:
            try:
                found = file.array(name)
                file.group(name)
                if found is None:
                    continue
                array = found.ready()
                array.attribute("sampling_rate_hz")
                rows = (array.shape or (0,))[0]
                if array.dtype.kind in "SOU":
                    with contextlib.suppress(UnicodeDecodeError, TypeError):
                        array.texts(0, min(rows, 1000))
                elif array.shape is not None and rows * array.row_bytes < 1 << 24:
                    array.read(0, rows)
                    array.whole()
                elif array.shape:
                    array.read(0, 10), array.read(rows - 10, rows)
            except UserError as error:
                said.append(_checked(error))
    options = SourceOptions(
        files=[path.name],
        layout="recordings",
        signals={".npy": signals}.get(path.suffix),
        rate_hz=20,
        window_samples=4,
        labels="",
        split_by_window=True,
    )
    try:
        with open_source(path.parent, options) as source:
            source.fingerprint()
            source.read_labels(0, source.windows)
            source.read_windows(0, min(source.windows, 50))
    except UserError as error:
        said.append(_checked(error))
    return "; ".join(said) or "read"


def _checked(error: UserError) -> str:
    text = str(error)
    assert len(text) < 5000, len(text)
    assert text.isprintable() or "\n" not in text, repr(text)
    return text


def main() -> None:
    """Damage a file of each name by each seed, and end with an error at what is no refusal."""
    folder, cases = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (3 << 29, 3 << 29))
    for number, (name, seed) in enumerate(json.loads(cases)):
        file, write = FILES[name]
        path = Path(folder) / name / file
        if not path.parent.exists():
            path.parent.mkdir()
            write(path)
            path.rename(path.with_suffix(".intact"))
        path.write_bytes(damaged(path.with_suffix(".intact").read_bytes(), seed))
        print(number, flush=True)
        signal.alarm(SECONDS)
        ask_all(path)
    print("done", flush=True)


if __name__ == "__main__":
    main()
