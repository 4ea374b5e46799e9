"""HDF5 as MATLAB 7.3, pandas, NWB and SNIRF mean it, written here as they write it."""

import pickle
from contextlib import closing

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.stores.errors import SourceError
from headrace.stores.source.formats import hdf5_turned
from headrace.stores.source.formats.hdf5 import open_hdf5
from headrace.stores.source.formats.hdf5_dialects import open_dialect
from headrace.stores.source.formats.hdf5_pickled import literal_texts
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source
from tests.stores.source_files import write_recordings, write_windows

TABLE = np.arange(21.0).reshape(7, 3)


class MatlabFile:
    """Writes what MATLAB's `save -v7.3` does."""

    def __init__(self, path):
        self.file = h5py.File(path, "w", userblock_size=512)
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.file.close()
        with open(self.path, "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")

    def matrix(self, name, values, kind=None, **stored):
        values = np.asarray(values)
        if values.size == 0:
            made = self.file.create_dataset(name, data=np.array(values.shape, "u8"))
            made.attrs["MATLAB_empty"] = np.uint8(1)
        else:
            made = self.file.create_dataset(name, data=values.T, **stored)
        made.attrs["MATLAB_class"] = np.bytes_(
            kind or values.dtype.name.replace("float64", "double")
        )
        return made

    def text(self, name, *rows):
        width = max(map(len, rows))
        codes = [np.frombuffer(row.ljust(width).encode("utf-16-le"), "u2") for row in rows]
        return self.matrix(name, np.array(codes).reshape(len(rows), -1), "char")

    def cell(self, name, members, shape=None):
        references = np.array([member.ref for member in members], dtype=h5py.ref_dtype)
        shape = shape or (len(members), 1)
        made = self.file.create_dataset(
            name, data=references.reshape(shape[::-1]), dtype=h5py.ref_dtype
        )
        made.attrs["MATLAB_class"] = np.bytes_("cell")
        return made

    def struct(self, name):
        made = self.file.require_group(name)
        made.attrs["MATLAB_class"] = np.bytes_("struct")
        return made


@pytest.fixture
def opened(tmp_path):
    """Opens the file of the test, once it is written."""
    files = []

    def open_it(path=tmp_path / "file.mat"):
        files.append(open_dialect(path))
        return files[-1]

    yield open_it
    for file in files:
        file.close()


@pytest.fixture
def matlab(tmp_path):
    return MatlabFile(tmp_path / "file.mat")


@pytest.fixture
def file(tmp_path):
    """An HDF5 file that is written by hand."""
    with h5py.File(tmp_path / "file.mat", "w") as file:
        yield file


def test_a_matrix_of_matlab_has_its_rows_first(matlab, opened):
    with matlab:
        matlab.matrix("x", TABLE)
        matlab.matrix("cube", np.arange(24, dtype="i2").reshape(2, 3, 4))
    data = opened().array("x")
    assert (data.shape, data.dtype, data.piece_rows, data.row_bytes) == ((7, 3), "f8", None, 24)
    np.testing.assert_array_equal(data.ready().read(2, 5), TABLE[2:5])
    np.testing.assert_array_equal(data.whole(), TABLE)
    cube = opened().array("cube").read(0, 2)
    np.testing.assert_array_equal(cube, np.arange(24).reshape(2, 3, 4))


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 5)),
    chunk=st.tuples(st.integers(1, 7), st.integers(1, 5)) | st.none(),
    start=st.integers(0, 40),
    length=st.integers(0, 40),
    slice_bytes=st.integers(1, 200),
)
def test_any_rows_of_a_matrix_are_those_matlab_shows(
    tmp_path_factory, shape, chunk, start, length, slice_bytes
):
    values = np.arange(shape[0] * shape[1], dtype="f4").reshape(shape)
    stored = {} if chunk is None else {"chunks": tuple(map(min, chunk[::-1], shape[::-1]))}
    path = tmp_path_factory.mktemp("rows") / "file.mat"
    with MatlabFile(path) as matlab:
        matlab.matrix("x", values, "single", **stored)
    patch = pytest.MonkeyPatch()
    with patch.context() as patched, closing(open_dialect(path)) as file:
        patched.setattr(hdf5_turned, "SLICE_BYTES", slice_bytes)
        array = file.array("x").ready()
        assert array.piece_rows == (None if chunk is None else min(chunk[0], shape[0]))
        np.testing.assert_array_equal(
            array.read(start, start + length), values[start : start + length]
        )
        out = np.empty((max(0, min(start + length, shape[0]) - start), shape[1]), "f4")
        array.read_into(out, start)
        np.testing.assert_array_equal(out, values[start : start + length])


