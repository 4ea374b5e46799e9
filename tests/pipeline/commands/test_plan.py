"""The plan command: every stage's memory before any starts, and values that would fit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace import stores
from headrace.pipeline.cli.main import main
from headrace.pipeline.commands.plan import run_plan
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.memory import plan_evaluate
from headrace.pipeline.experiments.memory import plan_crossval
from headrace.pipeline.features.catalogue import catalogue_of
from headrace.pipeline.features.memory import Making, plan_features
from headrace.pipeline.features.plan import plan_store
from headrace.pipeline.memory.fit import fitted
from headrace.pipeline.memory.measured import known_reserved, network_shape
from headrace.pipeline.memory.plan import MIB
from headrace.pipeline.memory.watch import tree_memory, watch_memory
from headrace.pipeline.rows.order import Order
from headrace.pipeline.rows.quality import POOR
from headrace.pipeline.rows.ranges import merge_ranges
from headrace.pipeline.rows.split import choose_split, fold_ranges
from headrace.pipeline.runs.resolve import resolved_config
from headrace.pipeline.training.memory import plan_train
from headrace.stores import Store
from headrace.stores.build.build import layout_of
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import BudgetError, CommandError
from headrace.stores.parts.part import StorePart
from headrace.stores.source.labels.labels import LabelRuns, Labels
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source
from headrace.stores.spec import WindowSpec
from headrace.stores.target import class_target
from tests.conftest import ROOT, changed, request_for
from tests.pipeline.held import assert_record_of_memory
from tests.refusals import assert_refused, refused, says

pytestmark = pytest.mark.usefixtures("probed_here")


@pytest.fixture(scope="module")
def wide_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows large enough for shards and buffers to weigh: 2,048 x 9."""
    path = tmp_path_factory.mktemp("wide") / "wide.h5"
    write_synthetic(path, windows=3000, time=2048, channels=9, groups=8)
    return path


def budgeted(config: Config, mib: int) -> Config:
    return changed(config, memory={"budget": mib * MIB})


def test_a_store_to_be_made_is_planned_as_it_will_stand(
    tiny_source: Path, tiny_store: Path, tiny_config: Config, tmp_path: Path
) -> None:
    absent = tmp_path / "absent" / "tiny.zarr"
    before = run_plan(request_for(tiny_config, tiny_source, absent))
    after = run_plan(request_for(tiny_config, tiny_source, tiny_store))
    assert set(before["stages"]) == {"features", *after["stages"]}
    assert set(after["stages"]) == {"train", "evaluate", "crossval"}
    for stage, lines in after["stages"].items():
        assert {**before["stages"][stage], "budget": 0} == {**lines, "budget": 0}
    assert before["needed_disk"] > 0
    assert not absent.parent.exists()


