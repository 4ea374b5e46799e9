"""The features stage: exact rows, the same bytes always, and nothing lost when it is killed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorstore as ts
import xarray as xr

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.console import Console
from headrace.pipeline.features import stage as features_stage
from headrace.pipeline.features.catalogue import catalogue_of
from headrace.pipeline.features.plan import plan_store
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.features.task import extract_shard
from headrace.stores.build.site import site_of
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import (
    BudgetError,
    ConfigError,
    GroupError,
    SourceContentError,
    StoreError,
)
from headrace.stores.io.places import storage_of
from headrace.stores.source.source import Source, open_source
from headrace.stores.units import in_units
from headrace.stores.verify import verify_store
from tests.conftest import changed, hashes, request_for
from tests.in_process import store_here, tasks_here
from tests.refusals import refused, says
from tests.stores.source_files import write_recordings


def build_here(config: Config, source: Path, target: Path) -> stores.Store:
    """A store made by the same tasks, in this process."""
    with open_source(source, config.source) as opened:
        manifest, survey = plan_store(config, opened)
    build = site_of(target).begin(manifest, survey.index)
    for shard in range(manifest.shards):
        extract_shard(target, source, storage_of(source).state(), shard)
    build.finish()
    return stores.open(target)


def assert_rows_are_the_sources(store: stores.Store, source: Path, config: Config) -> None:
    """Every row equals its source window, and its features are those of that window."""
    index = store.read("source_index", 0, store.windows)
    raw, features = store.read("raw", 0, store.windows), store.read("features", 0, store.windows)
    catalogue = catalogue_of(store.manifest)
    assert catalogue is not None
    with open_source(source, config.source) as opened:
        windows = opened.read_windows(0, opened.windows)
        labels = opened.read_labels(0, opened.windows)
        assert np.array_equal(np.sort(index), np.arange(opened.windows))
        scale = opened.spec.scale
    assert np.array_equal(raw, windows[index])
    assert np.array_equal(store.read("label", 0, store.windows), labels.label[index])
    assert np.array_equal(store.read("group", 0, store.windows), labels.group[index])
    assert np.array_equal(features, catalogue.extract(in_units(windows, scale))[index])
    for fold in store.folds:
        assert set(labels.group[index[fold.start : fold.stop]]) == set(fold.groups)


def test_every_row_is_its_source_window(
    tiny_store: Path, tiny_source: Path, tiny_config: Config
) -> None:
    assert_rows_are_the_sources(stores.open(tiny_store), tiny_source, tiny_config)


def test_recordings_are_windowed_scaled_and_located(tmp_path: Path, tiny_config: Config) -> None:
    source = tmp_path / "recordings.h5"
    write_synthetic(source, windows=400, time=64, channels=3, groups=6, layout="recordings")
    with h5py.File(source, "r+") as file:
        file.attrs["scale_to_units"] = [0.5, 2.0, 1.0]
    config = changed(tiny_config, source={"window_samples": 64, "overlap": 0.5})
    store = build_here(config, source, tmp_path / "recordings.zarr")
    assert_rows_are_the_sources(store, source, config)
    start, recording = store.read("start", 0, 50), store.read("recording", 0, 50)
    with h5py.File(source) as file:
        first = file["recordings/start"][:]
        for row in range(50):
            signals = file["signals"][start[row] : start[row] + 64]
            assert np.array_equal(store.read("raw", row, row + 1)[0], signals)
            assert first[recording[row]] <= start[row]


def test_groups_that_interleave_are_gathered_all_the_same(
    tmp_path: Path, tiny_source: Path, tiny_config: Config
) -> None:
    source = tmp_path / "interleaved.h5"
    order = np.random.default_rng(0).permutation(530)
    with h5py.File(tiny_source) as old, h5py.File(source, "w") as new:
        for name in ("X", "y", "groups"):
            new[name] = old[name][:][order]
        for key, value in old["X"].attrs.items():
            new["X"].attrs[key] = value
        for key, value in old.attrs.items():
            new.attrs[key] = value
    store = build_here(tiny_config, source, tmp_path / "interleaved.zarr")
    assert_rows_are_the_sources(store, source, tiny_config)


def test_workers_budget_and_process_decide_no_byte(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    build_here(
        changed(tiny_config, features={"workers": 1}, memory={"budget": "1GiB"}),
        tiny_source,
        tmp_path / "again.zarr",
    )
    assert hashes(tmp_path / "again.zarr") == hashes(tiny_store)
    assert sorted(os.listdir(tmp_path)) == ["again.zarr"]


def test_a_store_names_no_time_path_or_host(tiny_store: Path, tiny_source: Path) -> None:
    text = (tiny_store / "manifest" / "zarr.json").read_text()
    assert str(tiny_source.parent) not in text
    assert os.uname().nodename not in text
    assert not [path for path in tiny_store.rglob("*") if path.suffix in (".tmp", ".lock", ".log")]


def test_outsiders_read_the_store(tiny_store: Path) -> None:
    store = stores.open(tiny_store)
    dataset = xr.open_zarr(tiny_store, consolidated=False)
    assert dataset["raw"].dims == ("window", "time", "channel")
    assert dataset["features"].dims == ("window", "feature")
    assert dataset["raw"].attrs["sampling_rate_hz"] == 50.0
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tiny_store}/raw/"}}
    raw = store.read("raw", 0, store.windows)
    assert np.array_equal(dataset["raw"].to_numpy(), raw)
    assert np.array_equal(ts.open(spec).result().read().result(), raw)


def test_moments_and_counts_are_those_of_the_rows(tiny_store: Path) -> None:
    store = stores.open(tiny_store)
    folds = [store.folds[1], store.folds[3]]
    moments = store.moments([fold.name for fold in folds])
    raw = np.concatenate([store.read("raw", f.start, f.stop) for f in folds]).astype(np.float64)
    features = np.concatenate([store.read("features", f.start, f.stop) for f in folds])
    assert moments.count == len(raw)
    np.testing.assert_allclose(moments.raw_mean, raw.mean(axis=(0, 1)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(moments.raw_std, raw.std(axis=(0, 1)), rtol=1e-6)
    exact = features.astype(np.float64)
    np.testing.assert_allclose(moments.feature_std, exact.std(axis=0), rtol=1e-4, atol=1e-9)
    label = np.concatenate([store.read("label", f.start, f.stop) for f in folds])
    counts = store.class_counts([fold.name for fold in folds])
    assert np.array_equal(counts, np.bincount(label, minlength=len(store.classes)))


def test_a_complete_store_is_left_alone(
    tiny_store: Path, tiny_source: Path, tiny_config: Config
) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_store.rglob("*")}
    summary = run_features(request_for(tiny_config, tiny_source, tiny_store))
    assert summary["made_shards"] == 0
    assert before == {path: path.stat().st_mtime_ns for path in tiny_store.rglob("*")}
    without_source = run_features(request_for(tiny_config, Path("gone.h5"), tiny_store))
    assert without_source["windows"] == 530


@pytest.mark.usefixtures("made_here")
def test_a_changed_config_or_source_is_refused(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    other = changed(tiny_config, store={"seed": 7})
    with refused(StoreError, "store.seed", "0", "7"):
        run_features(request_for(other, tiny_source, tiny_store))
    edited = tmp_path / "edited.h5"
    edited.write_bytes(tiny_source.read_bytes())
    with h5py.File(edited, "r+") as file:
        file["y"][3] = (int(file["y"][3]) + 1) % 3
    with refused(StoreError, "tiny.zarr"):
        run_features(request_for(tiny_config, edited, tiny_store))


@pytest.mark.usefixtures("made_here")
def test_recordings_without_a_window_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "s.h5"
    write_recordings(source, rows=(90, 12, 70, 80, 9))
    config = config_from_table({"source": {"window_samples": 20}}, "test")
    request = request_for(config, source, tmp_path / "s.zarr")
    run_features(dataclasses.replace(request, console=Console()))
    said = " ".join(capsys.readouterr().out.split())
    assert says(said, "2 recordings")
    assert says(said, "2, 5")


def test_no_worker_can_be_interrupted_from_its_first_instruction() -> None:
    code = (
        "import signal\n"
        "from headrace.pipeline.workers.run import local_client\n"
        "if __name__ == '__main__':\n"
        "    with local_client(2) as client:\n"
        "        masks = client.run(signal.pthread_sigmask, signal.SIG_BLOCK, ())\n"
        "    print([signal.SIGINT in mask for mask in masks.values()])\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "[True, True]", answer.stderr


def test_a_build_of_another_config_is_not_continued(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    target = tmp_path / "begun.zarr"
    with open_source(tiny_source, tiny_config.source) as source:
        manifest, survey = plan_store(tiny_config, source)
    site_of(target).begin(manifest, survey.index)
    extract_shard(target, tiny_source, storage_of(tiny_source).state(), 0)
    with open_source(tiny_source, tiny_config.source) as source:
        other, survey = plan_store(changed(tiny_config, store={"level": 5}), source)
    with refused(StoreError, "begun.zarr.partial", "store.level"):
        site_of(target).begin(other, survey.index)


@pytest.mark.usefixtures("made_here")
def test_a_plan_that_does_not_fit_is_refused_before_anything_is_written(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    small = changed(tiny_config, memory={"budget": "100MiB"})
    with refused(BudgetError, "features", "memory.budget", "100 MiB"):
        run_features(request_for(small, tiny_source, tmp_path / "none.zarr"))
    assert os.listdir(tmp_path) == []


def test_a_value_that_the_stored_type_cannot_hold_is_refused(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(tiny_config, store={"raw_dtype": "float16"})
    store = build_here(config, tiny_source, tmp_path / "half.zarr")
    assert store.spec.dtype == np.float16
    assert not list(verify_store(store, lambda _: None))
    source = tmp_path / "large.h5"
    source.write_bytes(tiny_source.read_bytes())
    with h5py.File(source, "r+") as file:
        file["X"][100, 5, 1] = 1e5
    with refused(SourceContentError, "store.raw_dtype", "65504", "100000"):
        build_here(config, source, tmp_path / "over.zarr")


def test_scaled_counts_far_from_zero_verify(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    source = tmp_path / "counts.h5"
    with h5py.File(tiny_source) as old, h5py.File(source, "w") as new:
        counts = np.random.default_rng(0).normal(16405, 84, old["X"].shape).astype("i2")
        new["X"] = counts
        new["X"].attrs["sampling_rate_hz"] = 50.0
        new["y"], new["groups"] = old["y"][:], old["groups"][:]
        new.attrs["scale_to_units"] = [0.000598] * 3
    store = build_here(tiny_config, source, tmp_path / "counts.zarr")
    assert not list(verify_store(store, lambda _: None))


def test_what_is_left_of_a_finished_build_is_no_build(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    """Killed between the last rename and the clean-up; then the store is deleted."""
    target = tmp_path / "twice.zarr"
    with open_source(tiny_source, tiny_config.source) as opened:
        manifest, survey = plan_store(tiny_config, opened)
    build = site_of(target).begin(manifest, survey.index)
    for shard in range(manifest.shards):
        extract_shard(target, tiny_source, storage_of(tiny_source).state(), shard)
    build.store.rename(tmp_path / "elsewhere")
    again = site_of(target).begin(manifest, survey.index)
    assert again.finished_shards() == []


def test_raw_alone_is_stored_when_no_feature_is_selected(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(tiny_config, features={"select": []})
    store = build_here(config, tiny_source, tmp_path / "raw.zarr")
    assert store.feature_names == ()
    assert not (store.path / "features").exists()
    assert store.moments(["0"]).raw_std.shape == (3,)


@pytest.fixture
def broken_source(tiny_source: Path, tmp_path: Path) -> Path:
    """The tiny source with NaN in windows 7 and 8 and infinity in 300."""
    path = tmp_path / "broken.h5"
    path.write_bytes(tiny_source.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X"][7, 3, 0] = np.nan
        file["X"][8, 0, 2] = np.nan
        file["X"][300, 10, 1] = np.inf
    return path


OWN_FEATURES = """
import numpy as np
from headrace import feature_function