def test_a_chunked_matrix_says_what_one_row_of_its_chunks_takes(matlab, opened):
    with matlab:
        matlab.matrix("x", np.zeros((1000, 6)), chunks=(4, 100), compression="gzip")
    array = opened().array("x")
    # Eight channels' worth: two chunks of four beside each other.
    assert (array.piece_rows, array.row_bytes) == (100, 8 * 8)
    assert array.cache_bytes >= 100 * 8 * 8
    assert array.decode_bytes >= 2 * 4 * 100 * 8


def test_texts_logicals_and_empty_arrays_of_matlab(matlab, opened):
    with matlab:
        matlab.text("one", "walk \N{SNOWMAN}\N{GRINNING FACE}")
        matlab.text("many", "walk", "run")
        matlab.matrix("truth", np.array([[1], [0], [2]], "u1"), "logical")
        matlab.matrix("none", np.zeros((0, 3)))
        matlab.matrix("nothing", np.zeros((0, 0)), "char")
    file = opened()
    assert file.array("one").texts(0, 1).tolist() == ["walk \N{SNOWMAN}\N{GRINNING FACE}"]
    many = file.array("many")
    assert (many.shape, many.dtype.kind) == ((2,), "O")
    assert many.texts(0, 9).tolist() == ["walk", "run"]
    assert many.texts(1, 2).tolist() == ["run"]
    truth = file.array("truth")
    assert truth.dtype == bool
    assert truth.read(0, 3).tolist() == [[True], [False], [True]]
    assert file.array("none").shape == (0, 3)
    assert file.array("nothing").shape == (0,)


def test_cells_are_texts_or_groups_and_structs_are_groups(matlab, opened):
    with matlab:
        walk = matlab.text("#refs#/a", "walk")
        empty = matlab.matrix("#refs#/b", np.zeros((0, 0)), "char")
        trials = [matlab.matrix(f"#refs#/{n}", np.full((n + 1, 3), n)) for n in range(12)]
        matlab.cell("labels", [walk, empty, walk])
        matlab.cell("trials", trials, (3, 4))
        matlab.cell("nested", [matlab.file["trials"], walk])
        matlab.struct("s")
        matlab.struct("s/inner")
        matlab.matrix("s/inner/x", TABLE)
        matlab.cell("s/names", [walk])
        # A struct array: a dataset of references for each field.
        for field, members in {"x": trials[:2], "name": [walk, walk]}.items():
            del matlab.cell(f"people/{field}", members).attrs["MATLAB_class"]
        matlab.struct("people")
    file = opened()
    assert file.array("labels").texts(0, 3).tolist() == ["walk", "", "walk"]
    assert file.array("trials") is None
    group = file.group("trials")
    assert [group.array(str(n)).shape for n in range(12)] == [(n + 1, 3) for n in range(12)]
    assert [group.array("12"), group.array("x"), group.group("0")] == [None] * 3
    np.testing.assert_array_equal(file.array("trials/11").read(0, 12), np.full((12, 3), 11))
    assert file.array("nested/0/3").shape == (4, 3)
    for name in ("s/inner/x", "s.inner.x", "/s/inner.x"):
        assert file.array(name).name == "/s/inner/x"
    assert file.group("s.inner").array("x").ready().where.endswith("file.mat:/s/inner/x")
    assert file.group("s").array("names").texts(0, 1).tolist() == ["walk"]
    assert file.array("people/1/x").shape == (2, 3)
    assert file.group("people").group("0").array("name").texts(0, 1).tolist() == ["walk"]
    assert [file.array("#refs#/a"), file.group("#refs#")] == [None] * 2
    assert "#refs#" not in file.contents()
    assert "inner/x (7, 3) float64" in file.group("s").contents()
    assert "1/x (2, 3) int64" in file.group("people").contents()


