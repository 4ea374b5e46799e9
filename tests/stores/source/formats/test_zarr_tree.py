"""Zarr of both versions: any slice is the array's, decoded once; what cannot be is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from collections import Counter
from contextlib import closing

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from headrace.stores.errors import SourceError
from headrace.stores.source.formats import zarr_arrays, zarr_places
from headrace.stores.source.formats.zarr_tree import open_zarr
from headrace.stores.source.slices import chunks_read
from tests.refusals import refused
from tests.stores.source.formats.object_places import as_objects

VALUES = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
NAMES = np.array(["walk", "", "läuft", "run"] * 25, dtype=object)
VERSION = pytest.mark.parametrize("version", [2, 3])


def write(path, version=3, **arrays_):
    """A Zarr of these arrays; of each, its values or `zarr.create_array`'s arguments too."""
    root = zarr.open_group(path, mode="w", zarr_format=version)
    for name, given_ in arrays_.items():
        values, options = given_ if isinstance(given_, tuple) else (given_, {"chunks": (10, 4)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = str if values.dtype == object else values.dtype
            options = {"dtype": kind, "overwrite": True} | options
            root.create_array(name, shape=values.shape, **options)[...] = values
    return path


def zipped(path):
    with zipfile.ZipFile(f"{path}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(path.rglob("*")):
            archive.write(each, each.relative_to(path))
    return path.with_name(f"{path.name}.zip")


def edit(path, **changes):
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | changes))


def counted(array):
    """How often each chunk is read from now on."""
    place, counts = array._documents.place, Counter()
    read = type(place).read

    def count(key, start, length):
        counts[key] += 1
        return read(place, key, start, length)

    place.read = count
    return counts


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), version=st.sampled_from([2, 3]), pack=st.booleans())
def test_any_slice_is_that_of_the_array(tmp_path, data, version, pack):
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=7))
    kind = data.draw(st.sampled_from(["<f4", ">f8", "<i2", "u1", "?"]))
    values = data.draw(arrays.arrays(kind, shape, elements={"allow_nan": False}))
    chunks = data.draw(st.tuples(*[st.integers(1, 4)] * len(shape)))
    options = {"chunks": chunks}
    if version == 3 and data.draw(st.booleans()):
        options["shards"] = tuple(2 * length for length in chunks)
    if version == 2:
        options["order"] = data.draw(st.sampled_from("CF"))
    path = write(tmp_path / "a.zarr", version, x=(values, options))
    with closing(open_zarr(zipped(path) if pack else path)) as file:
        array = file.array("x").ready()
        assert (array.shape, array.dtype.kind) == (shape, values.dtype.kind)
        assert array.piece_rows == chunks[0]
        for _ in range(3):
            start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(values))] * 2)))
            read = array.read(start, stop)
            assert read.flags.c_contiguous
            assert np.array_equal(read, values[start:stop])
            native = np.zeros(read.shape, dtype=values.dtype.newbyteorder("="))
            array.read_into(native, start)
            assert np.array_equal(native, values[start:stop])
        assert np.array_equal(array.whole(), values)
        with pytest.raises(IndexError):
            array.read_into(np.zeros((len(values) + 1, *shape[1:])), 0)


@VERSION
@pytest.mark.parametrize("kind", ["O", "U", "S"])
def test_texts_are_read_whatever_they_are_stored_as(tmp_path, version, kind):
    values = NAMES if kind == "O" else NAMES.astype("U")
    if kind == "S":
        values = np.char.encode(values, "utf-8")
    path = write(tmp_path / "a.zarr", version, y=(values, {"chunks": (7,)}))
    with closing(open_zarr(path)) as file:
        array = file.array("y")
        assert array.dtype.kind == kind
        assert array.texts(3, 60).tolist() == NAMES[3:60].tolist()
        assert array.texts(5, 5).tolist() == []
        whole = [each.decode() if kind == "S" else each for each in array.whole().tolist()]
        assert whole == NAMES.tolist()
    with closing(open_zarr(write(path, version, y=VALUES))) as file, pytest.raises(TypeError):
        file.array("y").texts(0, 3)


