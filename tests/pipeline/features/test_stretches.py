"""A store of stretches is the store of its windows: rows, order, batches, checks and repairs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorstore as ts
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.console import QUIET
from headrace.pipeline.features.notes import notes_of_build
from headrace.pipeline.features.plan import plan_build, plan_store
from headrace.pipeline.features.raw_form import RawForm, raw_form
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.stores.errors import ConfigError, DamageError, StoreError
from headrace.stores.layout.stretches import default_windows, stretch_rows
from headrace.stores.manifest import STRETCHED_FORMAT
from headrace.stores.manifest_file import read_manifest
from headrace.stores.parts.rows import PartRows
from headrace.stores.shards.cut import CutWindows
from headrace.stores.source.recordings import RecordingsLayout
from headrace.stores.source.source import open_source
from headrace.stores.store import Store
from headrace.stores.verify import verify_store
from tests.conftest import changed, hashes, request_for
from tests.in_process import store_here, tasks_here
from tests.pipeline.faults import OwnJob
from tests.pipeline.test_faults import ENDS, end_and_go_on
from tests.refusals import refused

LEAST: dict[str, Any] = {
    "name": "stretched",
    "source": {"window_samples": 32, "step_samples": 4},
    "store": {"chunk_windows": 32, "shard_windows": 128},
    "features": {"select": ["ch0__mean", "ch1__std"]},
    "folds": {"count": 3},
}
LENGTHS = [400, 333, 512, 90, 47, 620, 301, 355, 500]


def write_signals(path: Path, lengths: list[int], dtype: str = "i2", gap: bool = False) -> None:
    """Recordings of those lengths of six people, whose labels change every 90 rows."""
    rng, rows = np.random.default_rng(0), sum(lengths)
    values = rng.integers(-900, 900, (rows, 2)).astype(dtype)
    if gap:
        values[rows // 2 : rows // 2 + 3, 1] = np.nan
    with h5py.File(path, "w") as file:
        file["signals"] = values
        file["signals"].attrs["sampling_rate_hz"] = 50.0
        file["labels"] = np.arange(rows) // 90 % 2
        table = file.create_group("recordings")
        table["start"] = np.cumsum([0, *lengths[:-1]])
        table["length"] = lengths
        table["subject"] = np.arange(len(lengths)) % 6


def config_of(form: str | None, **sections: dict[str, Any]) -> Config:
    table = {name: {**LEAST.get(name, {}), **sections.get(name, {})} for name in
             {*LEAST, *sections} - {"name"}}  # fmt: skip
    if form is not None:
        table["store"]["raw"] = form
    return config_from_table({"name": "stretched", **table}, "stretched")


def made(folder: Path, data: Path, form: str, **sections: dict[str, Any]) -> Store:
    store_here(request_for(config_of(form, **sections), data, folder / f"{form}.zarr"))
    return stores.open(folder / f"{form}.zarr")


def form_of(config: Config, data: Path) -> RawForm:
    with open_source(data, config.source) as source:
        return raw_form(source, config.store)


def flip(path: Path, bits: int, at: int | None = None) -> None:
    """Change a byte of a file, the middle one if not said."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= bits
    path.write_bytes(content)