def function_handle(matlab):
    matlab.matrix("x", np.zeros((1, 1)), "function_handle")


def object_of_a_class(matlab):
    matlab.matrix("x", np.zeros((1, 6), "u4"), "string").attrs["MATLAB_object_decode"] = 3


def sparse(matlab):
    matlab.struct("x").attrs["MATLAB_sparse"] = np.uint64(3)


def complex_numbers(matlab):
    matlab.matrix("x", np.zeros((2, 2), [("real", "f8"), ("imag", "f8")]), "double")


def text_of_three_axes(matlab):
    matlab.matrix("x", np.zeros((2, 2, 2), "u2"), "char")


def empty_with_values(matlab):
    matlab.matrix("x", np.zeros((0, 4))).write_direct(np.array([2, 2], "u8"))


def empty_beyond_measure(matlab):
    matlab.matrix("x", np.zeros((0, 4))).write_direct(np.array([0, 2**63], "u8"))


def values_elsewhere(matlab):
    made = matlab.file.create_dataset("x", (8, 8), "f8", external=[("/etc/passwd", 0, 512)])
    made.attrs["MATLAB_class"] = np.bytes_("double")


def never_written(matlab):
    made = matlab.file.create_dataset("x", (3, 10**13), "f8", chunks=(3, 1000))
    made.attrs["MATLAB_class"] = np.bytes_("double")


def cell_of_nothing(matlab):
    made = matlab.file.create_dataset("x", (1, 2), h5py.ref_dtype)
    made.attrs["MATLAB_class"] = np.bytes_("cell")


def half_a_letter(matlab):
    lone = matlab.matrix("#refs#/a", np.array([[0xD800]], "u2"), "char")
    matlab.cell("x", [lone])


@pytest.mark.parametrize(
    "write",
    [
        function_handle, object_of_a_class, sparse, complex_numbers, text_of_three_axes,
        empty_with_values, empty_beyond_measure, values_elsewhere, never_written, cell_of_nothing,
        half_a_letter,
    ],
)  # fmt: skip
def test_what_is_no_full_matrix_of_matlab_is_refused_by_name(matlab, opened, write):
    with matlab:
        write(matlab)
    file = opened()
    with pytest.raises(SourceError) as error:
        file.array("x")
    assert "\n" not in str(error.value)
    assert "x" in str(error.value)
    file.contents()


def test_a_cell_that_holds_itself_ends(matlab, opened):
    with matlab:
        made = matlab.file.create_dataset("x", (1, 2), h5py.ref_dtype)
        made.attrs["MATLAB_class"] = np.bytes_("cell")
        made[...] = np.array([[made.ref, matlab.struct("s").ref]], dtype=h5py.ref_dtype)
    file = opened()
    assert file.array("x") is None
    assert file.group("x/0/0/0/0") is not None
    assert file.contents() == "no dataset"


