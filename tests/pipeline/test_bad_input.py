"""Input that is wrong or hostile: one line with the way out, exit code 2, nothing written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
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
from headrace.stores.errors import (
    BudgetError,
    CommandError,
    ConfigError,
    DamageError,
    DiskError,
    GroupError,
    SourceContentError,
    SourceError,
    StoreError,
    UserError,
)
from headrace.stores.manifest_file import read_manifest
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.probe import open_stranger
from tests.in_process import workers_here
from tests.refusals import assert_refused, refused
from tests.stores.source_files import C, N, T, write_recordings, write_windows

Make = Callable[[Path], Any]
Case = tuple[type[UserError], *tuple[str, ...]]
"""The kind of an error, and what it names."""
X = np.random.default_rng(0).normal(size=(N, T, C)).astype(np.float32)


def refuse(
    arguments: list[str],
    kind: type[UserError] | None,
    named: Sequence[str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> str:
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
    assert tree(folder) == before
    return assert_refused(error.replace(str(folder), ""), kind, *named)


def tree(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): os.readlink(path)
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else "no file")
        for path in folder.rglob("*")
    }


AS_TYPED = (
    "store=3",
    "store.chunk_windows=0",
    "store.chunk_windows=-5",
    "store.chunk_windows=1.5",
    'store.chunk_windows="many"',
    "store.shard_windows=0",
    "store.block_windows=-1",
    "store.compressor=rar",
    "store.level=10",
    "store.level=-1",
    "store.seed=-1",
    "store.seed=9223372036854775808",
    "store.raw_dtype=object",
    "store.raw_dtype=int8",
    "folds.count=1",
    "folds.by=luck",
    "folds.test_groups=[]{",
    "features.select=3",
    "features.workers=0",
    "features.workers=-3",
    "memory.budget=0",
    "memory.budget=-1GiB",
    "memory.budget=lots",
    "memory.budget=nan",
    "source.rate_hz=0",
    "source.rate_hz=-50",
    "source.rate_hz=nan",
    "source.rate_hz=inf",
    "source.layout=sideways",
    "source.non_finite=ignore",
    "source.fill_value=inf",
    "source.overlap=1",
    "train.epochs=0",
    "train.epochs=x",
    "train.batch=-1",
    "train.learning_rate=nan",
    "train.learning_rate=inf",
    "train.learning_rate=0",
    "train.weight_decay=-1",
    "train.weight_decay=inf",
    "train.clip_norm=inf",
    "train.seed=4294967296",
    "train.deterministic=perhaps",
    "train.warmup_epochs=inf",
    "augment.scale_strength=inf",
    "augment.noise_probability=2",
    "augment.mask_fraction=1",
    "augment.mix_strength=0",
    "model.filters=0",
    "model.filters=-8",
    "model.dropout=1.5",
    "model.inputs=everything",
    "split.folds=2",
    "split.test_fold=-1",
    "evaluate.views=[]",
    "evaluate.batch=0",
    "stream.read_threads=0",
    "stream.prefetch_batches=1",
    "stream.index_cache=0",
    "stream.buffer_chunks=0",
    "name=../../elsewhere",
)
"""Settings whose key and value are named as they were typed."""

SETTINGS: dict[str, Case] = {
    "nonsense=1": (ConfigError, "nonsense"),
    "store.chunk_windows=10000000000000000000000": (
        ConfigError,
        "store.chunk_windows",
        "10000000000000000000000",
    ),
    "store.chunk_windows=100000000": (ConfigError, "store.chunk_windows", "100000000"),
    "store.shard_windows=100": (
        ConfigError,
        "store.shard_windows",
        "100",
        "store.chunk_windows",
        "4096",
    ),
    "folds.count=4": (GroupError, "folds.count", "4", "3"),
    "folds.count=99999999999": (GroupError, "folds.count", "99999999999", "3"),
    'folds.test_groups=["nobody"]': (GroupError, "folds.test_groups", "nobody"),
    'features.select=["nothing_like_it"]': (ConfigError, "features.select", "nothing_like_it"),
    'features.custom=["os:system"]': (ConfigError, "features.custom", "os:system"),
    'features.custom=["no.such.module:f"]': (ConfigError, "features.custom", "no.such.module:f"),
    'features.custom=["../x:f"]': (ConfigError, "../x"),
    'features.triads={acc=["a","b"]}': (ConfigError, "features.triads.acc.2"),
    'features.triads={acc=["a","b","c"]}': (ConfigError, "features.triads", "acc", "c", "ch2"),
    'features.accelerometers=["acc"]': (
        ConfigError,
        "features.accelerometers",
        "acc",
        "features.triads",
    ),
    "memory.budget=1e400": (ConfigError, "memory.budget", "inf"),
    "memory.budget=1MiB": (BudgetError, "memory.budget", "1 MiB"),
    "source.windows=nothing": (SourceError, "source.windows", "nothing"),
    "source.windows=../X": (SourceError, "source.windows", "../X"),
    "source.labels=nothing": (SourceError, "source.labels", "nothing"),
    "source.groups=nothing": (SourceError, "source.groups", "nothing"),
    "source.split=nothing": (SourceError, "source.split", "nothing"),
    "source.window_s=1": (SourceError, "source.window_s", "source.layout"),
    "source.target_rate_hz=10": (SourceError, "source.target_rate_hz", "source.layout"),
    'source.channels=["a"]': (SourceError, "source.channels", "1", "3"),
    'source.channels=["a","a","b"]': (SourceError, "source.channels", "a, a, b"),
    'source.channels=["a","","b"]': (SourceError, "source.channels", "a, , b"),
    "source.scale=[1.0,0.0,1.0]": (SourceError, "source.scale", "[1.0, 0.0, 1.0]"),
    "source.scale=[1.0]": (SourceError, "source.scale", "1", "3"),
    "source.scale=[1.0,nan,1.0]": (ConfigError, "source.scale.1", "nan"),
    'source.class_map={a=["7"]}': (SourceError, "source.class_map.a", "7"),
    'source.exclude_labels=["*"]': (SourceError, "source.exclude_labels", "y"),
    'evaluate.views=["zoom:2"]': (ConfigError, "evaluate.views.0", "zoom:2"),
    "=3": (ConfigError, "--set", "=3"),
    "store.": (ConfigError, "--set", "store."),
    "store..seed=1": (ConfigError, "--set", "store..seed=1"),
    "name=": (ConfigError, "name", "''"),
    "model.build=mynet": (ConfigError, "model.build", "mynet", "module:function"),
    "model.build=nets/mynet.py:build": (ConfigError, "nets/mynet.py:build", "nets.mynet:build"),
    "train.loss=mse": (ConfigError, "train.loss", "mse", "module:function"),
    'train.metrics=["m:f","mse"]': (ConfigError, "train.metrics.1", "mse", "module:function"),
}


@pytest.mark.usefixtures("probed_here")
@pytest.mark.parametrize("setting", [*AS_TYPED, *SETTINGS])
def test_a_setting_that_cannot_be_meant(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, _, value = setting.partition("=")
    kind, *named = SETTINGS.get(setting, (ConfigError, key, value.strip('"')))
    write_windows(tmp_path / "source.h5")
    arguments = ["--data", str(tmp_path / "source.h5"), "--store", str(tmp_path / "new.zarr")]
    refuse(["features", *arguments, "--quiet", "--set", setting], kind, named, tmp_path, capsys)


CONFIGS: dict[str, tuple[bytes, Case]] = {
    "not TOML": (b"[store\nseed = 1", (ConfigError, "config.toml", "TOML")),
    "twice": (b"[store]\nseed = 1\nseed = 2", (ConfigError, "config.toml", "TOML")),
    "invalid UTF-8": (b"[paths]\ndata = '\xff\xfe'", (ConfigError, "config.toml", "TOML", "0xff")),
    "NUL": (b"name = 'a\x00b'", (ConfigError, "config.toml", "TOML", r"\x00")),
    "binary": (bytes(range(256)), (ConfigError, "config.toml", "TOML", "0x80")),
    "a date": (b"[store]\nseed = 2020-01-01", (ConfigError, "store.seed", "2020")),
    "a list of sections": (b"[[store]]\nseed = 1", (ConfigError, "store", "[{'seed': 1}]")),
    "deep": (b"a = " + b"[" * 5000 + b"]" * 5000, (ConfigError, "config.toml")),
    "an unknown section": (b"[trian]\nepochs = 1", (ConfigError, "trian", "train")),
    "an unknown key": (b"[train]\nepoch = 1", (ConfigError, "train.epoch", "train.epochs")),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_cannot_be_meant(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, (kind, *named) = CONFIGS[name]
    (tmp_path / "config.toml").write_bytes(content)
    write_windows(tmp_path / "source.h5")
    arguments = ["--data", str(tmp_path / "source.h5"), "--store", str(tmp_path / "new.zarr")]
    config = ["--config", str(tmp_path / "config.toml")]
    refuse(["features", *config, *arguments], kind, named, tmp_path, capsys)


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

SOURCES: dict[str, tuple[Make, Case]] = {
    "an empty file": (bytes_of(b""), (SourceError, "source.h5", "empty")),
    "text": (bytes_of(b"time,acc_x\n1,2\n"), (SourceError, "source.h5", "HDF5")),
    "a signature alone": (bytes_of(b"\x89HDF\r\n\x1a\n"), (SourceError, "source.h5", "HDF5")),
    "a signature and noise": (
        bytes_of(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40),
        (SourceError, "source.h5", "HDF5"),
    ),
    "a tenth of a file": (cut(0.1), (SourceError, "source.h5", "HDF5")),
    "half a file": (cut(0.5), (SourceError, "source.h5", "HDF5")),
    "all but the end": (cut(0.999), (SourceError, "source.h5", "HDF5")),
    "a folder": (lambda folder: (folder / "source.h5").mkdir(), (SourceError, "source.h5")),
    "no data": (windows(X=None), (SourceError, "source.windows", "source.signals")),
    "no labels": (windows(y=None), (SourceError, "source.labels")),
    "no groups": (windows(groups=None), (GroupError, "source.groups", "source.split_by_window")),
    "one dimension": (windows(X=np.zeros(N)), (SourceError, "source.windows", "(90,)")),
    "four dimensions": (
        windows(X=np.zeros((N, T, C, 2))),
        (SourceError, "source.windows", "(90, 16, 3, 2)"),
    ),
    "a scalar": (windows(X=np.float32(3)), (SourceError, "source.windows", "()")),
    "no windows": (windows(X=np.zeros((0, T, C))), (SourceError, "X", "(0, 16, 3)")),
    "no samples": (windows(X=np.zeros((N, 0, C))), (SourceError, "X", "(90, 0, 3)")),
    "no channels": (windows(X=np.zeros((N, T, 0))), (SourceError, "X", "(90, 16, 0)")),
    "a null space": (
        changed(lambda f: (f.__delitem__("X"), f.create_dataset("X", data=h5py.Empty("f4")))),
        (SourceError, "X", "source.windows"),
    ),
    "text for data": (windows(X=np.full((N, T, C), b"abc")), (SourceError, "X", "|S3")),
    "complex data": (windows(X=X.astype("c8")), (SourceError, "X", "complex64")),
    "booleans": (windows(X=X > 0), (SourceError, "X", "bool")),
    "compound data": (
        windows(X=np.zeros((N, T, C), [("a", "f4")])),
        (SourceError, "X", "[('a', '<f4')]"),
    ),
    "object data": (
        replaced("X", shape=(N, T, C), dtype=h5py.vlen_dtype("f4")),
        (SourceError, "X", "object"),
    ),
    "references": (
        replaced("X", shape=(N, T, C), dtype=h5py.ref_dtype),
        (SourceError, "X", "object"),
    ),
    "long doubles": (windows(X=X.astype("f16")), (SourceError, "X", str(np.dtype("f16")))),
    "fewer labels": (windows(y=np.zeros(N - 1, int)), (SourceError, "y", "89", "90")),
    "more labels": (windows(y=np.zeros(N + 1, int)), (SourceError, "y", "91", "90")),
    "halves of labels": (windows(y=np.full(N, 0.5)), (SourceError, "source.labels", "float64")),
    "labels that are no number": (
        windows(y=np.full(N, np.nan)),
        (SourceError, "source.labels", "float64"),
    ),
    "a table of labels": (
        windows(y=np.zeros((N, 3), int)),
        (SourceError, "source.labels", "(90, 3)"),
    ),
    "objects for labels": (
        replaced("y", shape=(N,), dtype=h5py.vlen_dtype("i4")),
        (SourceError, "source.labels", "object"),
    ),
    "one class": (windows(y=np.zeros(N, int)), (GroupError, "source.labels", "90", "1")),
    "fewer groups": (windows(groups=np.zeros(N - 1, int)), (SourceError, "groups", "89", "90")),
    "a table of groups": (
        windows(groups=np.zeros((N, 2))),
        (SourceError, "source.groups", "(90, 2)"),
    ),
    "groups that are no number": (
        windows(groups=np.full(N, np.nan)),
        (SourceError, "source.groups", "float64"),
    ),
    "one group": (windows(groups=np.zeros(N, int)), (GroupError, "source.groups", "1")),
    "two groups": (windows(groups=np.arange(N) % 2), (GroupError, "source.groups", "2")),
    "a group in two parts": (
        windows(split=np.tile(["train", "test"], N // 2).tolist()),
        (GroupError, "source.split", "10"),
    ),
    "parts without a name": (windows(split=np.arange(N)), (SourceError, "source.split_names")),
    "both layouts": (windows(signals=np.zeros((5, 2))), (SourceError, "source.layout")),
    "no rate": (
        changed(lambda f: f.attrs.__delitem__("sampling_rate_hz")),
        (SourceError, "sampling_rate_hz", "source.rate_hz"),
    ),
    "a rate of 0": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", 0.0)),
        (SourceError, "sampling_rate_hz", "0", "source.rate_hz"),
    ),
    "a negative rate": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", -5)),
        (SourceError, "sampling_rate_hz", "-5", "source.rate_hz"),
    ),
    "a rate that is no number": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", np.nan)),
        (SourceError, "sampling_rate_hz", "nan", "source.rate_hz"),
    ),
    "an infinite rate": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", np.inf)),
        (SourceError, "sampling_rate_hz", "inf", "source.rate_hz"),
    ),
    "a rate in words": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", "fast")),
        (SourceError, "sampling_rate_hz", "fast", "source.rate_hz"),
    ),
    "many rates": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", [1.0, 2.0])),
        (SourceError, "sampling_rate_hz", "[1, 2]", "source.rate_hz"),
    ),
    "an absurd rate": (
        changed(lambda f: f.attrs.__setitem__("sampling_rate_hz", 1e300)),
        (SourceError, "sampling_rate_hz", "1e+300", "source.rate_hz"),
    ),
    "too few channel names": (
        changed(lambda f: f.attrs.__setitem__("channels", "a,b")),
        (SourceError, "source.channels", "2", "3"),
    ),
    "channel names that repeat": (
        changed(lambda f: f.attrs.__setitem__("channels", "a,a,b")),
        (SourceError, "source.channels", "a, a, b"),
    ),
    "channel names with paths": (
        changed(lambda f: f.attrs.__setitem__("channels", ["a", "../../b", "c"])),
        (SourceError, "source.channels", "../../b"),
    ),
    "channel names with control characters": (
        changed(lambda f: f.attrs.__setitem__("channels", ["a", "b\x1b[2J", "c"])),
        (SourceError, "source.channels", r"b\x1b[2J"),
    ),
    "channel names of invalid UTF-8": (
        changed(lambda f: f.attrs.__setitem__("channels", np.array([b"a", b"\xff\xfe", b"c"]))),
        (SourceError, "source.channels", r"\udcff\udcfe"),
    ),
    "labels of invalid UTF-8": (
        windows(y=np.array([b"ok", b"\xff\xfe", b"c"] * (N // 3))),
        (SourceError, "y", "source.labels", "0xff"),
    ),
    "labels with control characters": (
        changed(long_text),
        (SourceError, "y", "source.labels", r"label 0\x1b[2J"),
    ),
    "a scale of 0": (
        changed(lambda f: f.attrs.__setitem__("scale_to_units", [1.0, 0.0, 1.0])),
        (SourceError, "source.scale", "[1.0, 0.0, 1.0]"),
    ),
    "a scale of another length": (
        changed(lambda f: f.attrs.__setitem__("scale_to_units", [1.0, 2.0])),
        (SourceError, "source.scale", "2", "3"),
    ),
    "NaN": (windows(X=NAN), (SourceContentError, "source.non_finite", "2", "3", "50")),
    "a link out of the file": (
        linked(h5py.ExternalLink("other.h5", "X")),
        (SourceError, "X", "h5repack"),
    ),
    "a link to nowhere": (
        linked(h5py.SoftLink("/nowhere")),
        (SourceError, "source.windows", "source.signals"),
    ),
    "a link to itself": (linked(h5py.SoftLink("/X")), (SourceError, "X")),
    "bytes of another file": (changed(external_storage), (SourceError, "X", "h5repack")),
    "a virtual dataset of other files": (changed(virtual), (SourceError, "X", "h5repack")),
    "cyclic groups": (changed(cyclic), (SourceError, "source.windows", "source.signals")),
    "never written": (changed(unwritten), (SourceError, "X", "1,920,000,000,000,000")),
    "a bomb": (changed(bomb), (SourceError, "X", "3,019,898,880", "268,435,456")),
    "an unknown filter": (name_filter, (SourceError,)),
    "recordings without a table": (
        recordings(
            **{"recordings/start": None, "recordings/length": None, "recordings/subject": None}
        ),
        (GroupError, "source.groups", "source.split_by_window"),
    ),
    "recordings without starts": (
        recordings(**{"recordings/start": None}),
        (SourceError, "source.start_column", "start"),
    ),
    "recordings without lengths": (
        recordings(**{"recordings/length": None}),
        (SourceError, "source.length_column", "length"),
    ),
    "recordings without subjects": (
        recordings(**{"recordings/subject": None}),
        (GroupError, "source.groups", "source.split_by_window"),
    ),
    "recordings that overlap": (
        recordings(**{"recordings/start": np.array([0, 50, 130])}),
        (SourceError, "0", "90", "1", "50"),
    ),
    "recordings past the end": (
        recordings(**{"recordings/length": np.array([90, 40, 700])}),
        (SourceError, "2", "130", "830", "200"),
    ),
    "recordings before the start": (
        recordings(**{"recordings/start": np.array([-5, 90, 130])}),
        (SourceError, "0", "-5", "85", "200"),
    ),
    "recordings of negative length": (
        recordings(**{"recordings/length": np.array([90, -40, 70])}),
        (SourceError, "1", "90", "50", "200"),
    ),
    "recordings of halves": (
        recordings(**{"recordings/start": np.array([0.5, 90, 130])}),
        (SourceError, "source.start_column", "float64"),
    ),
    "starts that overflow": (
        recordings(**{"recordings/start": np.array([0, 2**63 - 5, 130])}),
        (SourceError, "1", "9223372036854775803", "200"),
    ),
    "unsigned starts that overflow": (
        recordings(**{"recordings/start": np.array([0, 2**64 - 5, 130], np.uint64)}),
        (SourceError, "1", "-5", "200"),
    ),
    "columns that disagree": (
        recordings(**{"recordings/length": np.array([90, 40])}),
        (SourceError, "/recordings/length", "2", "/recordings/start", "3"),
    ),
    "signals of three dimensions": (
        recordings(signals=np.zeros((200, 2, 2))),
        (SourceError, "source.signals", "(200, 2, 2)"),
    ),
    "signals without labels": (recordings(labels=None), (SourceError, "source.labels")),
    "fewer labels than signals": (
        recordings(labels=np.zeros(10, int)),
        (SourceError, "source.labels", "(10,)", "200"),
    ),
    "names for fewer classes": (recordings(classes=["none"]), (SourceError, "source.classes", "1")),
    "names that are not UTF-8": (
        recordings(classes=np.array([b"a", b"\xff"])),
        (SourceError, "source.classes", "0xff"),
    ),
    "windows longer than recordings": (
        recordings(rows=(5, 4, 7)),
        (SourceError, "source.window_s", "26", "7"),
    ),
    "one recording of all": (
        recordings(**{"recordings/subject": np.array([1, 1, 1])}),
        (GroupError, "source.groups", "1"),
    ),
}


@pytest.mark.usefixtures("probed_here")
@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_is_wrong_or_hostile(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, (kind, *named) = SOURCES[name]
    make(tmp_path)
    arguments = ["--data", str(tmp_path / "source.h5"), "--store", str(tmp_path / "new.zarr")]
    limits = ["--set", "features.workers=1", "--budget", "2GiB"]
    with workers_here():
        refuse(["features", *arguments, "--quiet", *limits], kind, named, tmp_path, capsys)


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
MANIFESTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "no windows": ({"windows": 0}, ("(0, 64, 3, 16, 64, 8)",)),
    "windows below zero": ({"windows": -5}, ("(-5, 64, 3, 16, 64, 8)",)),
    "more windows than folds": ({"windows": HUGE}, ()),
    "windows in words": ({"windows": "many"}, ("windows",)),
    "no samples": ({"time": 0}, ("(530, 0, 3, 16, 64, 8)",)),
    "samples without end": ({"time": HUGE}, ()),
    "chunks without end": ({"chunk": HUGE, "shard": HUGE}, ()),
    "a shard of parts of chunks": ({"chunk": 7}, ("(530, 64, 3, 7, 64, 8)",)),
    "no block": ({"block": 0}, ("(530, 64, 3, 16, 64, 0)",)),
    "objects": ({"raw_dtype": "object"}, ("object",)),
    "a type that is code": ({"raw_dtype": "f4,(2,)O"}, ("f4,(2,)O",)),
    "another codec": ({"compressor": "pickle"}, ("pickle",)),
    "channels without units": ({"units": []}, ()),
    "channels without scale": ({"channel_scale": [1.0]}, ()),
    "a scale of infinity": ({"channel_scale": [1e999] * 3}, ("channel_scale.0",)),
    "folds with a hole": ({"folds": [{"name": "0", "start": 5, "stop": 530, "groups": [0]}]}, ()),
    "a fold below zero": ({"folds": [{"name": "0", "start": -9, "stop": 530, "groups": [0]}]}, ()),
    "groups twice": ({"folds": [{"name": "0", "start": 0, "stop": 530, "groups": [0, 0]}]}, ()),
    "groups that are none": (
        {"folds": [{"name": "0", "start": 0, "stop": 530, "groups": [99]}]},
        (),
    ),
    "a path in the manifest": ({"path": "/etc/passwd"}, ("path",)),
    "a newer format": ({"format_version": 99}, ("zarr.json",)),
    "a format that is none": ({"format_version": "two"}, ("two",)),
    "an infinite format": ({"format_version": 1e999}, ()),
    "a command in a message": ({"windows": "\x1b[2J\n"}, ("windows",)),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_store_of_a_stranger(
    name: str, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, named = MANIFESTS[name]
    shutil.copytree(tiny_store, tmp_path / "store.zarr")
    sealed(tmp_path, **changes)
    for command in ("inspect", "verify"):
        arguments = [command, "--store", str(tmp_path / "store.zarr")]
        error = refuse(arguments, DamageError, named, tmp_path, capsys)
        # Its checksum is right: of two files that disagree, the other would be named.
        assert ("/store.zarr/zarr.json" in error) == (named == ("zarr.json",)), error


def test_a_manifest_leads_to_no_file_outside(
    tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_store, tmp_path / "store.zarr")
    digests = {"../../../etc/passwd": "0" * 32, "/etc/passwd": "0" * 32}
    manifest = json.loads((tiny_store / "manifest" / "zarr.json").read_bytes())["attributes"]
    sealed(tmp_path, table_digests=manifest["table_digests"] | digests)
    arguments = ["verify", "--quiet", "--store", str(tmp_path / "store.zarr")]
    refuse(arguments, StoreError, ("4", "zarr.json", "--repair"), tmp_path, capsys)


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
    fuzz_manifest(tiny_store, tmp_path / "fuzzed.zarr", 30)
    fuzz_config(30)
    fuzz_bytes(30)


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
        with refused(SourceError, "fuzzed.h5", "HDF5"):
            open_stranger(folder / "fuzzed.h5", SourceOptions(non_finite="fill"))
        crashes, seed = crashes + 1, int(seen[-1]) + 1
    return crashes


def test_a_damaged_source_is_refused_or_read(tmp_path: Path) -> None:
    fuzz_sources(tmp_path, 20)


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

    monkeypatch.setattr("headrace.stores.source.probe.child.subprocess.run", run)
    with refused(SourceError, "source.h5", "SIGSEGV"):
        open_stranger(tmp_path / "source.h5", SourceOptions())


@pytest.mark.usefixtures("made_here")
def test_a_class_that_no_training_fold_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = np.where(np.arange(N) >= 60, 2, np.arange(N) % 2)
    write_windows(tmp_path / "source.h5", y=label, groups=np.repeat([1, 2, 3], N // 3))
    paths = ["--data", str(tmp_path / "source.h5"), "--store", str(tmp_path / "new.zarr")]
    features = ["--set", "features.select=[]", "--quiet"]
    assert main(["features", *paths, *features]) == 0
    capsys.readouterr()
    train = ["train", *paths, *features, "--run", str(tmp_path / "run")]
    named = ("2", "30", "split.test_fold", "split.folds")
    refuse([*train, "--set", "model.inputs=raw"], GroupError, named, tmp_path, capsys)


PATHS: dict[str, tuple[list[str], tuple[type[UserError] | None, *tuple[str, ...]]]] = {
    "a store of no name": (["inspect", "--store", "."], (StoreError, "--data", "--store")),
    "a store that is the root": (
        ["features", "--repair", "--store", "/"],
        (StoreError, "--store /my.zarr"),
    ),
    "a store that is a device": (
        ["features", "--store", "/dev/null"],
        (StoreError, "/dev/null", "--store"),
    ),
    "a store below a file": (
        ["features", "--data", "source.h5", "--store", "source.h5/s.zarr"],
        (DiskError, "source.h5"),
    ),
    "a store of a long name": (
        ["features", "--data", "source.h5", "--store", "x" * 300],
        (DiskError, "x" * 300),
    ),
    "a source of a long name": (["features", "--data", "x" * 300], (DiskError, "x" * 300)),
    "a run of a long name": (
        ["evaluate", "--store", "s.zarr", "--run", "x" * 300],
        (DiskError, "x" * 300),
    ),
    "a path of control characters": (["plan", "--data", "a\nb"], (None, "--data")),
    "a config that never ends": (
        ["plan", "--config", "/dev/zero"],
        (ConfigError, "/dev/zero", "--config"),
    ),
    "a config that is a pipe": (["plan", "--config", "pipe"], (ConfigError, "pipe", "--config")),
    "a config that is large": (
        ["plan", "--config", "large.toml"],
        (ConfigError, "large.toml", "--config"),
    ),
    "an option of another command": (["verify", "--repair"], (None, "--repair", "features")),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_that_leads_nowhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_windows(tmp_path / "source.h5")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 21))
    arguments, (kind, *named) = PATHS[name]
    refuse(arguments, kind, named, tmp_path, capsys)


def test_output_that_nobody_can_take(tiny_store: Path, tmp_path: Path) -> None:
    for arguments in (["inspect", "--store", str(tiny_store), "--json"], ["plan"]):
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
            assert_refused(done.stderr, CommandError, os.strerror(errno.ENOSPC))
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
    named = ("new.zarr", os.strerror(errno.EROFS), "--store")
    refuse(["features", *arguments], DiskError, named, small_disk, capsys)
