"""Input that is wrong or hostile: one line with the way out, exit code 2, nothing written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table, load_config
from headrace.stores.errors import UserError
from headrace.stores.manifest import read_manifest
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe import open_stranger
from tests.stores.source_files import C, N, T, write_recordings, write_windows

Make = Callable[[Path], Any]
X = np.random.default_rng(0).normal(size=(N, T, C)).astype(np.float32)


def refuse(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run a command; it must answer in one line, and leave everything as it is."""
    before = tree(folder)
    try:
        code = main(arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    assert re.search(message, error), error
    assert tree(folder) == before


def tree(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): os.readlink(path)
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else "no file")
        for path in folder.rglob("*")
    }


SETTINGS = {
    "nonsense=1": "unknown key nonsense",
    "store=3": "this is a section",
    "store.chunk_windows=0": "store.chunk_windows",
    "store.chunk_windows=-5": "store.chunk_windows",
    "store.chunk_windows=1.5": "store.chunk_windows",
    'store.chunk_windows="many"': "store.chunk_windows",
    "store.chunk_windows=10000000000000000000000": "store.chunk_windows",
    "store.chunk_windows=100000000": "larger than its codec can hold",
    "store.shard_windows=100": r"multiple of store.chunk_windows = 4096",
    "store.shard_windows=0": "store.shard_windows",
    "store.block_windows=-1": "store.block_windows",
    "store.compressor=rar": "store.compressor",
    "store.level=10": "store.level",
    "store.level=-1": "store.level",
    "store.seed=-1": "store.seed",
    "store.seed=9223372036854775808": "store.seed",
    "store.raw_dtype=object": "store.raw_dtype",
    "store.raw_dtype=int8": "store.raw_dtype",
    "folds.count=1": "folds.count",
    "folds.count=4": r"folds.count = 4 is above the 3 groups.*Set folds.count = 3",
    "folds.count=99999999999": "is above the 3 groups",
    "folds.by=luck": "folds.by",
    'folds.test_groups=["nobody"]': "nobody",
    "folds.test_groups=[]{": "folds.test_groups",
    "features.select=3": "features.select",
    'features.select=["nothing_like_it"]': "nothing_like_it",
    'features.custom=["os:system"]': "features",
    'features.custom=["no.such.module:f"]': "no.such",
    'features.custom=["../x:f"]': "features",
    'features.triads={acc=["a","b"]}': "features.triads",
    'features.triads={acc=["a","b","c"]}': r"Triad acc names a, b, c; the channels are",
    'features.accelerometers=["acc"]': "Declare it in features.triads",
    "features.workers=0": "features.workers",
    "features.workers=-3": "features.workers",
    "memory.budget=0": "memory.budget",
    "memory.budget=-1GiB": "memory.budget",
    "memory.budget=lots": "a size is wanted",
    "memory.budget=nan": "memory.budget",
    "memory.budget=1e400": "memory.budget",
    "memory.budget=1MiB": "budget",
    "source.rate_hz=0": "source.rate_hz",
    "source.rate_hz=-50": "source.rate_hz",
    "source.rate_hz=nan": "source.rate_hz",
    "source.rate_hz=inf": "source.rate_hz",
    "source.layout=sideways": "source.layout",
    "source.windows=nothing": "no dataset 'nothing'",
    "source.windows=../X": "no dataset",
    "source.labels=nothing": "no dataset 'nothing'",
    "source.groups=nothing": "no dataset 'nothing'",
    "source.split=nothing": "no dataset 'nothing'",
    "source.non_finite=ignore": "source.non_finite",
    "source.fill_value=inf": "source.fill_value",
    "source.overlap=1": "source.overlap",
    "source.window_s=1": "for recordings",
    "source.target_rate_hz=10": "recordings",
    'source.channels=["a"]': "for the 3 channels",
    'source.channels=["a","a","b"]': "a name of its own",
    'source.channels=["a","","b"]': "a name of its own",
    "source.scale=[1.0,0.0,1.0]": "not 0",
    "source.scale=[1.0]": "source.scale",
    "source.scale=[1.0,nan,1.0]": "source.scale",
    'source.class_map={a=["7"]}': "matches no label",
    'source.exclude_labels=["*"]': "label that is kept",
    "train.epochs=0": "train.epochs",
    "train.epochs=x": "train.epochs",
    "train.batch=-1": "train.batch",
    "train.learning_rate=nan": "train.learning_rate",
    "train.learning_rate=inf": "train.learning_rate",
    "train.learning_rate=0": "train.learning_rate",
    "train.weight_decay=-1": "train.weight_decay",
    "train.weight_decay=inf": "train.weight_decay",
    "train.clip_norm=inf": "train.clip_norm",
    "train.seed=4294967296": "train.seed",
    "train.deterministic=perhaps": "train.deterministic",
    "train.warmup_epochs=inf": "train.warmup_epochs",
    "augment.scale_strength=inf": "augment.scale_strength",
    "augment.noise_probability=2": "augment.noise_probability",
    "augment.mask_fraction=1": "augment.mask_fraction",
    "augment.mix_strength=0": "augment.mix_strength",
    "model.filters=0": "model.filters",
    "model.filters=-8": "model.filters",
    "model.dropout=1.5": "model",
    "model.inputs=everything": "model.inputs",
    "split.folds=2": "split.folds",
    "split.test_fold=-1": "split.test_fold",
    "evaluate.views=[]": "evaluate.views",
    'evaluate.views=["zoom:2"]': "a view is",
    "evaluate.batch=0": "evaluate.batch",
    "stream.read_threads=0": "stream.read_threads",
    "stream.prefetch_batches=1": "stream.prefetch_batches",
    "stream.index_cache=0": "stream.index_cache",
    "stream.buffer_chunks=0": "stream.buffer_chunks",
    "=3": "--set takes section.key=value",
    "store.": "--set takes section.key=value",
    "store..seed=1": "--set takes section.key=value",
    "name=../../elsewhere": "name",
    "name=": "name",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_that_cannot_be_meant(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_windows(tmp_path / "source.h5")
    arguments = ["--data", str(tmp_path / "source.h5"), "--store", str(tmp_path / "new.zarr")]
    refuse(
        ["features", *arguments, "--quiet", "--set", setting], SETTINGS[setting], tmp_path, capsys
    )


CONFIGS: dict[str, tuple[bytes, str]] = {
    "not TOML": (b"[store\nseed = 1", "not valid TOML"),
    "twice": (b"[store]\nseed = 1\nseed = 2", "not valid TOML"),
    "invalid UTF-8": (b"[paths]\ndata = '\xff\xfe'", "not valid TOML"),
    "NUL": (b"name = 'a\x00b'", "not valid TOML"),
    "binary": (bytes(range(256)), "not valid TOML"),
    "a date": (b"[store]\nseed = 2020-01-01", "store.seed"),
    "a list of sections": (b"[[store]]\nseed = 1", "this is a section"),
    "deep": (b"a = " + b"[" * 5000 + b"]" * 5000, "config.toml"),
    "an unknown section": (b"[trian]\nepochs = 1", "unknown key trian"),
    "an unknown key": (b"[train]\nepoch = 1", "Did you mean train.epochs"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_cannot_be_meant(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = CONFIGS[name]
    (tmp_path / "config.toml").write_bytes(content)
    write_windows(tmp_path / "source.h5")
    arguments = ["--data", str(tmp_path / "source.h5"), "--store", str(tmp_path / "new.zarr")]
    refuse(
        ["features", "--config", str(tmp_path / "config.toml"), *arguments],
        message,
        tmp_path,
        capsys,
    )


def windows(**changes: Any) -> Make:
    return lambda folder: write_windows(folder / "source.h5", **changes)


def recordings(**changes: Any) -> Make:
    return lambda folder: write_recordings(folder / "source.h5", **changes)


def changed(change: Callable[[h5py.File], Any], recorded: bool = False) -> Make:
    def make(folder: Path) -> None:
        (write_recordings if recorded else write_windows)(folder / "source.h5")
        with h5py.File(folder / "source.h5", "r+") as file:
            change(file)

    return make


def bytes_of(content: bytes) -> Make:
    return lambda folder: (folder / "source.h5").write_bytes(content)


def cut(share: float) -> Make:
    def make(folder: Path) -> None:
        write_windows(folder / "source.h5")
        size = (folder / "source.h5").stat().st_size
        os.truncate(folder / "source.h5", int(size * share))

    return make


def replaced(name: str, **how: Any) -> Make:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return changed(change)


def linked(link: Any) -> Make:
    def make(folder: Path) -> None:
        write_windows(folder / "other.h5")
        write_windows(folder / "source.h5", X=None)
        with h5py.File(folder / "source.h5", "r+") as file:
            file["X"] = link

    return make


def external_storage(file: h5py.File) -> None:
    del file["X"]
    file.create_dataset("X", (N, T, C), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File) -> None:
    del file["X"]
    layout = h5py.VirtualLayout((N, T, C), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "X", (N, T, C))
    file.create_virtual_dataset("X", layout)


def unwritten(file: h5py.File) -> None:
    """Ten million million windows that were never written."""
    for name, shape, kind in (
        ("X", (10**13, T, C), "f4"),
        ("y", (10**13,), "i4"),
        ("groups", (10**13,), "i4"),
    ):
        del file[name]
        file.create_dataset(name, shape, kind, chunks=(1000, *shape[1:]))


def bomb(file: h5py.File) -> None:
    """One chunk of 3 GB that is a few MB on disk."""
    del file["X"]
    data = file.create_dataset("X", (N, 2**21, 4), "f4", chunks=(N, 2**21, 4), compression="gzip")
    data.id.write_direct_chunk((0, 0, 0), np.random.default_rng(0).bytes(60_000))


def unknown_filter(file: h5py.File) -> None:
    del file["X"]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((10, T, C))
    space = h5py.h5s.create_simple((N, T, C))
    properties.set_filter(h5py.h5z.FILTER_SHUFFLE, 0)
    h5py.h5d.create(file.id, b"X", h5py.h5t.IEEE_F32LE, space, properties)
    file["X"][...] = X


def name_filter(folder: Path) -> None:
    """A filter that no library has: its number is changed in the file."""
    changed(unknown_filter)(folder)
    path = folder / "source.h5"
    content = path.read_bytes()
    at = content.index(b"shuffle\x00")
    # The message before the name: filter number, length of the name, flags, values.
    path.write_bytes(content[: at - 8] + (32099).to_bytes(2, "little") + content[at - 6 :])


def cyclic(file: h5py.File) -> None:
    del file["X"]
    file.create_group("a")["b"] = h5py.SoftLink("/a")
    file["a"]["hard"] = file["/"]


def long_text(file: h5py.File) -> None:
    del file["y"]
    file["y"] = [f"label {n}\x1b[2J\n" for n in range(N)]


NAN = X.copy()
NAN[[3, 50], 2, 1] = np.nan

SOURCES: dict[str, tuple[Make, str]] = {
    "an empty file": (bytes_of(b""), "cannot be read as HDF5"),
    "text": (bytes_of(b"time,acc_x\n1,2\n"), "cannot be read as HDF5"),
    "a signature alone": (bytes_of(b"\x89HDF\r\n\x1a\n"), "cannot be read as HDF5"),
    "a signature and noise": (
        bytes_of(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40),
        "cannot be read",
    ),
    "a tenth of a file": (cut(0.1), "source.h5"),
    "half a file": (cut(0.5), "source.h5"),
    "all but the end": (cut(0.999), "source.h5"),
    "a folder": (lambda folder: (folder / "source.h5").mkdir(), "is a folder"),
    "no data": (windows(X=None), "neither X nor signals"),
    "no labels": (windows(y=None), "no dataset y"),
    "no groups": (windows(groups=None), "split_by_window"),
    "two dimensions": (windows(X=np.zeros((N, T))), "is needed"),
    "four dimensions": (windows(X=np.zeros((N, T, C, 2))), "is needed"),
    "a scalar": (windows(X=np.float32(3)), "is needed"),
    "no windows": (windows(X=np.zeros((0, T, C))), "empty"),
    "no samples": (windows(X=np.zeros((N, 0, C))), "empty"),
    "no channels": (windows(X=np.zeros((N, T, 0))), "empty"),
    "a null space": (
        changed(lambda f: (f.__delitem__("X"), f.create_dataset("X", data=h5py.Empty("f4")))),
        "is needed|neither",
    ),
    "text for data": (windows(X=np.full((N, T, C), b"abc")), "holds"),
    "complex data": (windows(X=X.astype("c8")), "a source holds float16"),
    "booleans": (windows(X=X > 0), "a source holds float16"),
    "compound data": (windows(X=np.zeros((N, T, C), [("a", "f4")])), "a source holds"),
    "object data": (replaced("X", shape=(N, T, C), dtype=h5py.vlen_dtype("f4")), "a source holds"),
    "references": (replaced("X", shape=(N, T, C), dtype=h5py.ref_dtype), "a source holds"),
    "long doubles": (windows(X=X.astype("f16")), "a source holds"),
    "fewer labels": (windows(y=np.zeros(N - 1, int)), "entries for the 90"),
    "more labels": (windows(y=np.zeros(N + 1, int)), "entries for the 90"),
    "halves of labels": (windows(y=np.full(N, 0.5)), "whole numbers"),
    "labels that are no number": (windows(y=np.full(N, np.nan)), "whole numbers"),
    "a table of labels": (windows(y=np.zeros((N, 3), int)), "one value per row"),
    "objects for labels": (replaced("y", shape=(N,), dtype=h5py.vlen_dtype("i4")), "y"),
    "one class": (windows(y=np.zeros(N, int)), "class"),
    "fewer groups": (windows(groups=np.zeros(N - 1, int)), "entries for the 90"),
    "a table of groups": (windows(groups=np.zeros((N, 2))), "one value per row"),
    "groups that are no number": (windows(groups=np.full(N, np.nan)), "groups"),
    "one group": (windows(groups=np.zeros(N, int)), "group"),
    "two groups": (windows(groups=np.arange(N) % 2), "group"),
    "a group in two parts": (
        windows(split=np.tile(["train", "test"], N // 2).tolist()),
        "two parts",
    ),
    "parts without a name": (windows(split=np.arange(N)), "split_names"),
    "both layouts": (windows(signals=np.zeros((5, 2))), "source.layout"),
    "no rate": (changed(lambda f: f.attrs.__delitem__("sampling_rate_hz")), "source.rate_hz"),
    "a rate of 0": (changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", 0.0)), "above 0"),
    "a negative rate": (changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", -5)), "above 0"),
    "a rate that is no number": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", np.nan)),
        "above 0",
    ),
    "an infinite rate": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", np.inf)),
        "above 0",
    ),
    "a rate in words": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", "fast")),
        "not a number",
    ),
    "many rates": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", [1.0, 2.0])),
        "not a number",
    ),
    "an absurd rate": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", 1e300)),
        "sampling_rate_hz|rate",
    ),
    "too few channel names": (
        changed(lambda f: f.attrs.__setitem__("channels", "a,b")),
        "channels",
    ),
    "channel names that repeat": (
        changed(lambda f: f.attrs.__setitem__("channels", "a,a,b")),
        "name of its own",
    ),
    "channel names with paths": (
        changed(lambda f: f.attrs.__setitem__("channels", ["a", "../../b", "c"])),
        "channel",
    ),
    "channel names with control characters": (
        changed(lambda f: f.attrs.__setitem__("channels", ["a", "b\x1b[2J", "c"])),
        "channel",
    ),
    "channel names of invalid UTF-8": (
        changed(lambda f: f.attrs.__setitem__("channels", np.array([b"a", b"\xff\xfe", b"c"]))),
        "channel",
    ),
    "labels of invalid UTF-8": (
        windows(y=np.array([b"ok", b"\xff\xfe", b"c"] * (N // 3))),
        "y|label",
    ),
    "labels with control characters": (changed(long_text), "control"),
    "a scale of 0": (
        changed(lambda f: f.attrs.__setitem__("scale_to_units", [1.0, 0.0, 1.0])),
        "not 0",
    ),
    "a scale of another length": (
        changed(lambda f: f.attrs.__setitem__("scale_to_units", [1.0, 2.0])),
        "source.scale",
    ),
    "NaN": (windows(X=NAN), r"2 of .* hold NaN or infinity, the first are windows 3, 50"),
    "a link out of the file": (linked(h5py.ExternalLink("other.h5", "X")), "link"),
    "a link to nowhere": (linked(h5py.SoftLink("/nowhere")), "X"),
    "a link to itself": (linked(h5py.SoftLink("/X")), "X"),
    "bytes of another file": (changed(external_storage), "outside"),
    "a virtual dataset of other files": (changed(virtual), "outside|virtual"),
    "cyclic groups": (changed(cyclic), "neither X nor signals"),
    "never written": (changed(unwritten), "holds|never"),
    "a bomb": (changed(bomb), "chunks of 3,019,898,880 bytes.*is the most"),
    "an unknown filter": (name_filter, "filter"),
    "recordings without a table": (
        recordings(
            **{"recordings/start": None, "recordings/length": None, "recordings/subject": None}
        ),
        "recordings",
    ),
    "recordings without starts": (recordings(**{"recordings/start": None}), "start"),
    "recordings without lengths": (recordings(**{"recordings/length": None}), "length"),
    "recordings without subjects": (recordings(**{"recordings/subject": None}), "groups"),
    "recordings that overlap": (
        recordings(**{"recordings/start": np.array([0, 50, 130])}),
        "lie over each other",
    ),
    "recordings past the end": (
        recordings(**{"recordings/length": np.array([90, 40, 700])}),
        "recording",
    ),
    "recordings before the start": (
        recordings(**{"recordings/start": np.array([-5, 90, 130])}),
        "recording",
    ),
    "recordings of negative length": (
        recordings(**{"recordings/length": np.array([90, -40, 70])}),
        "recording",
    ),
    "recordings of halves": (
        recordings(**{"recordings/start": np.array([0.5, 90, 130])}),
        "whole number",
    ),
    "starts that overflow": (
        recordings(**{"recordings/start": np.array([0, 2**63 - 5, 130])}),
        "recording",
    ),
    "unsigned starts that overflow": (
        recordings(**{"recordings/start": np.array([0, 2**64 - 5, 130], np.uint64)}),
        "recording",
    ),
    "columns that disagree": (
        recordings(**{"recordings/length": np.array([90, 40])}),
        "recordings|length",
    ),
    "signals of one dimension": (recordings(signals=np.zeros(200)), "is needed"),
    "signals without labels": (recordings(labels=None), "label"),
    "fewer labels than signals": (recordings(labels=np.zeros(10, int)), "one label per row"),
    "names for fewer classes": (recordings(classes=["none"]), "class"),
    "names that are not UTF-8": (
        recordings(classes=np.array([b"a", b"\xff"])),
        "is not UTF-8",
    ),
    "windows longer than recordings": (recordings(rows=(5, 4, 7)), "window"),
    "one recording of all": (
        recordings(**{"recordings/subject": np.array([1, 1, 1])}),
        "group",
    ),
}


@pytest.mark.usefixtures("probed_here")
@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_is_wrong_or_hostile(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = SOURCES[name]
    make(tmp_path)
    arguments = ["--data", str(tmp_path / "source.h5"), "--store", str(tmp_path / "new.zarr")]
    refuse(
        ["features", *arguments, "--quiet", "--set", "features.workers=1", "--budget", "2GiB"],
        message,
        tmp_path,
        capsys,
    )


def sealed(folder: Path, **changes: Any) -> None:
    """A store whose manifest a stranger wrote, with the checksum that belongs to it."""
    document = json.loads((folder / "store.zarr" / "manifest" / "zarr.json").read_bytes())
    document["attributes"] |= changes
    content = json.dumps(document).encode()
    (folder / "store.zarr" / "manifest" / "zarr.json").write_bytes(content)
    root = json.loads((folder / "store.zarr" / "zarr.json").read_bytes())
    root["attributes"]["manifest"] = xxhash.xxh3_128_hexdigest(content)
    (folder / "store.zarr" / "zarr.json").write_text(json.dumps(root))


HUGE = 10**18
MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "no windows": ({"windows": 0}, "sizes"),
    "windows below zero": ({"windows": -5}, "sizes"),
    "more windows than folds": ({"windows": HUGE}, "folds do not follow"),
    "windows in words": ({"windows": "many"}, "windows: Input should be a valid integer"),
    "no samples": ({"time": 0}, "sizes"),
    "samples without end": ({"time": HUGE}, "larger than its codec"),
    "chunks without end": ({"chunk": HUGE, "shard": HUGE}, "larger than its codec"),
    "a shard of parts of chunks": ({"chunk": 7}, "sizes"),
    "no block": ({"block": 0}, "sizes"),
    "objects": ({"raw_dtype": "object"}, "no array is stored as object"),
    "a type that is code": ({"raw_dtype": "f4,(2,)O"}, "no array is stored as"),
    "another codec": ({"compressor": "pickle"}, "with pickle"),
    "channels without units": ({"units": []}, "differ in number"),
    "channels without scale": ({"channel_scale": [1.0]}, "differ in number"),
    "a scale of infinity": ({"channel_scale": [1e999] * 3}, "channel_scale"),
    "folds with a hole": (
        {"folds": [{"name": "0", "start": 5, "stop": 530, "groups": [0]}]},
        "folds do not follow",
    ),
    "a fold below zero": (
        {"folds": [{"name": "0", "start": -9, "stop": 530, "groups": [0]}]},
        "folds do not follow",
    ),
    "groups twice": (
        {"folds": [{"name": "0", "start": 0, "stop": 530, "groups": [0, 0]}]},
        "a group is in two folds",
    ),
    "groups that are none": (
        {"folds": [{"name": "0", "start": 0, "stop": 530, "groups": [99]}]},
        "a group is in two folds, or in none",
    ),
    "a path in the manifest": ({"path": "/etc/passwd"}, "path: Extra inputs"),
    "a newer format": ({"format_version": 99}, "store format|another checksum"),
    "a format that is none": ({"format_version": "two"}, "damaged"),
    "an infinite format": ({"format_version": 1e999}, "damaged"),
    "a command in a message": ({"windows": "\x1b[2J\n"}, r"windows: Input should be"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_store_of_a_stranger(
    name: str, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, message = MANIFESTS[name]
    shutil.copytree(tiny_store, tmp_path / "store.zarr")
    sealed(tmp_path, **changes)
    for command in ("inspect", "verify"):
        refuse([command, "--store", str(tmp_path / "store.zarr")], message, tmp_path, capsys)


def test_a_manifest_leads_to_no_file_outside(
    tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_store, tmp_path / "store.zarr")
    digests = {"../../../etc/passwd": "0" * 32, "/etc/passwd": "0" * 32}
    manifest = json.loads((tiny_store / "manifest" / "zarr.json").read_bytes())["attributes"]
    sealed(tmp_path, table_digests=manifest["table_digests"] | digests)
    refuse(
        ["verify", "--quiet", "--store", str(tmp_path / "store.zarr")],
        "4 problems",
        tmp_path,
        capsys,
    )


TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
LINES = ("[train]", "epochs = 1", "[store]", "seed = 0", "a.b.c = [", '"', "'''")


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value below `node` stands."""
    found = [path] if path else []
    if isinstance(node, dict):
        for key, value in node.items():
            found += places(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node[:3]):
            found += places(value, (*path, number))
    return found


def with_changes(document: Any, changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
    document = json.loads(json.dumps(document))
    for path, value in changes:
        node = document
        # A change before this one may have taken its place away.
        with contextlib.suppress(TypeError, KeyError, IndexError):
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = value
    return document


def fuzz_manifest(store: Path, folder: Path, cases: int) -> None:
    """Change some values of a true manifest: it is refused in one way, or it is a manifest."""
    true = json.loads((store / "manifest" / "zarr.json").read_bytes())["attributes"]
    (folder / "manifest").mkdir(parents=True)
    change = st.tuples(st.sampled_from(places(true)), JSON)

    @settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    @given(changes=st.lists(change, min_size=1, max_size=3))
    def check(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
        content = json.dumps({"attributes": with_changes(true, changes)}).encode()
        root = {"attributes": {"headrace": 2, "manifest": xxhash.xxh3_128_hexdigest(content)}}
        (folder / "manifest" / "zarr.json").write_bytes(content)
        (folder / "zarr.json").write_text(json.dumps(root))
        try:
            manifest = read_manifest(folder)
        except UserError:
            return
        assert not manifest.folds or manifest.windows == manifest.folds[-1].stop
        assert manifest.table_bytes >= 0

    check()


def fuzz_config(cases: int) -> None:
    """Change some values of every option: it is refused in one way, or it is a config."""
    true = json.loads(Config().model_dump_json())
    change = st.tuples(st.sampled_from(places(true)), JSON)

    @settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    @given(changes=st.lists(change, min_size=1, max_size=3), override=TEXT)
    def check(changes: list[tuple[tuple[Any, ...], Any]], override: str) -> None:
        with contextlib.suppress(UserError):
            load_config(None, [override])
        try:
            config = config_from_table(with_changes(true, changes), "a stranger")
        except UserError:
            return
        assert config_from_table(json.loads(config.model_dump_json()), "again") == config

    check()


def fuzz_bytes(cases: int) -> None:
    """Any bytes as a config file."""

    @settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    @given(lines=st.lists(st.sampled_from(LINES) | TEXT), content=st.binary(max_size=40))
    def check(lines: list[str], content: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=".toml") as file:
            file.write("\n".join(lines).encode(errors="replace") + content)
            file.flush()
            with contextlib.suppress(UserError):
                load_config(Path(file.name))

    check()


def test_readers_of_a_strangers_text_refuse_in_one_way(tiny_store: Path, tmp_path: Path) -> None:
    fuzz_manifest(tiny_store, tmp_path / "fuzzed.zarr", 300)
    fuzz_config(300)
    fuzz_bytes(200)


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_texts_are_refused_in_one_way(tiny_store: Path, tmp_path: Path) -> None:
    fuzz_manifest(tiny_store, tmp_path / "fuzzed.zarr", 50_000)
    fuzz_config(30_000)
    fuzz_bytes(20_000)


FUZZ = r"""
import json, random, resource, sys
from pathlib import Path
from headrace.stores.errors import UserError
from headrace.stores.source.source import open_source
from headrace.stores.source.options import SourceOptions

# What importing takes, and a budget of 1 GiB.
resource.setrlimit(resource.RLIMIT_DATA, (3 << 29, 3 << 29))
sources, folder, first, last = sys.argv[1:]
true = [Path(path).read_bytes() for path in json.loads(sources)]
for seed in range(int(first), int(last)):
    chance = random.Random(seed)
    content = bytearray(chance.choice(true))
    for _ in range(chance.choice((1, 2, 5, 40))):
        # Metadata stands at the front and between the data.
        at = chance.randrange(min(len(content), chance.choice((3000, len(content)))))
        kind = chance.randrange(4)
        if kind == 0:
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            content[at : at + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\1\0\0\0"))
        elif kind == 2:
            content[at : at + 8] = chance.randbytes(8)
        else:
            del content[at : at + chance.randrange(1, 64)]
    path = Path(folder) / "fuzzed.h5"
    path.write_bytes(content)
    print(seed, flush=True)
    try:
        with open_source(path, SourceOptions(non_finite="fill")) as source:
            source.fingerprint()
            source.read_labels(0, source.windows)
            source.read_windows(0, min(source.windows, 50))
    except UserError as error:
        assert len(str(error)) < 5000, len(str(error))
print("done", flush=True)
"""


def fuzz_sources(folder: Path, cases: int) -> int:
    """Open damaged sources in child processes; returns how many of them HDF5 crashed on."""
    write_windows(folder / "windows.h5")
    write_recordings(folder / "recordings.h5")
    with h5py.File(folder / "packed.h5", "w", libver="latest") as file:
        file.create_dataset("X", data=X, chunks=(10, T, C), compression="gzip", shuffle=True)
        file["y"] = [f"class {n % 3}" for n in range(N)]
        file["groups"] = np.arange(N) % 5
        file["X"].attrs["sampling_rate_hz"] = 20.0
    sources = json.dumps(sorted(str(path) for path in folder.glob("*.h5")))
    crashes, seed = 0, 0
    while seed < cases:
        child = subprocess.run(
            [sys.executable, "-c", FUZZ, sources, str(folder), str(seed), str(cases)],
            capture_output=True,
            text=True,
            timeout=1800 + cases,
            check=False,
        )
        seen = child.stdout.split()
        if seen[-1:] == ["done"]:
            break
        assert child.returncode < 0, f"{seen[-1:]}: {child.stderr[-2000:]}"
        # HDF5 crashed: the command answers in one line all the same.
        with pytest.raises(UserError, match="HDF5 crashed on it"):
            open_stranger(folder / "fuzzed.h5", SourceOptions(non_finite="fill"))
        crashes, seed = crashes + 1, int(seen[-1]) + 1
    return crashes


def test_a_damaged_source_is_refused_or_read(tmp_path: Path) -> None:
    fuzz_sources(tmp_path, 60)


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_two_thousand_damaged_sources_are_refused_or_read(tmp_path: Path) -> None:
    print(fuzz_sources(tmp_path, 2000), "crashes of HDF5")


def test_a_crash_of_hdf5_is_an_error_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is known that crashes every version of HDF5: the child is ended from outside."""
    write_windows(tmp_path / "source.h5")
    real = subprocess.run

    def run(command: list[str], **named: Any) -> Any:
        code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
        return real([command[0], "-c", code], **named)

    monkeypatch.setattr("headrace.stores.source.probe.subprocess.run", run)
    with pytest.raises(UserError, match=r"HDF5 crashed on it \(SIGSEGV\)"):
        open_stranger(tmp_path / "source.h5", SourceOptions())


def test_a_class_that_no_training_fold_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = np.where(np.arange(N) >= 60, 2, np.arange(N) % 2)
    write_windows(tmp_path / "source.h5", y=label, groups=np.repeat([1, 2, 3], N // 3))
    paths = ["--data", str(tmp_path / "source.h5"), "--store", str(tmp_path / "new.zarr")]
    features = ["--set", "features.select=[]", "--quiet"]
    assert main(["features", *paths, *features]) == 0
    capsys.readouterr()
    message = r"No window of class 2 \(30 windows\) is in the training folds"
    refuse(
        ["train", *paths, *features, "--run", str(tmp_path / "run"), "--set", "model.inputs=raw"],
        message,
        tmp_path,
        capsys,
    )


PATHS = {
    "a store of no name": (["inspect", "--store", "."], r"is no store"),
    "a store that is the root": (["features", "--repair", "--store", "/"], "is a mount point"),
    "a store that is a device": (["features", "--store", "/dev/null"], "is a file"),
    "a store below a file": (
        ["features", "--data", "source.h5", "--store", "source.h5/s.zarr"],
        r"source\.h5 is a file, and a folder is needed",
    ),
    "a store of a long name": (
        ["features", "--data", "source.h5", "--store", "x" * 300],
        "File name too long",
    ),
    "a source of a long name": (["features", "--data", "x" * 300], "File name too long"),
    "a run of a long name": (
        ["evaluate", "--store", "s.zarr", "--run", "x" * 300],
        "File name too long",
    ),
    "a path of control characters": (["plan", "--data", "a\nb"], "holds no control characters"),
    "a config that never ends": (["plan", "--config", "/dev/zero"], "/dev/zero is no file"),
    "a config that is a pipe": (["plan", "--config", "pipe"], "pipe is no file"),
    "a config that is large": (["plan", "--config", "large.toml"], "too large for a config"),
    "an option of another command": (
        ["verify", "--repair"],
        "--repair. It belongs to headrace features",
    ),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_that_leads_nowhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_windows(tmp_path / "source.h5")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 21))
    arguments, message = PATHS[name]
    refuse(arguments, message, tmp_path, capsys)


def test_output_that_nobody_can_take(tiny_store: Path, tmp_path: Path) -> None:
    for arguments in (["inspect", "--store", str(tiny_store), "--json"], ["doctor"], ["plan"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "headrace", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        if arguments != ["plan"]:  # It finds no source.
            assert "Standard output cannot be written (No space left on device)" in done.stderr
    for closed in ("doctor >&-", f"synth --windows 300 --output {tmp_path / 'some.h5'} 2>&-"):
        command = ["bash", "-c", f"{sys.executable} -m headrace {closed}"]
        assert subprocess.run(command, check=False).returncode == 0
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "headrace", "inspect", "--store", str(tiny_store)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_disk_that_is_read_only(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_windows(small_disk / "source.h5")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    arguments = ["--data", str(small_disk / "source.h5"), "--store", str(small_disk / "new.zarr")]
    message = r"cannot be made there \(Read-only file system\)\. Name another --store"
    refuse(["features", *arguments], message, small_disk, capsys)