def test_windows_of_matlab_are_read_as_a_source(matlab, tmp_path):
    content = write_windows(tmp_path / "plain.h5")
    with matlab:
        matlab.matrix("imu", content["X"], "single", chunks=(3, 4, 16))
    with closing(open_dialect(tmp_path / "file.mat")) as file:
        options = SourceOptions(windows="imu", labels="", rate_hz=20.0, split_by_window=True)
        source = Source(tmp_path / "file.mat", file, options)
        np.testing.assert_array_equal(source.read_windows(0, source.windows), content["X"])
        assert len(source.fingerprint()) == 32
        assert source.bytes_read([(0, source.windows)]) == 96 * 16 * 3 * 4


PANDAS = {"PYTABLES_FORMAT_VERSION": np.bytes_("2.1"), "CLASS": np.bytes_("GROUP")}


def truths(group, name, values):
    """Bits, as PyTables stores truth."""
    space = h5py.h5s.create_simple(np.shape(values))
    made = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), h5py.h5t.STD_B8LE, space))
    made.id.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(values, "u1"), h5py.h5t.STD_B8LE)
    return made


@pytest.fixture
def fixed(file):
    """`to_hdf(..., format="fixed")` of numbers, truth, texts and times."""
    file.attrs.update(PANDAS)
    frame = file.create_group("run/df")
    frame.attrs.update({"pandas_type": np.bytes_("frame"), "nblocks": np.int64(4)})
    frame["axis0"] = np.array([b"acc_x", b"ok", b"n", b"who", b"acc_y"])
    frame["axis1"] = np.arange(5)
    frame["axis1"].attrs["kind"] = np.bytes_("datetime64[ns]")
    values = np.arange(10.0).reshape(5, 2)
    for number, names in enumerate(
        ([b"acc_x", b"acc_y"], [b"n"], [b"ok"], [b"who"]),
    ):
        frame[f"block{number}_items"] = np.array(names)
    frame["block0_values"] = values
    frame["block1_values"] = np.arange(5, dtype="i4")[:, None]
    truths(frame, "block2_values", [[1], [0], [1], [1], [0]])
    pickled = frame.create_dataset("block3_values", (1,), h5py.vlen_dtype(np.uint8))
    pickled[0] = np.frombuffer(pickle.dumps(["a"] * 5), "u1")
    pickled.attrs["PSEUDOATOM"] = np.bytes_("object")
    file.flush()
    return values


def test_columns_of_a_fixed_frame_by_name(fixed, opened):
    file = opened()
    np.testing.assert_array_equal(file.array("run/df/acc_y").read(1, 4), fixed[1:4, 1])
    assert file.array("run/df/acc_x").shape == (5,)
    assert file.array("run/df/ok").read(0, 5).tolist() == [True, False, True, True, False]
    index = file.group("run").group("df").array("index")
    assert index.read(0, 2).tolist() == [0, 1]
    assert index.attribute("kind") == "datetime64[ns]"
    table = file.array("run/df/table").ready()
    assert (table.shape, table.dtype) == ((5, 3), np.float64)
    assert table.attribute("channels").tolist() == ["acc_x", "n", "acc_y"]
    out = np.empty((3, 3))
    table.read_into(out, 2)
    np.testing.assert_array_equal(out, np.stack([fixed[2:, 0], np.arange(2, 5), fixed[2:, 1]], 1))
    assert file.array("run/df/lost") is None
    assert file.array("run/df/block0_values").shape == (5, 2)
    assert "acc_y (5,) float64" in file.contents()


class Attack:
    called = False

    def __reduce__(self):
        return setattr, (Attack, "called", True)


def test_pickled_columns_are_refused_by_name_and_never_unpickled(file, fixed, opened):
    values = file["run/df/block3_values"]
    values[0] = np.frombuffer(pickle.dumps(Attack()), "u1")
    file["run/df"].attrs["extra"] = np.bytes_(pickle.dumps(Attack(), 0))
    file.flush()
    with pytest.raises(SourceError, match="who"):
        opened().array("run/df/who")
    assert not Attack.called