@feature_function("first")
def first(windows, rate_hz):
    return windows[:, :1, 0]

@feature_function("not_finite")
def not_finite(windows, rate_hz):
    return np.full((len(windows), 1), np.nan)

@feature_function("fails")
def fails(windows, rate_hz):
    raise IndexError("boom")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an importable module with the functions above."""
    (tmp_path / f"own_{tmp_path.name}.py").write_text(OWN_FEATURES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"own_{tmp_path.name}"


def test_functions_of_the_users_alone_wait_for_no_compiler(
    tmp_path: Path, own: str, tiny_source: Path, tiny_config: Config, monkeypatch
) -> None:
    monkeypatch.setattr(features_stage, "kernels_are_cached", lambda: False)
    monkeypatch.setattr(features_stage, "compile_in_child", lambda: pytest.fail("it compiles"))
    config = changed(tiny_config, features={"select": [], "custom": [f"{own}:first"]})
    store = stores.open(store_here(request_for(config, tiny_source, tmp_path / "own.zarr")))
    raw, features = store.read("raw", 0, store.windows), store.read("features", 0, store.windows)
    assert np.array_equal(features, raw[:, :1, 0])


@pytest.mark.parametrize(("function", "said"), [("not_finite", "nan"), ("fails", "IndexError")])
def test_a_function_of_the_users_that_fails_is_named_in_one_line(
    tmp_path: Path, own: str, tiny_source: Path, tiny_config: Config, function: str, said: str
) -> None:
    reference = f"{own}:{function}"
    config = changed(tiny_config, features={"custom": [reference]})
    with refused(ConfigError, "features.custom", reference, said):
        store_here(request_for(config, tiny_source, tmp_path / "own.zarr"))


def test_non_finite_windows_are_an_error_by_default(
    broken_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    with refused(SourceContentError, "source.non_finite", "2", "7", "8", "ch0", "ch2"):
        build_here(tiny_config, broken_source, tmp_path / "broken.zarr")
    assert not (tmp_path / "broken.zarr").exists()


@pytest.mark.faults
def test_what_the_error_advises_works(
    broken_source: Path, tiny_config: Config, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "advised.zarr"
    with refused(SourceContentError, "source.non_finite"):
        run_features(request_for(tiny_config, broken_source, target))
    assert sorted(os.listdir(tmp_path)) == ["broken.h5"]
    assert "Traceback" not in capfd.readouterr().err
    config = changed(tiny_config, source={"non_finite": "drop"})
    with tasks_here():
        assert run_features(request_for(config, broken_source, target))["windows"] == 527


def test_non_finite_windows_are_dropped_and_listed(
    broken_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(tiny_config, source={"non_finite": "drop"})
    store = build_here(config, broken_source, tmp_path / "dropped.zarr")
    assert store.manifest.dropped == ((7, 9), (300, 301))
    index = np.sort(store.read("source_index", 0, store.windows))
    assert np.array_equal(index, np.setdiff1d(np.arange(530), [7, 8, 300]))


def test_filled_windows_are_listed(
    broken_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(tiny_config, source={"non_finite": "fill", "fill_value": 0.0})
    store = build_here(config, broken_source, tmp_path / "filled.zarr")
    assert store.manifest.filled == ((7, 9), (300, 301))
    assert np.isfinite(store.read("raw", 0, store.windows)).all()


def test_test_groups_make_an_official_part(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    with open_source(tiny_source, tiny_config.source) as source:
        names = source.groups
    config = changed(tiny_config, folds={"test_groups": [names[2], names[5]]})
    store = build_here(config, tiny_source, tmp_path / "parts.zarr")
    test = [fold for fold in store.folds if fold.name.startswith("test/")]
    assert {store.groups[group] for fold in test for group in fold.groups} == {names[2], names[5]}
    wrong = changed(tiny_config, folds={"test_groups": ["nobody"]})
    with refused(GroupError, "folds.test_groups", "nobody"):
        build_here(wrong, tiny_source, tmp_path / "none.zarr")


def test_workers_never_import_tensorflow_or_keras() -> None:
    modules = "headrace.pipeline.features.task, headrace.pipeline.workers.run"
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "numpy" in loaded
    assert not {"tensorflow", "keras", "sklearn", "matplotlib"} & set(loaded)


@pytest.mark.usefixtures("made_here")
def test_a_budget_too_small_is_refused_before_any_window_is_read(
    tiny_source: Path, tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*given: object) -> None:
        raise AssertionError("windows were read")

    monkeypatch.setattr(Source, "read_windows", read)
    monkeypatch.setattr(Source, "read_marked_windows", read)
    config = changed(tiny_config, source={"non_finite": "drop"}, memory={"budget": 1 << 20})
    with refused(BudgetError, "features", "memory.budget", "1 MiB"):
        run_features(request_for(config, tiny_source, tmp_path / "t.zarr"))
