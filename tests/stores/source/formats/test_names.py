"""Names that files of each format list are those by which their arrays are opened."""

from contextlib import closing

import h5py
import numpy as np
import pytest

from headrace.stores.source.formats.opening import open_file
from tests.stores.source.formats.test_hdf5_dialects import MatlabFile, write_table

ROWS = np.arange(12.0).reshape(4, 3)


def hdf5(path):
    with h5py.File(path, "w") as file:
        file["a/b/signals"] = ROWS
        file["table"] = np.zeros(4, [("x", "f4"), ("y", "i2")])
        file[b"no \xff text"] = ROWS
        file.create_group("empty")
        file["elsewhere"] = h5py.ExternalLink("gone.h5", "/x")
    return {"a/b/signals", "table/x", "table/y"}


def pandas(path):
    with h5py.File(path, "w") as file:
        write_table(file)
        file["more/plain"] = ROWS
    columns = ("table", "acc_x", "acc/y", "who", "ok", "act", "time", "index")
    return {"more/plain", *(f"df/{name}" for name in columns)}


def matlab_73(path):
    with MatlabFile(path) as matlab:
        matlab.struct("run")
        matlab.matrix("run/x", ROWS)
        matlab.matrix("fs", [[100.0]])
    return {"run/x", "fs"}


def matlab_5(path):
    import scipy.io

    scipy.io.savemat(path, {"run": {"x": ROWS}, "fs": 100.0})
    return {"run/x", "fs"}


def zarr(path):
    import zarr

    group = zarr.open_group(str(path), mode="w")
    group.create_array("a/signals", data=ROWS)
    return {"a/signals"}


def npy(path):
    np.save(path, ROWS)
    return {"array"}


def npz(path):
    np.savez(path, x=ROWS, y=np.zeros(4, [("t", "f8"), ("v", "f4")]))
    return {"x", "y/t", "y/v"}


def text(path):
    path.write_text("t,x,label\n0,1.5,a\n1,2.5,b\n")
    return {"table", "t", "x", "label"}


def parquet(path):
    import pyarrow as pa
    import pyarrow.parquet

    pa.parquet.write_table(pa.table({"x": [1.5, 2.5], "label": ["a", "b"]}), path)
    return {"table", "x", "label"}


KINDS = {
    "s.h5": hdf5, "p.h5": pandas, "7.mat": matlab_73, "5.mat": matlab_5, "s.zarr": zarr,
    "s.npy": npy, "s.npz": npz, "s.csv": text, "s.parquet": parquet,
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_file_lists_the_names_of_its_arrays(name, tmp_path):
    expected = KINDS[name](tmp_path / name)
    with closing(open_file(tmp_path / name)) as file:
        names = list(file.names())
        assert len(set(names)) == len(names)
        assert set(names) == expected
        for each in names:
            assert file.array(each) is not None