TABLE_TYPE = [
    ("index", "i8"), ("values_block_0", "f4", (2,)), ("values_block_1", "S4", (1,)),
    ("ok", "u1"), ("values_block_2", "i1", (1,)), ("values_block_3", "i8", (1,)),
]  # fmt: skip


def write_table(file, protocol=0, **changes):
    """`to_hdf(..., format="table", data_columns=["ok"])`."""
    file.attrs.update(PANDAS)
    frame = file.create_group("df")
    frame.attrs["pandas_type"] = np.bytes_("frame_table")
    names = {
        "values_block_0": ["acc_x", "acc/y"],
        "values_block_1": ["who"],
        "ok": ["ok"],
        "values_block_2": ["act"],
        "values_block_3": ["time"],
    } | changes
    rows = [(n, (n, -n), (b"ann",), n % 2, (n % 3 - 1,), (n,)) for n in range(6)]
    table = frame.create_dataset("table", data=np.array(rows, TABLE_TYPE), chunks=(4,))
    table.attrs["index_kind"] = np.bytes_("datetime64[ns]")
    for field, listed in names.items():
        table.attrs[f"{field}_kind"] = np.bytes_(pickle.dumps(listed, protocol))
    for field, kind in {"ok": "bool", "values_block_3": "datetime64[ns]"}.items():
        table.attrs[f"{field}_dtype"] = np.bytes_(kind)
    table.attrs["values_block_2_meta"] = np.bytes_("category")
    frame["meta/values_block_2/meta/table"] = np.array(
        [(0, b"sit"), (1, b"w\xc3\xa4lk")], [("index", "i8"), ("values", "S5")]
    )
    file.flush()


def test_columns_of_a_table_by_name(file, opened):
    write_table(file)
    file = opened()
    assert file.array("df/acc/y").ready().read(0, 6).tolist() == [0, -1, -2, -3, -4, -5]
    assert file.array("df/who").texts(0, 2).tolist() == ["ann", "ann"]
    assert file.array("df/act").texts(0, 3).tolist() == ["", "sit", "wälk"]
    assert file.array("df/ok").read(0, 3).tolist() == [False, True, False]
    assert file.array("df/time").attribute("kind") == "datetime64[ns]"
    table = file.group("df").array("table")
    assert (table.shape, table.dtype, table.piece_rows) == ((6, 2), np.float32, 4)
    assert table.attribute("channels").tolist() == ["acc_x", "acc/y"]
    np.testing.assert_array_equal(table.ready().read(4, 6), [[4, -4], [5, -5]])


def test_a_block_whose_names_are_no_list_of_texts_is_refused(file, opened):
    write_table(file, values_block_0=Attack())
    found = opened()
    with pytest.raises(SourceError, match="values_block_0"):
        found.array("df/values_block_0")
    assert not Attack.called
    assert found.array("df/who").texts(0, 1).tolist() == ["ann"]


@pytest.mark.parametrize("code", [-2, 2])
def test_a_code_that_is_no_category_is_refused(file, opened, code):
    write_table(file)
    rows = file["df/table"][...]
    rows["values_block_2"][3] = code
    file["df/table"][...] = rows
    file.flush()
    with pytest.raises(SourceError, match="act"):
        opened().array("df/act").texts(0, 6)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_are_read_from_a_pickled_list_opcode_by_opcode(protocol):
    assert literal_texts(pickle.dumps(["a", "é", 3], protocol)) == ["a", "é", "3"]
    for other in ([Attack()], Attack(), {"a": 1}, ["a", None], [b"x"]):
        assert literal_texts(pickle.dumps(other, protocol)) is None
    assert literal_texts(b"no pickle") is None
    assert not Attack.called


