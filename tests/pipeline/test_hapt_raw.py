"""HAPT as its authors publish it, and as files of each format: the bits of one HDF5 file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import zarr
from numpy.typing import NDArray

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config
from headrace.stores.source.source import open_source
from headrace.stores.store import open_store
from tests.conftest import ROOT, Share, request_for
from tests.in_process import store_here

CUT = (0, 4, 2, 6)
"""Recordings of the subjects 1, 3 (train), 2 and 4 (test)."""
CUT_ROWS = 8000
ONE, RAW = ROOT / "configs/hapt.toml", ROOT / "configs/hapt_raw.toml"
CHANNELS = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]


def write_hapt(source: Path, folder: Path, which: tuple[int, ...] | None, rows: int) -> None:
    """Some recordings of hapt.h5 as one file, as published, and as one file a recording each."""
    with h5py.File(source) as file:
        table = {name: column[:] for name, column in file["recordings"].items()}
        classes = [name.decode() for name in file["classes"][:]]
        attributes = dict(file["signals"].attrs)
        chosen = range(len(table["start"])) if which is None else sorted(which)
        lengths = [min(rows, int(table["length"][n])) for n in chosen]
        places = [slice(s, s + m) for s, m in zip(table["start"][chosen], lengths, strict=True)]
        signals = [file["signals"][place] for place in places]
        labels = [file["labels"][place] for place in places]
    (folder / "published").mkdir()
    intervals = []
    for n, values, own in zip(chosen, signals, labels, strict=True):
        experiment, subject = n + 1, int(table["subject"][n])
        for sensor, columns in (("acc", slice(0, 3)), ("gyro", slice(3, 6))):
            name = f"{sensor}_exp{experiment:02d}_user{subject:02d}.txt"
            np.savetxt(folder / "published" / name, values[:, columns], fmt="%.9g")
        cuts = np.flatnonzero(np.diff(own.astype(int))) + 1
        for first, stop in zip([0, *cuts], [*cuts, len(own)], strict=True):
            if own[first]:
                intervals.append((experiment, subject, own[first], first + 1, stop))
        for kind, (suffix, _, write) in FORMATS.items():
            (folder / kind).mkdir(exist_ok=True)
            write(folder / kind / f"exp{experiment:02d}_user{subject:02d}{suffix}", values)
    names = "".join(f"{number} {name}\n" for number, name in enumerate(classes) if number)
    for kind in ("published", *FORMATS):
        np.savetxt(folder / kind / "labels.txt", np.array(intervals), fmt="%d")
        (folder / kind / "activity_labels.txt").write_text(names)
    with h5py.File(folder / "one.h5", "w") as file:
        file["signals"], file["labels"] = np.concatenate(signals), np.concatenate(labels)
        file["signals"].attrs.update(attributes)
        file["classes"] = classes
        file["recordings/length"] = lengths
        file["recordings/start"] = np.cumsum([0, *lengths])[:-1]
        for name in ("subject", "official_split"):
            file[f"recordings/{name}"] = table[name][list(chosen)]


def _write_zarr(path: Path, values: NDArray[np.float32]) -> None:
    zarr.open_group(path, mode="w")["signals"] = values


def _write_parquet(path: Path, values: NDArray[np.float32]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = dict(zip(CHANNELS, values.T, strict=True))
    parquet.write_table(pa.table(columns), path, row_group_size=3000)


def _write_mat73(path: Path, values: NDArray[np.float32]) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["data"] = values.T
        file["data"].attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def _write_hdf5(path: Path, values: NDArray[np.float32]) -> None:
    with h5py.File(path, "w") as file:
        file["signals"] = values


FORMATS: dict[str, tuple[str, str, Callable[[Path, NDArray[np.float32]], object]]] = {
    "zarr": (".zarr", "signals", _write_zarr),
    "parquet": (".parquet", "table", _write_parquet),
    "npy": (".npy", "array", np.save),
    "matlab5": (".mat", "data", lambda path, values: scipy.io.savemat(path, {"data": values})),
    "matlab73": (".mat", "data", _write_mat73),
    "hdf5": (".h5", "signals", _write_hdf5),
}


@pytest.fixture
def hapt(shared: Share, shared_data: Path) -> Path:
    """The folder that `write_hapt` fills, of a cut."""
    return shared("hapt", lambda folder: write_hapt(shared_data / "hapt.h5", folder, CUT, CUT_ROWS))


def config_for(kind: str) -> Config:
    """configs/hapt_raw.toml, for files of another format."""
    if kind == "published":
        return load_config(RAW)
    suffix, signals, _ = FORMATS[kind]
    files = f"exp{{experiment}}_user{{subject}}{suffix}"
    return load_config(RAW, [f'source.files=["{files}"]', f'source.signals="{signals}"'])


def arrays_of(config: Config, data: Path, store: Path) -> tuple[Any, ...]:
    """Digests of all arrays of a store that is made here, and what names it has."""
    store_here(request_for(config, data, store))
    group = zarr.open_group(store, mode="r")
    digests = {}
    for name in sorted(group.array_keys()):
        array = group[name]
        assert isinstance(array, zarr.Array)
        values = np.ascontiguousarray(array[:])
        digests[name] = array.shape, str(array.dtype), hashlib.sha256(values.tobytes()).digest()
    manifest = open_store(store).manifest
    folds = [(fold.name, fold.groups) for fold in manifest.folds]
    return digests, manifest.classes, folds


def test_hapt_as_published_makes_the_store_of_one_file(hapt: Path, tmp_path: Path) -> None:
    one = arrays_of(load_config(ONE), hapt / "one.h5", tmp_path / "one.zarr")
    raw = arrays_of(load_config(RAW), hapt / "published", tmp_path / "raw.zarr")
    assert raw == one


@pytest.mark.parametrize("kind", FORMATS)
def test_files_of_every_format_give_the_bits_of_one_file(hapt: Path, kind: str) -> None:
    with (
        open_source(hapt / "one.h5", load_config(ONE).source) as one,
        open_source(hapt / kind, config_for(kind).source) as many,
    ):
        assert (many.classes, many.parts, many.spec) == (one.classes, one.parts, one.spec)
        found, expected = (s.read_windows(0, s.windows) for s in (many, one))
        np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))
        found_labels, expected_labels = (s.read_labels(0, s.windows) for s in (many, one))
        for field in ("label", "group", "part"):
            np.testing.assert_array_equal(
                getattr(found_labels, field), getattr(expected_labels, field)
            )


@pytest.mark.published
def test_the_whole_of_hapt_as_published(shared_data: Path, tmp_path: Path) -> None:
    write_hapt(shared_data / "hapt.h5", tmp_path, None, 1 << 30)
    one = arrays_of(load_config(ONE), shared_data / "hapt.h5", tmp_path / "one.zarr")
    for kind in ("published", *FORMATS):
        found = arrays_of(config_for(kind), tmp_path / kind, tmp_path / f"{kind}-store.zarr")
        assert found == one, kind
    with open_source(tmp_path / "published", load_config(RAW).source) as source:
        parts = source.read_labels(0, source.windows).part
        assert np.bincount(parts).tolist() == [7767, 3162]