@contextmanager
def where_none_pay() -> Iterator[pytest.MonkeyPatch]:
    """Stretches are made where they are asked for, and nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headrace.pipeline.features.raw_form.WORTH", 0.0)
        yield patch


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("signals") / "recordings.h5"
    write_signals(path, LENGTHS)
    return path


@pytest.fixture(scope="module")
def both(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    folder = tmp_path_factory.mktemp("both")
    return made(folder, data, "windows"), made(folder, data, "stretches")


def assert_same_rows(one: Store, other: Store) -> None:
    """All that both hold, to the bit, and what they say of it."""
    for array in one.manifest.arrays():
        rows = (each.read(array.name, 0, each.windows) for each in (one, other))
        np.testing.assert_array_equal(*rows, err_msg=array.name)
    names = [fold.name for fold in one.folds]
    assert one.folds == other.folds
    for fold in names:
        mine, theirs = (each.moments([fold]) for each in (one, other))
        np.testing.assert_array_equal(mine.raw_mean, theirs.raw_mean)
        np.testing.assert_array_equal(mine.feature_std, theirs.feature_std)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lengths=st.lists(st.integers(20, 150), min_size=1, max_size=6),
    time=st.integers(8, 40),
    step=st.integers(2, 20),
    stretch=st.none() | st.integers(1, 40),
    chunk=st.integers(16, 90),
    chunks=st.integers(1, 4),
    kind=st.sampled_from(["i2", "f4", "drop", "fill", "resampled"]),
)
def test_any_geometry_gives_the_rows_of_the_store_of_windows(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], time: int, step: int,
    stretch: int | None, chunk: int, chunks: int, kind: str,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("geometry")
    path = folder / "recordings.h5"
    dtype = "i2" if kind == "i2" else "f4"
    write_signals(path, [*lengths, *[190] * 6], dtype, gap=kind in ("drop", "fill"))
    source: dict[str, Any] = {"window_samples": time, "step_samples": min(step, time - 1)}
    if kind in ("drop", "fill"):
        source["non_finite"] = kind
    if kind == "resampled":
        source["target_rate_hz"] = 40.0
    store = {"chunk_windows": chunk, "shard_windows": chunk * chunks, "stretch_windows": stretch}
    given = {"source": source, "store": {k: v for k, v in store.items() if v is not None}}
    windows, cut = (made(folder, path, form, **given) for form in ("windows", "stretches"))
    assert cut.manifest.format_version == STRETCHED_FORMAT
    assert_same_rows(windows, cut)
    assert list(verify_store(cut, lambda rows: None)) == []
    shutil.rmtree(folder)


def test_any_range_of_windows_is_cut_as_it_is_read(both: tuple[Store, Store]) -> None:
    windows, cut = both
    every = windows.read("raw", 0, windows.windows)
    ranges = [(5, 9), (100, 231), (0, 1), (windows.windows - 3, windows.windows), (7, 7)]
    expected = np.concatenate([every[low:high] for low, high in ranges])
    found = cut.read_many(["raw", "label"], ranges)
    np.testing.assert_array_equal(found["raw"], expected)
    buffer = cut.read_buffer(["raw"], ranges)["raw"]
    assert isinstance(buffer, CutWindows)
    assert buffer.stretches.nbytes < expected.nbytes / 2


def test_stretches_take_a_part_of_the_bytes(both: tuple[Store, Store]) -> None:
    windows, cut = (each.manifest for each in both)
    raw = {each.name: each for each in cut.arrays()}["raw"]
    assert raw.dimensions == ("stretch", "time", "channel")
    assert raw.row_shape == (stretch_rows(32, 4, 8), 2)
    assert raw.rows * raw.row_bytes < 0.6 * windows.windows * windows.spec.stored_bytes


def test_outsiders_cut_windows_by_two_arrays(both: tuple[Store, Store]) -> None:
    windows, cut = both
    every = windows.read("raw", 0, windows.windows)
    group = xr.open_zarr(str(cut.path), consolidated=False)
    stretch, offset = group["stretch"].values, group["offset"].values
    array = ts.open(
        {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{cut.path}/raw"}}
    ).result()
    for row in (0, 17, windows.windows - 1):
        first = int(offset[row])
        mine = group["raw"][int(stretch[row]), first : first + 32].values
        np.testing.assert_array_equal(mine, every[row])
        theirs = array[int(stretch[row]), first : first + 32].read().result()
        np.testing.assert_array_equal(theirs, every[row])


def test_xarray_has_windows_that_are_cut_when_they_are_indexed(both: tuple[Store, Store]) -> None:
    windows, cut = both
    expected = windows.to_xarray()["raw"]
    found = cut.to_xarray()["raw"]
    assert found.dims == expected.dims == ("window", "time", "channel")
    picks: list[dict[str, Any]] = [
        {"window": 5}, {"window": slice(3, 90, 7)}, {"window": [5, 1, 60]},
        {"time": 4, "window": slice(0, 9)}, {"channel": [1, 0], "window": [2]},
    ]  # fmt: skip
    for pick in picks:
        np.testing.assert_array_equal(found.isel(pick).values, expected.isel(pick).values)
    assert float(found.window.size) == windows.windows


def test_views_and_tables_of_both_are_the_same(both: tuple[Store, Store]) -> None:
    windows, cut = both
    np.testing.assert_array_equal(windows.window(11).raw, cut.window(11).raw)
    assert windows.features_frame(slice(0, 40)).equals(cut.features_frame(slice(0, 40)))


def test_damage_to_stretches_is_found_and_mended_to_the_same_bytes(
    both: tuple[Store, Store], data: Path, tmp_path: Path
) -> None:
    target = tmp_path / "harmed.zarr"
    shutil.copytree(str(both[1].path), target)
    flip(target / "raw" / "c.1.0.0", 255, at=40)
    with pytest.raises(DamageError, match=r"c\.1\.0\.0"):
        stores.open(target).read("raw", 0, 300)
    request = request_for(config_of("stretches"), data, target)
    with tasks_here():
        with refused(StoreError):
            run_verify(request)
        run_repair(request, "checksums")
        run_verify(request)
    assert hashes(target) == hashes(Path(str(both[1].path)))


def test_rows_that_are_not_the_sources_are_found(
    both: tuple[Store, Store], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(config_of("stretches"), data, both[1].path)
    with tasks_here():
        run_verify(request, True)
    read = RecordingsLayout.read_stretch

    def another(self: RecordingsLayout, start: int, stop: int, marks: bool) -> Any:
        rows, marked = read(self, start, stop, marks)
        return rows + (start == 0), marked

    monkeypatch.setattr(RecordingsLayout, "read_stretch", another)
    with tasks_here(), refused(StoreError):
        run_verify(request, True)


def test_a_wrong_offset_is_damage_and_no_other_window(
    both: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, read = both[1], PartRows.read

    def wrong(self: PartRows, names: list[str], wanted: Any) -> dict[str, Any]:
        found = read(self, names, wanted)
        return {k: v + 10_000 if k == "offset" else v for k, v in found.items()}

    monkeypatch.setattr(PartRows, "read", wrong)
    with pytest.raises(DamageError):
        cut.read("raw", 0, 10)


def test_a_build_that_was_interrupted_goes_on_to_the_same_bytes(
    both: tuple[Store, Store], data: Path, tmp_path: Path
) -> None:
    request = request_for(config_of("stretches"), data, tmp_path / "again.zarr")
    with tasks_here(), pytest.MonkeyPatch.context() as patch:
        from headrace.pipeline.features import stage

        done = []

        def three(*given: Any, **more: Any) -> Any:
            for each in tasks(*given, **more):
                done.append(each)
                yield each
                if len(done) == 3:
                    raise KeyboardInterrupt

        tasks = stage.run_tasks
        patch.setattr(stage, "run_tasks", three)
        with pytest.raises(KeyboardInterrupt):
            run_features(request)
    store_here(request)
    assert hashes(tmp_path / "again.zarr") == hashes(Path(str(both[1].path)))


@pytest.mark.parametrize(
    ("step", "form"),
    [(4, "stretches"), (8, "stretches"), (16, "windows"), (32, "windows")],
)
def test_the_form_follows_from_how_windows_overlap(data: Path, step: int, form: str) -> None:
    config = config_of(None, source={"step_samples": step})
    with open_source(data, config.source) as source:
        found = raw_form(source, config.store)
        assert (found.cut, found.stretch > 0) == (form == "stretches",) * 2
        manifest, _ = plan_store(config, source)
        assert manifest.format_version == (3 if form == "stretches" else 2)
        notes = [note for note in notes_of_build(source, manifest) if note.key == "store.raw"]
        assert len(notes) == (form == "stretches")


def test_a_store_of_windows_is_checked_mended_and_finished_as_it_is(
    data: Path, tmp_path: Path
) -> None:
    request = request_for(config_of(None), data, tmp_path / "old.zarr")
    with where_none_pay():
        store_here(request)
    before = hashes(tmp_path / "old.zarr")
    assert stores.open(tmp_path / "old.zarr").manifest.format_version == 2
    store_here(request)
    for harmed in ("raw/c.1.0.0", "manifest/zarr.json"):
        flip(tmp_path / "old.zarr" / harmed, 1)
        with tasks_here():
            run_repair(request, "checksums")
            run_verify(request, True)
        assert hashes(tmp_path / "old.zarr") == before
    half = request_for(config_of(None), data, tmp_path / "half.zarr")
    with where_none_pay() as patch:
        patch.setattr("headrace.pipeline.features.stage.finish_store", interrupt)
        with tasks_here(), pytest.raises(KeyboardInterrupt):
            run_features(half)
    store_here(half)
    assert hashes(tmp_path / "half.zarr") == before


def interrupt(*given: Any, **more: Any) -> None:
    raise KeyboardInterrupt


def test_a_length_that_is_named_is_kept_where_stretches_do_not_pay(data: Path) -> None:
    config = config_of(None, source={"step_samples": 16}, store={"stretch_windows": 3})
    found = form_of(config, data)
    assert (found.stretch, found.cut) == (3, False)


def test_blocks_that_are_named_are_of_windows(data: Path) -> None:
    assert not form_of(config_of(None, store={"block_windows": 5}), data).stretch


def test_stretches_need_windows_that_overlap(data: Path) -> None:
    for section, wrong in (("source", "step_samples"), ("store", "block_windows")):
        config = config_of("stretches", **{section: {wrong: 32}})
        with open_source(data, config.source) as source, refused(ConfigError):
            plan_store(config, source)


def test_a_stretch_is_about_two_windows_long() -> None:
    for time, step in ((512, 16), (128, 32), (100, 99), (512, 1)):
        windows = default_windows(time, step)
        assert 1 <= windows <= 32
        assert stretch_rows(time, step, windows) <= 2 * time


def test_the_plan_holds_what_stretches_take(data: Path) -> None:
    with open_source(data, config_of(None).source) as source:
        planned = [
            plan_build(changed(config_of(form), features={"workers": 1}), source, QUIET)
            for form in ("windows", "stretches")
        ]
    windows, cut = (each.memory.buffers for each in planned)
    assert cut["gathered stretches (1 workers)"] < windows["gathered windows (1 workers)"]


def test_a_manifest_of_windows_says_nothing_of_stretches(data: Path, tmp_path: Path) -> None:
    store_here(request_for(config_of(None, source={"step_samples": 16}), data, tmp_path / "a"))
    manifest = read_manifest(tmp_path / "a")
    assert not {"stretch", "step", "stretches"} & set(manifest.as_table())


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["kill -9", "kill -9 of a worker", "SIGTERM"])
def test_a_stage_on_stretches_that_is_ended_loses_nothing(
    name: str, both: tuple[Store, Store], data: Path, tmp_path: Path
) -> None:
    job = OwnJob(data, config_of("stretches"), Path(str(both[1].path)))
    for seed in range(4):
        end_and_go_on(ENDS[name], seed, job, tmp_path / f"{seed}", here=False)