@pytest.mark.parametrize("damage", ["items", "rows", "names", "blocks", "lost"])
def test_a_frame_that_is_not_as_pandas_writes_it_is_refused(file, fixed, opened, damage):
    frame = file["run/df"]
    if damage == "blocks":
        frame.attrs["nblocks"] = 10**9
    else:
        name = {"items": "block0_items", "names": "axis0"}.get(damage, "block1_values")
        del frame[name]
        if damage != "lost":
            frame[name] = {"items": np.array([b"a"]), "rows": np.zeros((4, 1)), "names": TABLE}[
                damage
            ]
    file.flush()
    with pytest.raises(SourceError) as error:
        opened().array("run/df/acc_x")
    assert "\n" not in str(error.value)


def test_a_time_series_of_nwb_has_its_rate_units_and_scale(file, opened):
    file.attrs["nwb_version"] = "2.6.0"
    series = file.create_group("acquisition/imu")
    series.attrs["neurodata_type"] = "ElectricalSeries"
    data = series.create_dataset("data", data=TABLE.astype("i2"))
    data.attrs.update({"conversion": 0.5, "offset": 2.0, "unit": "volts"})
    start = series.create_dataset("starting_time", data=3.0)
    start.attrs.update({"rate": 51.2, "unit": "seconds"})
    series["channel_conversion"] = np.array([1.0, 2.0, 4.0])
    other = file.create_group("processing/other")
    other["data"] = TABLE
    other["data"].attrs["conversion"] = 0.25
    other["timestamps"] = np.arange(7.0)
    trials = file.create_group("intervals/trials")
    trials.attrs["neurodata_type"] = "TimeIntervals"
    trials["start_time"], trials["stop_time"] = np.arange(2.0), np.arange(2.0) + 1
    trials["what"] = ["sit", "walk"]
    file.flush()
    opened_file = opened()
    imu = opened_file.array("acquisition/imu/data").ready()
    assert imu.attribute("sampling_rate_hz") == 51.2
    assert imu.attribute("scale_to_units").tolist() == [0.5, 1.0, 2.0]
    assert imu.attribute("offset_to_units") == 2.0
    assert imu.attribute("units") == "volts"
    np.testing.assert_array_equal(imu.read(0, 7), TABLE)
    found = opened_file.group("processing").array("other/data")
    assert found.attribute("scale_to_units") == 0.25
    assert found.attribute("sampling_rate_hz") is None
    assert found.attribute("offset_to_units") is None
    assert opened_file.array("processing/other/timestamps").shape == (7,)
    columns = opened_file.group("intervals/trials")
    assert columns.array("stop_time").read(0, 2).tolist() == [1, 2]
    assert columns.array("what").texts(0, 2).tolist() == ["sit", "walk"]


@pytest.fixture
def snirf(file):
    file["formatVersion"] = "1.1"
    file["nirs/data1/dataTimeSeries"] = TABLE
    file["nirs/data1/time"] = [1.0, 100.0]
    file["nirs/metaDataTags/TimeUnit"] = "ms"
    for name, label, rows in (
        ("stim1", "rest", [[0.0, 2, 1], [9, 2, 1]]), ("stim2", "tap", [[4.0, 3, 0.5]]),
    ):  # fmt: skip
        file[f"nirs/{name}/name"] = label
        file[f"nirs/{name}/data"] = rows
    file.flush()
    return file


def test_a_time_of_snirf_that_is_start_and_step_is_given_in_full(snirf, opened):
    data, time = (opened().array(f"nirs/data1/{name}") for name in ("dataTimeSeries", "time"))
    assert data.attribute("sampling_rate_hz") == 10.0
    np.testing.assert_array_equal(data.ready().read(0, 7), TABLE)
    assert (time.shape, time.dtype) == ((7,), np.float64)
    assert time.ready().read(2, 9).tolist() == [201, 301, 401, 501, 601]
    assert time.attribute("units") == "ms"


def test_a_time_of_snirf_in_full_is_as_it_is_stored(snirf, opened):
    del snirf["nirs/data1/time"]
    snirf["nirs/data1/time"] = np.arange(7.0) ** 2
    snirf.flush()
    assert opened().array("nirs/data1/time").read(0, 7).tolist() == [n**2 for n in range(7)]
    assert opened().array("nirs/data1/dataTimeSeries").attribute("sampling_rate_hz") is None


