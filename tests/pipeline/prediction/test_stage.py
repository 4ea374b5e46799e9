"""The predict stage: what a run says of an unlabelled source."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from headrace import stores
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes, load_config
from headrace.pipeline.evaluation.blocks import Block
from headrace.pipeline.evaluation.predictor import load_model
from headrace.pipeline.prediction.timeline import Timeline
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.stage import run_train
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import (
    CommandError,
    DiskError,
    PredictionError,
    RunError,
    SourceContentError,
    SourceError,
    UserError,
)
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from headrace.stores.spec import WindowSpec
from tests.conftest import changed, request_for
from tests.failing_disk import FAILURE, FailingDisk, install
from tests.in_process import store_here
from tests.refusals import assert_refused

pytestmark = pytest.mark.usefixtures("probed_here")


RATE = 25.0
"""Of the synthetic recordings, Hz."""


def predict(run: RunFolder, source: Path, output: Path, *more: str) -> int:
    arguments = ["predict", "--quiet", "--run", str(run.path), "--input", str(source)]
    return main([*arguments, "--output", str(output), *more])


def unlabelled(source: Path, copy: Path, **attributes: Any) -> Path:
    """A copy without labels, groups and classes; attributes as given, None for none."""
    shutil.copy(source, copy)
    with h5py.File(copy, "r+") as file:
        for name in ("y", "groups", "labels", "recordings/subject"):
            if name in file:
                del file[name]
        data = file["X"] if "X" in file else file["signals"]
        for name, value in attributes.items():
            data.attrs.pop(name, None)
            file.attrs.pop(name, None)
            if value is not None:
                data.attrs[name] = value
    return copy


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of recordings, of 600 windows or so."""
    path = tmp_path_factory.mktemp("spoken") / "recordings.h5"
    write_synthetic(path, windows=600, time=64, channels=3, groups=8, layout="recordings")
    return path