def test_every_line_is_bytes_and_they_add_up(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    found = run_plan(request_for(tiny_config, tiny_source, tmp_path / "t.zarr"))["stages"]
    for lines in found.values():
        parts = {name: size for name, size in lines.items() if name not in ("projected", "budget")}
        assert sum(parts.values()) == lines["projected"] <= lines["budget"]


def test_a_poor_shuffle_is_warned_of_with_a_buffer_that_mends_it(
    tmp_path: Path, tiny_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "many.h5"
    write_synthetic(source, windows=4000, time=64, channels=3, groups=40)
    config = changed(tiny_config, folds={"by": "group"}, train={"batch": 128})
    request = replace(request_for(config, source, tmp_path / "m.zarr"), console=Console())
    poor = run_plan(request)
    offered = re.search(r"\bstream\.buffer_chunks = (\d+)", capsys.readouterr().out)
    assert poor["shuffle_quality"] < POOR
    assert offered
    mended = changed(config, stream={"buffer_chunks": int(offered[1])})
    assert run_plan(replace(request, config=mended))["shuffle_quality"] >= POOR
    assert "stream.buffer_chunks" not in capsys.readouterr().out


@pytest.mark.faults
def test_values_that_are_offered_do_fit(
    wide_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(budgeted(tiny_config, 420), store={"chunk_windows": 64, "shard_windows": 2048})
    request = request_for(config, wide_source, tmp_path / "w.zarr")
    with refused(BudgetError, "features", "memory.budget") as error:
        run_plan(request)
    offered = re.search(r"store\.shard_windows = (\d+)", str(error.value))
    assert offered
    smaller = changed(config, store={"chunk_windows": 64, "shard_windows": int(offered[1])})
    with pytest.raises(BudgetError, match=r"\b(train|evaluate|crossval)\b"):
        run_plan(request_for(smaller, wide_source, tmp_path / "w.zarr"))
    least = re.search(r"memory\.budget = (\d+)MiB", str(error.value))
    assert least
    enough = budgeted(config, int(least[1]))
    with pytest.raises(BudgetError, match=r"\b(train|evaluate|crossval)\b"):
        run_plan(request_for(enough, wide_source, tmp_path / "w.zarr"))


def test_reading_ahead_gives_way_to_the_budget_unless_it_is_chosen(
    tiny_store: Path, tiny_config: Config
) -> None:
    store = stores.open(tiny_store)
    config = resolved_config(request_for(tiny_config, None, tiny_store), store)

    def projected(threads: int, waiting: int = 2) -> int:
        least = {"read_threads": threads, "prefetch_batches": waiting, "index_cache": 1}
        return plan_train(changed(config, stream=least), store).projected

    between = (projected(1) + projected(2)) // 2
    tight = changed(config, memory={"budget": between})
    assert fitted(plan_train, tight, store)[0].stream.read_threads == 1
    chosen = changed(tight, stream={"read_threads": 2})
    assert fitted(plan_train, chosen, store)[0].stream.read_threads == 2
    assert fitted(plan_train, config, store)[0].stream.read_threads == 2

    def waiting(budget: int) -> int:
        held = changed(config, memory={"budget": budget})
        return fitted(plan_train, held, store)[0].stream.prefetch_batches

    assert [waiting(projected(2, number)) for number in (2, 5, 32)] == [2, 5, 32]
    assert waiting(projected(2, 100)) == 32


def test_the_budget_decides_how_many_indexes_are_kept_unless_it_is_chosen(
    tiny_store: Path, tiny_config: Config
) -> None:
    store = stores.open(tiny_store)
    one = store.shard_index_bytes
    assert store.index_bytes > 2 * one
    config = resolved_config(request_for(tiny_config, None, tiny_store), store)

    def kept(budget: int, **chosen: int) -> int | None:
        held = changed(config, memory={"budget": budget}, stream=chosen)
        return fitted(plan_train, held, store)[0].stream.index_cache

    def projected(cache: int) -> int:
        return plan_train(changed(config, stream={"index_cache": cache}), store).projected

    assert kept(projected(one) + one) == 2 * one
    assert kept(projected(store.index_bytes)) == kept(1 << 40) == store.index_bytes
    assert kept(projected(one) + one, index_cache=3 * one) == 3 * one
    few = store.with_index_cache(2 * one)
    np.testing.assert_array_equal(
        few.read("label", 0, store.windows), store.read("label", 0, store.windows)
    )
    assert projected(2 * one) - projected(one) == one


def test_without_store_and_source_the_way_out_is_named(tiny_config: Config, tmp_path: Path) -> None:
    with refused(CommandError, "none.zarr", "--data"):
        run_plan(request_for(tiny_config, None, tmp_path / "none.zarr"))


def test_the_command_prints_all_plans_and_then_refuses(
    tiny_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plan", "--data", str(tiny_source), "--store", str(tmp_path / "t.zarr")]
    assert main([*command, "--budget", "500MiB"]) == 2
    above = capsys.readouterr()
    for stage in ("features", "train", "evaluate", "crossval"):
        assert says(above.out, stage)
    assert above.err.count("\n") == 1
    assert_refused(above.err, BudgetError, "train", "memory.budget")
    assert main([*command, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["stages"]["train"]["projected"] > 0


def test_a_plan_needs_no_tensorflow(tiny_source: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from headrace.pipeline.cli.main import main; main(sys.argv[1:]);"
        "assert 'tensorflow' not in sys.modules and 'numba' not in sys.modules"
    )
    options = ["plan", "--quiet", "--data", str(tiny_source), "--store", str(tmp_path / "t.zarr")]
    subprocess.run([sys.executable, "-c", code, *options], check=True)


@pytest.mark.faults
def test_stages_leave_what_they_held_beside_their_result(tiny_store: Path, tmp_path: Path) -> None:
    """For the features stage, see `memory/test_machine.py`."""
    run = tmp_path / "run"
    common = ["--quiet", "--store", str(tiny_store), "--run", str(run)]
    common += ["--set", "train.epochs=1", "--set", "train.steps_per_epoch=2"]
    common += ["--set", "train.average=0", "--set", 'evaluate.views=["identity"]']
    common += ["--set", "model.inputs=features", "--set", "model.feature_units=[8]"]
    commands = json.dumps([[stage, *common] for stage in ("train", "evaluate")])
    # Not in the tests' process: what it holds would count.
    command = [sys.executable, "-m", "tests.one_process", commands]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == [0, 0]
    for stage in ("train", "evaluate"):
        assert_record_of_memory(run / f"memory-{stage}.json")
    assert (run / "memory.png").is_file()
    assert "<h2>Memory</h2>" in (run / "report.html").read_text()


def test_a_wider_network_takes_more(tiny_store: Path) -> None:
    store = stores.open(tiny_store)
    wide = changed(Config(), model={"filters": 1024, "feature_units": (4096, 4096)})
    assert plan_train(wide, store).projected > plan_train(Config(), store).projected + 200 * MIB


def test_a_damaged_record_of_what_was_measured_is_measured_anew(
    tiny_store: Path, tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "headrace").mkdir()
    for text in ("", "[]", '{"cut'):
        (tmp_path / "headrace" / "reserved.json").write_text(text)
        assert known_reserved(tiny_config, network_shape(stores.open(tiny_store))) == {}


def calls_of(run: Callable[[], Any]) -> tuple[int, Any]:
    """How many functions `run` calls, which no processor changes, and what it returns."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    former = sys.getprofile()
    sys.setprofile(count)
    try:
        found = run()
    finally:
        sys.setprofile(former)
    return calls, found


class VirtualSource:
    """Windows of 128 x 9 in 2,000 recordings of 200 subjects, however many; no file."""

    layout, path, options = "recordings", Path("virtual.h5"), SourceOptions()
    grouped = True
    spec = WindowSpec(
        time=128,
        rate_hz=50.0,
        channels=tuple(f"ch{number}" for number in range(9)),
        units=("g",) * 9,
        dtype=np.dtype(np.float32),
        scale=(1.0,) * 9,
    )
    classes = tuple(f"class {number}" for number in range(6))
    groups = tuple(f"subject {number}" for number in range(200))
    parts = ()
    buffer_bytes = chunk_cache_bytes = table_bytes = 8 << 20
    fetched_bytes = pieces_bytes = 0
    recordings = None
    target, unlabelled = class_target(classes), False

    def __init__(self, windows: int) -> None:
        self.windows = windows

    def counted_runs(self) -> Iterator[LabelRuns]:
        return self.label_runs()

    def fingerprint(self) -> str:
        return "0" * 64

    def recorded_files(self) -> None:
        """It is one."""

    def label_runs(self) -> Iterator[LabelRuns]:
        edges = np.linspace(0, self.windows, 2001).astype(np.int64)
        number = np.arange(2000)
        label, group = (number % 6).astype(np.int32), (number % 200).astype(np.int32)
        yield LabelRuns(edges[:-1], edges[1:], Labels(label, group, np.full(2000, -1, np.int8)))


def test_ten_thousand_million_windows_are_planned_by_arithmetic(tiny_config: Config) -> None:
    defaults = {"chunk_windows": None, "shard_windows": None, "block_windows": None}
    tiny_config = changed(tiny_config, store=defaults)

    def read_nothing(start: int, stop: int) -> NDArray[np.int64]:
        raise AssertionError("the runs say it all")

    def planned(windows: int) -> tuple[Any, ...]:
        source = cast(Source, VirtualSource(windows))
        manifest, survey = plan_store(tiny_config, source)
        making = Making(manifest, catalogue_of(manifest), source, survey.index.nbytes)
        plans = [plan_features(tiny_config, making)[0]]
        layout = layout_of(manifest, survey.index)
        shards = (0, layout.shards // 2, layout.shards - 1)
        recipes = [layout.recipe(number, read_nothing) for number in shards]
        store = Store(StorePart(Path("virtual.zarr"), manifest))
        config = resolved_config(request_for(tiny_config, None, store.path), store)
        train = choose_split(store.folds, survey.class_table, config.split).train
        order = Order(merge_ranges(fold_ranges(store, train)), store.chunk_windows, 16, seed=0)
        ranges = [order.buffer_ranges(1, number) for number in (0, order.buffers - 1)]
        plans += [plan_train(config, store), plan_evaluate(config, store, baseline=True)]
        plans.append(plan_crossval(config, store, baseline=True))
        return config, store, manifest, layout, recipes, ranges, plans

    few, _ = calls_of(lambda: planned(10**7))
    held = tree_memory(os.getpid())[0]
    with watch_memory() as use:
        calls, found = calls_of(lambda: planned(10**10))
    config, store, manifest, layout, recipes, ranges, plans = found
    assert calls < 1.5 * few
    assert use.peak - held < 100e6
    assert manifest.windows == layout.rows == 10**10
    assert [recipe.rows for recipe in recipes] == [8192, 8192, 10**10 % 8192]
    assert sum(fold.stop - fold.start for fold in store.folds) == 10**10
    assert all(0 <= low < high <= 10**10 for each in ranges for low, high in each)
    # Nothing grows with the windows but the numbers of the shards, and by little.
    small = manifest.model_copy(update={"windows": 10**7})
    assert plan_train(config, Store(StorePart(store.path, small))).projected == plans[1].projected
    fewer = planned(10**7)[-1][0]
    grown = {name for name, size in plans[0].buffers.items() if size != fewer.buffers[name]}
    assert grown == {"lists of shards"}
    assert plans[0].buffers["lists of shards"] < 0.04 * 10**10