def test_names_that_are_not_utf8_are_said_to_be(tmp_path):
    values = np.array([b"\xff", b"a"])
    plain = {"chunks": (100,), "compressors": None}
    path = write(tmp_path / "a.zarr", 2, s=(values, {"chunks": (2,)}), o=(NAMES, plain))
    chunk = path / "o" / "0"
    chunk.write_bytes(chunk.read_bytes().replace("ä".encode(), b"\xff\xff"))
    with closing(open_zarr(path)) as file:
        for name in "so":
            with pytest.raises(UnicodeDecodeError):
                file.array(name).texts(0, 2)


@VERSION
@pytest.mark.parametrize("cache", [1, 3 * 10 * 8 * 4, 1 << 20])
def test_reading_on_decodes_each_chunk_as_often_as_is_said(tmp_path, monkeypatch, version, cache):
    monkeypatch.setattr(zarr_arrays, "MIN_CHUNK_CACHE", cache)
    monkeypatch.setattr(zarr_arrays, "MAX_CHUNK_CACHE", cache)
    with closing(open_zarr(write(tmp_path / "a.zarr", version, x=VALUES))) as file:
        array = file.array("x")
        assert array.cache_bytes == cache
        assert array.row_bytes == 8 * 4  # Two chunks of four columns each.
        counts = counted(array)
        spans = [(0, 14), (14, 55), (50, 52), (45, 60), (60, 100), (0, 3)]
        spans += [(start, start + 10) for start in (10, 20, 0, 30, 0, 20)]
        for start, stop in spans:
            assert np.array_equal(array.read(start, stop), VALUES[start:stop])
            held = [part if part.base is None else part.base for part in array._kept.values()]
            assert sum(part.nbytes for part in held) <= cache
        assert sum(counts.values()) == 2 * chunks_read(spans, 10, cache // (10 * 8 * 4))


def test_of_a_shard_only_the_chunks_that_are_wanted_are_read(tmp_path):
    values = np.random.default_rng(0).normal(size=(1000, 8))
    path = write(tmp_path / "a.zarr", x=(values, {"chunks": (10, 8), "shards": (1000, 8)}))
    with closing(open_zarr(path)) as file:
        array = file.array("x")
        place, lengths = array._documents.place, []
        read = place.read

        def measured(*asked):
            found = read(*asked)
            lengths.append(len(found))
            return found

        place.read = measured
        assert np.array_equal(array.read(205, 215), values[205:215])
        assert array.piece_rows == 10
        assert sum(lengths) < values.nbytes / 10


@pytest.mark.parametrize("chunks", [(500, 16), (10_000, 16), (60_000, 16)])
def test_reading_holds_no_more_than_is_said(tmp_path, monkeypatch, chunks):
    monkeypatch.setattr(zarr_arrays, "MAX_CHUNK_CACHE", 1 << 20)
    values = np.arange(60_000 * 16, dtype=np.int16).reshape(-1, 16)
    path = write(tmp_path / "a.zarr", x=(values, {"chunks": chunks}))
    with closing(open_zarr(path)) as file:
        array = file.array("x")
        out = np.empty((10_000, 16), np.int16)
        array.read_into(out[:1], 0)
        array._kept.clear()
        tracemalloc.start()
        for start in range(0, 60_000, 10_000):
            array.read_into(out, start)
            assert np.array_equal(out, values[start : start + 10_000])
        held, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        slack = 1 << 20
        assert held < array.cache_bytes + slack
        assert most < array.cache_bytes + array.decode_bytes + slack


@VERSION
def test_attributes_are_those_of_the_array_else_of_its_groups(tmp_path, version):
    path = write(tmp_path / "a.zarr", version, **{"s/x": VALUES})
    root = zarr.open_group(path)
    root.attrs.update(rate=20, units="g", who="root")
    root["s"].attrs.update(units=["m"] * 6, who="s")
    root["s/x"].attrs["who"] = "x"
    with closing(open_zarr(path)) as file:
        array = file.group("s").array("x")
        found = [array.attribute(name) for name in ("rate", "units", "who", "none")]
        assert found == [20, ["m"] * 6, "x", None]


@VERSION
@pytest.mark.parametrize("pack", [False, True])
def test_groups_and_names_are_those_of_the_tree(tmp_path, version, pack):
    path = write(tmp_path / "a.zarr", version, **{"s/c/x": VALUES, "y": VALUES})
    with closing(open_zarr(zipped(path) if pack else path)) as file:
        group = file.group("s")
        assert (file.name, group.name, group.group("c").array("x").name) == ("/", "/s", "/s/c/x")
        assert file.array("/s/c/x").where.endswith(":/s/c/x")
        nothing = [file.array("s"), file.group("y"), file.array("z"), group.array("x")]
        assert nothing == [None] * 4
        assert group.contents() == "c/x (100, 6) float32"
        assert file.contents() == "s/c/x (100, 6) float32, y (100, 6) float32"
        assert not file.fetch(set(group.array("c/x").byte_spans(0, 10)))


def test_chunks_are_not_searched_for_arrays(tmp_path):
    path = write(tmp_path / "a.zarr", x=VALUES)
    shutil.copy(path / "x/zarr.json", path / "x/c/0/zarr.json")
    with closing(open_zarr(path)) as file:
        assert file.contents() == "x (100, 6) float32"


@VERSION
def test_a_zarr_that_is_one_array_is_called_array(tmp_path, version):
    zarr.save_array(tmp_path / "a.zarr", VALUES, zarr_format=version)
    with closing(open_zarr(tmp_path / "a.zarr")) as file:
        assert np.array_equal(file.array("array").read(3, 9), VALUES[3:9])
        assert file.array("array").name == "/array"
        assert file.contents() == "array (100, 6) float32"


@VERSION
def test_one_value_and_no_rows_are_arrays_too(tmp_path, version):
    empty = np.zeros((0, 3), dtype=np.int16)
    path = write(tmp_path / "a.zarr", version, a=(np.array(7), {}), b=(empty, {}))
    with closing(open_zarr(path)) as file:
        assert (file.array("a").shape, file.array("a").whole()) == ((), 7)
        assert file.array("b").read(0, 5).shape == (0, 3)


@VERSION
def test_chunks_that_are_not_there_are_fill_values(tmp_path, version):
    values = np.concatenate([VALUES[:20], np.full_like(VALUES[:40], 3)])
    path = write(tmp_path / "a.zarr", version, x=(values, {"chunks": (10, 6), "fill_value": 3}))
    assert len([each for each in (path / "x").rglob("*") if each.is_file()]) < 6
    with closing(open_zarr(path)) as file:
        assert np.array_equal(file.array("x").read(0, 60), values)


@pytest.mark.parametrize("separator", "./")
def test_a_chunk_that_stands_for_nothing_is_named(tmp_path, separator):
    keys = {"name": "v2", "separator": separator}
    options = {"chunks": (10, 4), "chunk_key_encoding": keys}
    path = write(tmp_path / "a.zarr", 2, x=(VALUES, options))
    edit(path / "x/.zarray", fill_value=None)
    key = separator.join("31")
    (path / "x" / key).unlink()
    with closing(open_zarr(path)) as file:
        array = file.array("x")
        assert np.array_equal(array.read(0, 30), VALUES[:30])
        with refused(SourceError, "/x", key):
            array.read(29, 31)
        with refused(SourceError, "/x", key):
            array.whole()


@VERSION
@pytest.mark.parametrize("rows", [10**7, 10**15, 10**40])
def test_what_was_never_written_is_refused(tmp_path, version, rows):
    path = write(tmp_path / "a.zarr", version, x=(np.zeros((20, 50)), {"chunks": (10, 50)}))
    edit(path / "x" / ("zarr.json" if version == 3 else ".zarray"), shape=[rows, 50])
    for place in (path, zipped(path)):
        with closing(open_zarr(place)) as file, refused(SourceError, "/x"):
            file.array("x")


def test_consolidated_metadata_is_not_believed(tmp_path):
    for version in (2, 3):
        path = write(tmp_path / f"{version}.zarr", version, x=VALUES, y=VALUES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(path)
        write(path / "more", version, x=VALUES)
        shutil.rmtree(path / "y")
        edit(path / "x" / ("zarr.json" if version == 3 else ".zarray"), shape=[50, 6])
        with closing(open_zarr(path)) as file:
            assert file.array("x").shape == (50, 6)
            assert file.array("more/x").shape == (100, 6)
            assert file.array("y") is None


@pytest.mark.parametrize("name", ["../a.zarr/x", "s/../x", "x/..", "s//x", "..\\x", "", "a/" * 101])
def test_names_that_do_not_lead_down_are_refused(tmp_path, name):
    file = open_zarr(write(tmp_path / "a.zarr", **{"s/x": VALUES}, x=VALUES))
    for find in (file.array, file.group):
        with refused(SourceError, str(tmp_path / "a.zarr")):
            find(name)


@VERSION
@pytest.mark.parametrize("where", ["x", "x/document", "chunk"])
def test_links_out_of_the_folder_are_refused(tmp_path, version, where):
    document = "zarr.json" if version == 3 else ".zarray"
    chunk = "x/c/0/0" if version == 3 else "x/0.0"
    where = where.replace("document", document).replace("chunk", chunk)
    path = write(tmp_path / "a.zarr", version, x=VALUES)
    (path / where).rename(tmp_path / "elsewhere")
    (path / where).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(path)  # The Zarr itself may be one.
    for place in (path, tmp_path / "link"):
        with closing(open_zarr(place)) as file, refused(SourceError, str(place)):
            file.array("x").read(0, 5)


def test_links_within_the_folder_are_followed(tmp_path):
    path = write(tmp_path / "a.zarr", x=VALUES)
    (path / "y").symlink_to(path / "x")
    with closing(open_zarr(path)) as file:
        assert np.array_equal(file.array("y").read(0, 5), VALUES[:5])


@VERSION
def test_a_codec_that_unpickles_is_refused_by_name_and_never_run(tmp_path, monkeypatch, version):
    path = write(tmp_path / "a.zarr", version, x=VALUES, y=VALUES)
    pickle = {"id": "pickle", "protocol": 5}
    if version == 2:
        edit(path / "x/.zarray", compressor=pickle)
        edit(path / "y/.zarray", filters=[pickle])
    else:
        pickle["id"] = "numcodecs.pickle"
        edit(path / "x/zarr.json", codecs=[{"name": pickle["id"], "configuration": {}}])
        inner = {"chunk_shape": [5, 2], "codecs": [{"name": "pickle"}], "index_codecs": []}
        edit(path / "y/zarr.json", codecs=[{"name": "sharding_indexed", "configuration": inner}])
    chunk = path / ("x/0.0" if version == 2 else "x/c/0/0")
    chunk.write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(tmp_path / "ran") + b"'\ntR.")
    # Newer releases refuse it themselves.
    monkeypatch.setattr(zarr, "open_array", lambda *_, **__: pytest.fail("zarr was asked"))
    with closing(open_zarr(path)) as file:
        for name, what in (("x", pickle["id"]), ("y", "pickle")):
            with refused(SourceError, f"/{name}", what):
                file.array(name).read(0, 1)
        assert file.contents() == "no dataset"
    assert not (tmp_path / "ran").exists()


@VERSION
def test_an_unknown_codec_is_named(tmp_path, version):
    path = write(tmp_path / "a.zarr", version, x=VALUES)
    if version == 2:
        edit(path / "x/.zarray", compressor={"id": "squeeze9"})
    else:
        codecs = [{"name": "bytes"}, {"name": "squeeze9"}]
        edit(path / "x/zarr.json", codecs=codecs)
    with closing(open_zarr(path)) as file, refused(SourceError, "/x", "squeeze9") as caught:
        file.array("x")
    assert "\n" not in str(caught.value)


def grid(*chunk):
    return {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}


def shards(*chunk):
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    inner = {"chunk_shape": list(chunk), "codecs": codecs, "index_codecs": codecs}
    return {"codecs": [{"name": "sharding_indexed", "configuration": inner}]}


HOSTILE = {
    "negative": ({"shape": [-5, 6]},) * 2,
    "no numbers": ({"shape": ["many", 6]},) * 2,
    "digits": ({"shape": [10**4000, 10**4000]},) * 2,
    "fractions": ({"shape": [10.5, 6]},) * 2,
    "no shape": ({"shape": None},) * 2,
    "nested shape": ({"shape": [[1], 6]},) * 2,
    "chunk of 10 GB": ({"chunks": [1 << 30, 6]}, {"chunk_grid": grid(1 << 30, 6)}),
    "empty chunk": ({"chunks": [0, 6]}, {"chunk_grid": grid(0, 6)}),
    "negative chunk": ({"chunks": [-1, 6]}, {"chunk_grid": grid(-1, 6)}),
    "dimensions": ({"chunks": [10]}, {"chunk_grid": grid(10)}),
    "300 dimensions": (
        {"shape": [1 << 60] * 300, "chunks": [1] * 300},
        {"shape": [1 << 60] * 300, "chunk_grid": grid(*[1] * 300)},
    ),
    "no grid": ({"chunks": None}, {"chunk_grid": {"name": "hexagonal"}}),
    "type": ({"dtype": "quaternion"}, {"data_type": "quaternion"}),
    "no bytes": (
        {"dtype": "|S0"},
        {"data_type": {"name": "null_terminated_bytes", "configuration": {"length_bytes": 0}}},
    ),
    "version": ({"zarr_format": 9}, {"zarr_format": 9}),
    "shard": ({"shape": -1}, shards(1, 1) | {"chunk_grid": grid(1 << 20, 6)}),
    "half a shard": ({"shape": True}, shards(3, 4)),
    "objects": ({"dtype": "|O", "filters": None}, {"codecs": []}),
    "transformers": ({"filters": 3}, {"storage_transformers": [{"name": "x"}]}),
}


@VERSION
@pytest.mark.parametrize("case", HOSTILE)
def test_metadata_that_cannot_be_is_refused(tmp_path, version, case):
    path = write(tmp_path / "a.zarr", version, x=VALUES, y=VALUES)
    edit(path / "x" / ("zarr.json" if version == 3 else ".zarray"), **HOSTILE[case][version - 2])
    with closing(open_zarr(path)) as file:
        assert file.contents() == "y (100, 6) float32"
        with refused(SourceError, "/x") as caught:
            file.array("x")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@VERSION
@pytest.mark.parametrize("text", ["{", "[1]", "", '{"node_type": "tree"}', "[" * 5000, "\udc80"])
def test_broken_documents_are_named(tmp_path, version, text):
    path = write(tmp_path / "a.zarr", version, x=VALUES)
    document = "zarr.json" if version == 3 else ".zarray"
    (path / "x" / document).write_bytes(text.encode(errors="surrogateescape"))
    with closing(open_zarr(path)) as file, refused(SourceError, "x"):
        file.array("x")


def test_documents_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.stores.source.formats.zarr_documents.MOST_DOCUMENT", 400)
    path = write(tmp_path / "a.zarr", x=VALUES)
    with closing(open_zarr(path)) as file, refused(SourceError, "x/zarr.json"):
        file.array("x")


@pytest.mark.parametrize("what", ["nothing", "folder", "file", "zip", "zip of the folder"])
def test_what_is_no_zarr_is_said_to_be(tmp_path, what):
    path = tmp_path / "a.zarr"
    if what == "folder":
        (path / "x").mkdir(parents=True)
    elif what == "file":
        path.write_bytes(b"\x89HDF\r\n\x1a\n")
    elif what.startswith("zip"):
        inside = "a.zarr/" if what == "zip of the folder" else "none/"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{inside}zarr.json", "{}")
    with refused(SourceError, str(path)):
        open_zarr(path)


def test_deep_groups_are_neither_walked_nor_read(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        group = json.dumps({"zarr_format": 3, "node_type": "group"})
        for depth in range(0, 10_000, 50):
            archive.writestr("g/" * depth + "zarr.json", group)
    with closing(open_zarr(path)) as file:
        assert file.contents() == "no dataset"
        assert file.group("/".join("g" * 50)) is not None
        with refused(SourceError, str(path)):
            file.array("g/" * 10_000 + "x")


@VERSION
@pytest.mark.parametrize("packed", [None, "zstd", "blosc"])
def test_a_damaged_or_endless_chunk_is_an_error(tmp_path, version, packed):
    codecs = {None: None, "zstd": numcodecs.Zstd(), "blosc": numcodecs.Blosc()}
    if version == 3:
        codecs |= {"zstd": zarr.codecs.ZstdCodec(), "blosc": zarr.codecs.BloscCodec()}
    options = {"chunks": (10, 4), "compressors": codecs[packed]}
    path = write(tmp_path / "a.zarr", version, x=(VALUES, options))
    chunk = path / ("x/0.0" if version == 2 else "x/c/0/0")
    good = chunk.read_bytes()
    with chunk.open("r+b") as stream:
        stream.truncate(1 << 40)
    with closing(open_zarr(path)) as file, refused(SourceError):
        file.array("x").read(0, 5)
    for content in (good[:20], b"", good[:-1], *([bytes(len(good))] if packed else [])):
        chunk.write_bytes(content)
        with closing(open_zarr(path)) as file, refused(SourceError, "/x"):
            file.array("x").read(0, 5)
    chunk.unlink()
    os.mkfifo(chunk)  # Would be waited for without end.
    with closing(open_zarr(path)) as file, refused(SourceError, chunk.name):
        file.array("x").read(0, 5)


def test_objects_are_read_as_files_are(tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    for version, options in ((2, {}), (3, {"shards": (50, 6)})):
        content = (VALUES, {"chunks": (10, 6)} | options)
        zipped(write(tmp_path / f"files/{version}.zarr", version, **{"s/x": content}))
    with as_objects(tmp_path / "files", monkeypatch) as place:
        for name in ("2.zarr", "2.zarr.zip", "3.zarr", "3.zarr.zip"):
            with closing(open_zarr(place / name)) as file:
                assert np.array_equal(file.array("s/x").read(5, 77), VALUES[5:77])
                assert file.contents() == "s/x (100, 6) float32"
                assert file.array("y") is None
                assert file.fetched_bytes > 0
        with refused(SourceError, str(place / "none")):
            open_zarr(place / "none")


def test_zip_files_that_are_not_sound_are_refused(tmp_path, monkeypatch):
    path = zipped(write(tmp_path / "a.zarr", x=VALUES))
    with monkeypatch.context() as patched, refused(SourceError, str(path)):
        patched.setattr(zarr_places, "MOST_MEMBERS", 3)
        open_zarr(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../x", "")
    with refused(SourceError, str(path)):
        open_zarr(path)


def test_zarr_is_loaded_only_where_an_array_is_opened():
    module = "headrace.stores.source.formats.zarr_tree"
    code = f"import sys, {module}; sys.exit('zarr' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numcodecs_has_no_other_codec_that_unpickles():
    names = [name for name in numcodecs.registry.codec_registry if "pickle" in name]
    assert names == ["pickle"]
