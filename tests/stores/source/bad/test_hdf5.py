"""HDF5 files that are wrong or hostile, as a reader of arrays meets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.stores.source.bad.cases import assert_file_refused, read
from tests.stores.source.bad.memory import assert_bounded

VALUES = np.arange(30.0).reshape(10, 3)


def chunked(file: h5py.File, shape: tuple[int, ...], chunk: tuple[int, ...], **how: Any) -> Any:
    return file.create_dataset("x", shape, "f8", chunks=chunk, **how)


def external(name: str) -> Callable[[h5py.File], object]:
    return lambda file: file.create_dataset(
        "x", (10, 3), "f8", external=[(name, 0, h5py.h5f.UNLIMITED)]
    )


def linked(link: Any) -> Callable[[h5py.File], object]:
    return lambda file: file.__setitem__("x", link)


def virtual(name: str, where: str = "x") -> Callable[[h5py.File], object]:
    def write(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((10, 3), "f8")
        layout[:] = h5py.VirtualSource(name, where, (10, 3))
        file.create_virtual_dataset("x", layout)

    return write


def half_virtual(file: h5py.File) -> None:
    file["y"] = VALUES[:5]
    layout = h5py.VirtualLayout((10, 3), "f8")
    layout[:5] = h5py.VirtualSource(".", "y", (5, 3))
    layout[5:] = h5py.VirtualSource("lost.h5", "y", (5, 3))
    file.create_virtual_dataset("x", layout)


def noise(file: h5py.File) -> None:
    data = chunked(file, (10, 3), (10, 3), compression="gzip")
    data.id.write_direct_chunk((0, 0), np.random.default_rng(0).bytes(200))


def own_type(file: h5py.File) -> None:
    kind = h5py.h5t.create(h5py.h5t.OPAQUE, 24)
    kind.set_tag(b"what only its owner reads")
    space = h5py.h5s.create_simple((10,))
    h5py.h5d.create(file.id, b"x", kind, space)


def references(file: h5py.File) -> None:
    file.create_dataset("x", (10,), h5py.ref_dtype)


def enumerated(file: h5py.File) -> None:
    file["x"] = np.zeros(10, h5py.enum_dtype({"sit": 0, "walk": 1}, "u1"))


REFUSED: dict[str, Callable[[h5py.File], object]] = {
    "a link to another file": linked(h5py.ExternalLink("b.h5", "/x")),
    "a link to itself": linked(h5py.SoftLink("/x")),
    "two links to each other": lambda file: (
        file.__setitem__("x", h5py.SoftLink("/y")), file.__setitem__("y", h5py.SoftLink("/x")),
    ),
    "bytes of a file of the system": external("/etc/passwd"),
    "bytes of a file beside it": external("x.bin"),
    "parts of a file of the system": virtual("/etc/passwd"),
    "parts that lead up": virtual("../x.h5"),
    "parts of a file that is lost": virtual("lost.h5"),
    "a part of which half is lost": half_virtual,
    "parts of itself": virtual(".", "x"),
    "10 TB that were never written": lambda file: chunked(file, (1 << 39, 3), (1 << 10, 3)),
    "a chunk of 2 GB": lambda file: chunked(file, (1 << 31, 3), (1 << 28, 1)),
    "a chunk of noise": noise,
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_dataset_that_lies_or_leads_out_is_refused(name, tmp_path):
    (tmp_path / "x.bin").write_bytes(bytes(240))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = VALUES
    with h5py.File(tmp_path / "a.h5", "w") as file:
        REFUSED[name](file)
    with assert_bounded(32 << 20), pytest.raises(SourceError) as caught:
        read(tmp_path / "a.h5", "x")
    assert len(str(caught.value)) < 2000


NO_NUMBERS: dict[str, Callable[[h5py.File], object]] = {
    "a type of its own": own_type,
    "references to nowhere": references,
    "lists of any length": lambda file: file.create_dataset("x", (10,), h5py.vlen_dtype("f8")),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_is_no_number_becomes_none(name, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        NO_NUMBERS[name](file)
        file["recordings/start"], file["recordings/length"] = [0], [10]
    options = SourceOptions(
        signals="x", rate_hz=10, window_samples=4, labels="", split_by_window=True
    )
    with pytest.raises(SourceError) as caught, open_source(tmp_path / "a.h5", options):
        pass
    assert "a.h5" in str(caught.value)


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/lost"), h5py.ExternalLink("/etc/passwd", "/x")], ids=["own", "system"]
)
def test_a_link_to_nowhere_is_no_dataset(link, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = link
        file["y"] = VALUES
    with pytest.raises(AssertionError, match=r"y \(10, 3\)"):
        read(tmp_path / "a.h5", "x")


def test_groups_that_hold_each_other_end(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/x"] = VALUES
        file["g/g"] = file["g"]
        file["g/up"] = file["/"]
    assert read(tmp_path / "a.h5", "/".join(["g"] * 40 + ["x"])) == VALUES.tolist()
    with pytest.raises(AssertionError):
        read(tmp_path / "a.h5", "nothing")


@pytest.mark.parametrize("kind", [">i8", "<u8", ">f4", "f2", "i1"])
def test_values_of_any_type_are_those_that_were_written(kind, tmp_path):
    info = np.iinfo(kind) if np.dtype(kind).kind in "iu" else np.finfo(kind)
    values = np.array([info.min, 0, info.max], kind)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = values
    assert read(tmp_path / "a.h5", "x") == values.tolist()


def test_a_user_block_that_never_ends_is_no_hdf5(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"#" * (1 << 20) + b"\x89HDF\r\n\x1a\n")
    assert_file_refused(tmp_path / "a.h5", "x", SourceError)