def test_stimuli_of_snirf_are_a_table_of_intervals_by_start(snirf, opened):
    group = opened().group("nirs/intervals")
    assert group.array("start_time").read(0, 3).tolist() == [0, 4, 9]
    assert group.array("stop_time").read(0, 3).tolist() == [2, 7, 11]
    assert group.array("name").texts(0, 3).tolist() == ["rest", "tap", "rest"]
    assert opened().group("nirs").array("intervals/value").read(0, 3).tolist() == [1, 0.5, 1]


@pytest.mark.parametrize("rows", [[1.0, 2, 3], [[1.0, 2]], [[b"a", b"b", b"c"]]])
def test_stimuli_of_another_shape_or_type_are_refused(snirf, opened, rows):
    del snirf["nirs/stim1/data"]
    snirf["nirs/stim1/data"] = np.array(rows)
    snirf.flush()
    with pytest.raises(SourceError, match="stim1"):
        opened().array("nirs/intervals/start_time")


def test_fields_of_a_compound_dataset_are_arrays_by_name(file, opened):
    truth = h5py.enum_dtype({"False": 0, "True": 1})
    fields = [("x", ">f4"), ("name", "S4"), ("ok", truth), ("own", bool), ("m", "i2", (2,))]
    fields += [("long", h5py.string_dtype())]
    rows = [(n, b"a\xc3\xa9", n % 2, n % 2, (n, n), "é" * n) for n in range(9)]
    file.create_dataset("imu/log", data=np.array(rows, fields), chunks=(4,))
    file["imu/flag"] = np.array([True, False])
    file["imu/log"].attrs["sampling_rate_hz"] = 50.0
    file.flush()
    found = opened()
    x = found.array("imu/log/x").ready()
    assert (x.shape, x.piece_rows, x.attribute("sampling_rate_hz")) == ((9,), 4, 50.0)
    out = np.empty(5, "f4")
    x.read_into(out, 3)
    assert out.tolist() == [3, 4, 5, 6, 7]
    assert found.array("imu/log/name").texts(7, 9).tolist() == ["aé", "aé"]
    assert found.array("imu/log/long").texts(1, 3).tolist() == ["é", "éé"]
    for name in ("ok", "own"):
        assert found.array(f"imu/log/{name}").dtype == bool
        assert found.group("imu/log").array(name).read(0, 2).tolist() == [False, True]
    assert found.array("imu/log/m").shape == (9, 2)
    assert found.array("imu/flag").dtype == bool
    assert found.array("imu/log/lost") is None
    assert found.array("imu/log").dtype.names == tuple(name for name, *_ in fields)
    assert "imu/log/x (9,) >f4" in found.contents()
    with pytest.raises(TypeError):
        x.texts(0, 1)
    file["imu/log"][0] = (0, b"\xff", 0, 0, (0, 0), "")
    file.flush()
    with pytest.raises(UnicodeDecodeError):
        opened().array("imu/log/name").texts(0, 1)


def test_plain_hdf5_is_as_it_was(tmp_path):
    path = tmp_path / "plain.h5"
    write_recordings(path)
    with closing(open_hdf5(path)) as plain, closing(open_dialect(path)) as found:
        assert found.contents() == plain.contents()
        for name in ("signals", "labels", "classes"):
            assert vars(found.array(name)).keys() == vars(plain.array(name)).keys()
            assert type(found.array(name)) is type(plain.array(name))
        assert [found.array("nothing/there"), found.group("nothing")] == [None] * 2
        assert found.group("recordings").array("start").read(0, 3).tolist() == [0, 90, 130]
        with pytest.raises(SourceError):
            Source(path, found, SourceOptions(signals="nothing"))