@pytest.fixture(scope="module")
def run_of_recordings(
    spoken: Path, cheap_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    folder = tmp_path_factory.mktemp("run of recordings")
    config = changed(cheap_config, source={"window_samples": 64}, train={"epochs": 1, "average": 0})
    store_here(request_for(config, spoken, folder / "r.zarr"))
    run_train(request_for(config, None, folder / "r.zarr", folder / "run"))
    return RunFolder(folder / "run")


def test_every_window_gets_what_the_network_says_of_its_row(
    complete_run: RunFolder, tiny_source: Path, tiny_store: Path, tmp_path: Path
) -> None:
    source = unlabelled(tiny_source, tmp_path / "new.h5")
    assert predict(complete_run, source, tmp_path / "p.parquet") == 0
    found = pd.read_parquet(tmp_path / "p.parquet")
    store = stores.open(tiny_store)
    rows = store.read_many(["raw", "features", "source_index"], [(0, store.windows)])
    raw = rows["raw"] * np.array(store.spec.scale, np.float32)
    model = load_model(complete_run.model)
    wanted = model.predict({"raw": raw, "features": rows["features"]}, verbose=0)
    assert found["window"].tolist() == list(range(store.windows))
    names = [f"p_{name}" for name in store.classes]
    given = found[names].to_numpy()[rows["source_index"]]
    np.testing.assert_allclose(given, wanted, rtol=2e-5, atol=1e-7)
    assert found["class"].tolist() == [store.classes[k] for k in found[names].to_numpy().argmax(1)]
    np.testing.assert_array_equal(found["probability"], found[names].max(axis=1))
    assert not (tmp_path / "p.timeline.csv").exists()


def test_the_three_kinds_of_file_say_the_same(
    run_of_recordings: RunFolder,
    spoken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headrace.pipeline.prediction.files.ZARR_ROWS", 100)
    monkeypatch.setattr("headrace.pipeline.evaluation.applied.BLOCK_BYTES", 64 * 3 * 4 * 2 * 70)
    source = unlabelled(spoken, tmp_path / "new.h5")
    for ending in ("csv", "parquet", "zarr"):
        assert predict(run_of_recordings, source, tmp_path / f"{ending}.{ending}") == 0
    table = pd.read_parquet(tmp_path / "parquet.parquet")
    text = pd.read_csv(tmp_path / "csv.csv")
    group = xr.open_zarr(tmp_path / "zarr.zarr", consolidated=False, chunks=None)
    classes = [name for name in table if name.startswith("p_")]
    assert len(table) > 500
    assert list(text.columns) == list(table.columns)
    for name in ("window", "recording", "start", "time_s"):
        np.testing.assert_allclose(text[name], table[name], rtol=1e-5)
        np.testing.assert_array_equal(group[name], table[name])
    assert text["class"].tolist() == table["class"].tolist()
    np.testing.assert_allclose(text[classes], table[classes], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(group["probability"], table[classes])
    assert [f"p_{name}" for name in group.attrs["classes"]] == classes
    assert not list(tmp_path.glob("*.tmp*"))


def test_a_timeline_covers_every_recording_without_a_gap(
    run_of_recordings: RunFolder, spoken: Path, tmp_path: Path
) -> None:
    source = unlabelled(spoken, tmp_path / "new.h5")
    assert predict(run_of_recordings, source, tmp_path / "p.csv") == 0
    windows = pd.read_csv(tmp_path / "p.csv")
    line = pd.read_csv(tmp_path / "p.timeline.csv")
    assert line["windows"].sum() == len(windows)
    with h5py.File(source) as file:
        length = file["recordings/length"][:]
    for recording, part in line.groupby("recording"):
        own = windows[windows["recording"] == recording]
        starts, stops = part["start_s"].to_numpy(), part["stop_s"].to_numpy()
        assert starts[0] == 0
        np.testing.assert_allclose(starts[1:], stops[:-1], rtol=1e-5)
        assert stops[-1] == pytest.approx(own["time_s"].max() + 64 / RATE, rel=1e-4)
        assert stops[-1] <= length[recording] / RATE + 1e-6
        labels = part["class"].tolist()
        assert all(one != two for one, two in itertools.pairwise(labels))


def test_predictions_of_many_files_name_the_recording_and_its_file(
    run_of_recordings: RunFolder, spoken: Path, tmp_path: Path
) -> None:
    with h5py.File(spoken) as file:
        signals, attributes = file["signals"][:], dict(file["signals"].attrs)
        attributes |= dict(file.attrs)
    for name, rows in (("b/two", 400), ("a/one", 300)):
        (tmp_path / f"new/{name}.h5").parent.mkdir(parents=True)
        with h5py.File(tmp_path / f"new/{name}.h5", "w") as file:
            file["signals"] = signals[:rows]
            file.attrs.update(attributes)
    for ending in ("csv", "parquet", "zarr"):
        output = tmp_path / f"{ending}.{ending}"
        assert predict(run_of_recordings, tmp_path / "new", output) == 0
    tables = [pd.read_csv(tmp_path / "csv.csv"), pd.read_parquet(tmp_path / "parquet.parquet")]
    for table in tables:
        assert table["name"].unique().tolist() == ["a/one", "b/two"]
        assert table["file"].tolist() == [f"{name}.h5" for name in table["name"]]
        assert (table.groupby("recording")["file"].nunique() == 1).all()
    group = xr.open_zarr(tmp_path / "zarr.zarr", consolidated=False, chunks=None)
    files = np.array(group["origin"].attrs["files"])[group["origin"]]
    assert files.tolist() == tables[0]["file"].tolist()
    line = pd.read_csv(tmp_path / "csv.timeline.csv")
    assert set(zip(line["name"], line["file"], strict=True)) == {
        ("a/one", "a/one.h5"),
        ("b/two", "b/two.h5"),
    }


class Whole:
    """What a timeline asks of a source: windows of 2 s."""

    layout = "recordings"
    origins = None
    spec = WindowSpec(20, 10.0, ("a",), ("",), np.dtype(np.float32), (1.0,))


def block(recording: list[int], time_s: list[float]) -> Block:
    empty = np.zeros((len(recording), 20, 1), np.float32)
    numbers = np.arange(len(recording))
    starts = np.array(recording, np.int32), numbers, np.array(time_s)
    return Block(numbers, empty, None, *starts, len(recording))


def test_intervals_change_half_way_and_end_where_windows_are_left_out(tmp_path: Path) -> None:
    classes, source = ("walk", "run"), Whole()
    with Timeline(tmp_path / "t.csv", source, classes) as line:
        line.add(block([0, 0, 0], [0, 1, 2]), np.array([0, 0, 1]), np.array([0.5, 0.7, 1]))
        line.add(block([0, 0], [3, 9]), np.array([1, 1]), np.array([1, 0.8]))
        line.add(block([1], [0]), np.array([1]), np.array([0.6]))
    with (tmp_path / "t.csv").open() as stream:
        rows = [tuple(row.values()) for row in csv.DictReader(stream)]
    # Windows of 2 s each second: centres at 1, 2 | 3, 4, then nothing until 10.
    assert rows == [
        ("0", "0", "2.5", "walk", "2", "0.6000"),
        ("0", "2.5", "5", "run", "2", "1.0000"),
        ("0", "9", "11", "run", "1", "0.8000"),
        ("1", "0", "2", "run", "1", "0.6000"),
    ]


OTHER: dict[str, tuple[dict[str, Any], tuple[type[UserError], *tuple[str, ...]], tuple[str]]] = {
    "channels": (
        {"channels": ["x", "y", "z"]},
        (PredictionError, "ch0, ch1, ch2", "x, y, z", "--set source.channels"),
        ('source.channels=["ch0","ch1","ch2"]',),
    ),
    "rate": (
        {"sampling_rate_hz": 100.0},
        (PredictionError, "25", "100", "--set source.target_rate_hz=25"),
        ("source.target_rate_hz=25",),
    ),
    "no rate": (
        {"sampling_rate_hz": None},
        (SourceError, "sampling_rate_hz", "source.rate_hz"),
        ("source.rate_hz=25",),
    ),
}


@pytest.mark.parametrize("what", OTHER)
def test_other_signals_are_refused_with_what_mends_them(
    what: str,
    run_of_recordings: RunFolder,
    spoken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attributes, (kind, *named), mended = OTHER[what]
    source = unlabelled(spoken, tmp_path / "new.h5", **attributes)
    assert predict(run_of_recordings, source, tmp_path / "p.csv") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert_refused(said, kind, *named)
    assert [path.name for path in tmp_path.iterdir()] == ["new.h5"]
    settings = [word for key in mended for word in ("--set", key)]
    assert predict(run_of_recordings, source, tmp_path / "p.csv", *settings) == 0


@pytest.mark.parametrize(
    ("channels", "named"),
    [
        (["ch1", "ch0", "ch2"], ("ch0, ch1, ch2", "ch1, ch0, ch2", "source.use_channels")),
        (["ch0", "ch1"], ("ch0, ch1, ch2", "ch0, ch1")),
    ],
)
def test_channels_without_names_of_their_own_are_never_swapped(
    channels: list[str],
    named: tuple[str, ...],
    run_of_recordings: RunFolder,
    spoken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = unlabelled(spoken, tmp_path / "new.h5")
    with h5py.File(source, "r+") as file:
        signals, attributes = file["signals"][:], dict(file["signals"].attrs)
        del file["signals"]
        file["signals"] = signals[:, : len(channels)]
        for name, value in attributes.items():
            file["signals"].attrs[name] = value[: len(channels)] if np.ndim(value) else value
        file["signals"].attrs["channels"] = channels
    assert predict(run_of_recordings, source, tmp_path / "p.csv") == 2
    said = capsys.readouterr().err
    assert_refused(said, PredictionError, *named)
    assert "--set source.channels" not in said


def test_a_run_of_recordings_predicts_windows_and_other_names(
    run_of_recordings: RunFolder,
    spoken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run's config names its datasets, as one of `headrace init` does."""
    run = RunFolder(tmp_path / "named")
    shutil.copytree(run_of_recordings.path, run.path)
    config = load_config(run.config)
    named = config.changed("source", signals="signals", recordings="recordings")
    run.config.write_bytes(config_bytes(named))
    record = json.loads(run.store.read_text())
    run.store.write_text(json.dumps({key: record[key] for key in record if key != "config"}))
    with h5py.File(spoken) as file, h5py.File(tmp_path / "w.h5", "w") as windows:
        windows["X"] = file["signals"][: 64 * 20].reshape(20, 64, 3)
        for name, value in file["signals"].attrs.items():
            windows["X"].attrs[name] = value
    assert predict(run, tmp_path / "w.h5", tmp_path / "w.csv") == 0
    assert len(pd.read_csv(tmp_path / "w.csv")) == 20
    short = unlabelled(spoken, tmp_path / "short.h5")
    with h5py.File(short, "r+") as file:
        file["recordings/length"][:] = 60
    assert predict(run, short, tmp_path / "s.csv") == 2
    assert_refused(capsys.readouterr().err, SourceError, "64", "60")


def test_a_folder_of_runs_and_a_run_half_done_say_what_to_name(
    run_of_recordings: RunFolder,
    spoken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    half = RunFolder(tmp_path / "half")
    shutil.copytree(run_of_recordings.path, half.path)
    half.model.unlink()
    assert predict(half, spoken, tmp_path / "p.csv") == 2
    go_on = f"headrace train --config {half.config} --run {half.path}"
    assert_refused(capsys.readouterr().err, RunError, go_on)
    above = RunFolder(run_of_recordings.path.parent)
    assert predict(above, spoken, tmp_path / "p.csv") == 2
    assert_refused(capsys.readouterr().err, RunError, f"--run {run_of_recordings.path}")


def test_options_without_effect_are_refused(
    run_of_recordings: RunFolder,
    spoken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = ("--set", "train.epochs=1", "--set", "model.filters=77")
    assert predict(run_of_recordings, spoken, tmp_path / "p.csv", *settings) == 2
    assert_refused(capsys.readouterr().err, CommandError, "model.filters", "predict", "8")
    assert predict(run_of_recordings, spoken, tmp_path / "p.csv", *settings[:2]) == 0


def test_a_run_that_does_not_record_what_it_takes_asks_its_store(
    cheap_run: RunFolder, tiny_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = RunFolder(tmp_path / "older")
    shutil.copytree(cheap_run.path, older.path)
    record = json.loads(older.store.read_bytes())
    del record["inputs"]
    older.store.write_text(json.dumps(record))
    for run, name in ((cheap_run, "new.csv"), (older, "old.csv")):
        assert predict(run, tiny_source, tmp_path / name) == 0
    assert (tmp_path / "old.csv").read_bytes() == (tmp_path / "new.csv").read_bytes()
    older.store.write_text(json.dumps(record | {"fingerprint": "0" * 32}))
    assert predict(older, tiny_source, tmp_path / "more.csv") == 2
    assert_refused(capsys.readouterr().err, PredictionError, "tiny.zarr", "headrace train --new")


def test_windows_of_another_length_are_refused(
    complete_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_synthetic(tmp_path / "long.h5", windows=60, time=80, channels=3, groups=4)
    assert predict(complete_run, tmp_path / "long.h5", tmp_path / "p.csv") == 2
    assert_refused(capsys.readouterr().err, PredictionError, "64", "80")


def test_windows_with_nan_stop_it_or_are_left_out(
    cheap_run: RunFolder,
    tiny_source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = unlabelled(tiny_source, tmp_path / "new.h5")
    with h5py.File(source, "r+") as file:
        file["X"][7, 3, 1] = np.nan
    assert predict(cheap_run, source, tmp_path / "p.csv") == 2
    assert_refused(capsys.readouterr().err, SourceContentError, "source.non_finite", "7", "530")
    assert not (tmp_path / "p.csv").exists()
    drop = ("--set", "source.non_finite=drop")
    assert predict(cheap_run, source, tmp_path / "p.csv", *drop) == 0
    left = pd.read_csv(tmp_path / "p.csv")["window"].tolist()
    assert left == [*range(7), *range(8, 530)]


def test_what_is_there_is_not_replaced_and_nothing_half_is_left(
    cheap_run: RunFolder,
    tiny_source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "p.csv").write_text("mine")
    assert predict(cheap_run, tiny_source, tmp_path / "p.csv") == 2
    assert_refused(capsys.readouterr().err, CommandError, "p.csv", "--output")
    assert predict(cheap_run, tiny_source, tmp_path / "p.txt") == 2
    endings = (".csv", ".parquet", ".zarr")
    assert_refused(capsys.readouterr().err, CommandError, "--output", "p.txt", *endings)
    for ending, calls in (("zarr", (0, 9)), ("parquet", (1,)), ("csv", (1,))):
        for at in calls:
            with pytest.MonkeyPatch.context() as patch:
                install(patch, FailingDisk(at))
                assert predict(cheap_run, tiny_source, tmp_path / f"q.{ending}") == 2
            assert_refused(capsys.readouterr().err, DiskError, FAILURE)
            assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]
    assert (tmp_path / "p.csv").read_text() == "mine"


def test_a_run_that_is_none_is_refused(
    tiny_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(RunFolder(tmp_path / "none"), tiny_source, tmp_path / "p.csv") == 2
    assert_refused(capsys.readouterr().err, RunError, "none", "model.keras", "--run")
    output = str(tmp_path / "p.csv")
    assert main(["predict", "--input", str(tiny_source), "--output", output]) == 2
    assert_refused(capsys.readouterr().err, RunError, "--run runs/NAME/DIGEST")


def test_a_source_without_labels_starts_windows_with_its_recordings(
    spoken: Path, tmp_path: Path
) -> None:
    source = unlabelled(spoken, tmp_path / "new.h5")
    options = SourceOptions(labels="", split_by_window=True, window_samples=64, step_samples=16)
    with open_source(source, options) as found:
        located, seconds = found.locate(0, found.windows), found.seconds(0, found.windows)
        assert found.classes == ("unlabelled",)
        assert found.fingerprint()
    assert located is not None
    assert seconds is not None
    with h5py.File(source) as file:
        length, start = file["recordings/length"][:], file["recordings/start"][:]
    counts = (length - 64) // 16 + 1
    assert np.bincount(located[0], minlength=len(length)).tolist() == counts.tolist()
    np.testing.assert_allclose(seconds, (located[1] - start[located[0]]) / RATE)
