"""A run knows the parts that it began with, whatever is added to its store since."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.evaluation.metrics import read_metrics
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.experiments import ablation, crossval
from headrace.pipeline.experiments.ablation import Extent, run_ablation
from headrace.pipeline.experiments.crossval import run_crossval
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.parts import begun_with, store_of_run
from headrace.pipeline.runs.record import recorded_config, recorded_fingerprint, recorded_split
from headrace.pipeline.training.stage import run_train
from headrace.pipeline.training.state import StateKeeper
from headrace.stores.errors import CommandError, RunError
from headrace.stores.store import Store, open_store
from tests.conftest import changed, hashes, request_for
from tests.grown import append, config_of, make, write_people, write_three
from tests.pipeline.conftest import without_drawing
from tests.pipeline.trained import assert_same_result
from tests.refusals import assert_refused, refused

TINY: dict[str, dict[str, Any]] = {
    "model": {"inputs": "features", "feature_units": [4], "fusion_units": 4},
    "train": {"epochs": 2, "batch": 64, "average": 0.0, "tensorboard": False},
    "evaluate": {"batch": 64, "mistakes": 3, "baseline_windows": 100},
    "split": {"folds": 4, "test_fold": 1},
}


@pytest.fixture(scope="module")
def config() -> Config:
    """A network of features alone, which TensorFlow is quick to trace."""
    return changed(config_of("windows"), **TINY)


class Grown:
    """A folder in which trainings ran before the store grew and after it."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config, self.store = folder, config, folder / "grown.zarr"
        first, self.second, _ = write_three(folder)
        make(self.store, first, config_of("windows"))
        self.before = open_store(self.store)
        self.complete = folder / "complete"
        self.train(self.complete)
        self.whole = hashes(self.complete)
        shutil.copytree(self.complete, folder / "of_0_1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StateKeeper, "write", _write_and_stop(StateKeeper.write))
            with pytest.raises(KeyboardInterrupt):
                self.train(folder / "stopped")
        append(self.store, self.second, config_of("windows"))
        self.after = open_store(self.store)

    def train(self, run: Path | None, config: Config | None = None, **more: Any) -> dict[str, Any]:
        request = request_for(config or self.config, None, self.store, run)
        with without_drawing():
            return run_train(replace(request, **more))


def _write_and_stop(write: Any) -> Any:
    def stopped(keeper: StateKeeper, *given: Any) -> None:
        write(keeper, *given)
        raise KeyboardInterrupt

    return stopped


@pytest.fixture(scope="module")
def grown(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Grown:
    return Grown(tmp_path_factory.mktemp("runs"), config)


def test_an_interrupted_run_goes_on_with_the_parts_that_it_began_with(
    grown: Grown, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = RunFolder(grown.folder / "stopped")
    assert not stopped.complete
    summary = grown.train(stopped.path, console=Console())
    assert summary["trained"]
    assert re.search(r"\b1 part was added\b", capsys.readouterr().out)
    assert_same_result(stopped, RunFolder(grown.complete))
    assert recorded_fingerprint(stopped) == grown.before.fingerprint != grown.after.fingerprint


def test_a_complete_run_is_left_alone_and_says_what_was_added(
    grown: Grown, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = grown.train(grown.complete, console=Console())
    assert not summary["trained"]
    said = capsys.readouterr().out
    assert re.search(r"\b1 part was added\b", said)
    assert f"train.initial={grown.complete}" in said
    assert {"--new"} <= set(said.split())
    assert hashes(grown.complete) == grown.whole


def test_an_evaluation_is_of_the_parts_of_the_run(
    grown: Grown, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for name in ("complete", "of_0_1"):
        run = RunFolder(shutil.copytree(grown.folder / name, grown.folder / f"{name}-scored"))
        if name == "of_0_1":  # Of before stores grew: its configuration names no parts.
            text = run.config.read_text()
            older = re.sub("^(parts|other_stores) .*\n", "", text, flags=re.MULTILINE)
            assert older != text
            run.config.write_text(older)
            record = json.loads(run.store.read_text())
            record["config"] = hashlib.sha256(run.config.read_bytes()).hexdigest()
            run.store.write_text(json.dumps(record))
            assert recorded_config(run).paths.parts is None
        request = request_for(Config(), None, grown.folder / "none.zarr", run.path)
        run_evaluate(replace(request, console=Console()))
        assert re.search(r"\b1 part was added\b", capsys.readouterr().out)
        split = recorded_split(run)
        windows = sum(grown.before.fold(fold).windows for fold in split.test)
        metrics = read_metrics(run)
        found.append(metrics.plain)
        assert sum(sum(row) for row in metrics.plain.confusion) == windows
        assert windows != sum(grown.after.fold(fold).windows for fold in split.test)
    assert found[0] == found[1]


def test_a_new_run_trains_on_all_parts_from_the_weights_of_one_of_fewer(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(grown.folder)
    config = changed(grown.config, train={"initial": str(grown.complete), "epochs": 1})
    run = RunFolder(Path(grown.train(None, config, new=True)["run"]))
    assert recorded_fingerprint(run) == grown.after.fingerprint
    paths = recorded_config(run).paths
    assert (paths.store, paths.other_stores, paths.parts) == (grown.store, (), 2)
    # Of all that stand there is nothing to say, and the newest is found again.
    again = grown.train(None, config)
    assert (again["run"], again["trained"]) == (str(run.path), False)
    store = store_of_run(run, recorded_config(run), grown.store)
    assert store.fingerprint == grown.after.fingerprint


def test_a_store_of_others_is_refused(grown: Grown, tmp_path: Path) -> None:
    data = write_people(tmp_path / "o.h5", ["o0", "o1", "o2", "o3"], ["walk", "sit", "run"], 9)
    other = make(tmp_path / "other.zarr", data, config_of("windows"))
    fingerprint = open_store(other).fingerprint
    request = request_for(changed(Config(), paths={"store": str(other)}), None, other)
    with refused(RunError, grown.before.fingerprint[:16], fingerprint[:16]):
        run_evaluate(replace(request, run=grown.complete))


def parted(folder: Path, name: str, seed: int) -> tuple[Path, Path]:
    """A small store, and a source that can be appended to it."""
    people = [f"{name}{number}" for number in range(4)]
    data = write_people(folder / f"{name}.h5", people, ["walk", "sit"], seed)
    more = write_people(folder / f"{name}-more.h5", [f"{name}9"], ["walk", "sit"], seed + 1)
    return make(folder / f"{name}.zarr", data, config_of("windows")), more


def test_of_several_stores_each_may_have_grown(tmp_path: Path) -> None:
    made = [parted(tmp_path, name, seed) for name, seed in (("a", 3), ("b", 7))]
    stores, more = zip(*made, strict=True)
    alone, both = open_store(stores[0]), open_store(stores)
    for store, data in zip(stores, more, strict=True):
        append(store, data, config_of("windows"))
    grown = open_store(stores)
    assert grown.opened == (stores, (2, 2))

    def begun(like: Store) -> Store | None:
        return begun_with(grown, lambda parts: parts.fingerprint == like.fingerprint)

    found = begun(both)
    assert found is not None
    assert found.opened == (stores, (1, 1))
    # Whoever names both means both.
    assert begun(alone) is None
    every = begun_with(grown, lambda parts: True)
    assert every is not None
    assert every.opened == grown.opened


def test_where_not_all_ways_are_looked_at_each_store_may_have_grown_as_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [parted(tmp_path, name, seed) for name, seed in (("a", 3), ("b", 7))]
    stores = tuple(store for store, _ in made)
    for number, (store, data) in enumerate(made):
        append(store, data, config_of("windows"))
        people = [f"c{number}"]
        last = write_people(tmp_path / f"last{number}.h5", people, ["walk", "sit"], 20 + number)
        append(store, last, config_of("windows"))
    monkeypatch.setattr("headrace.pipeline.runs.parts.MOST_TRIED", 4)
    grown, wanted = open_store(stores), open_store(stores, parts=2).fingerprint
    found = begun_with(grown, lambda parts: parts.fingerprint == wanted)
    assert found is not None
    assert found.opened == (stores, (2, 2))


class Stopped(Exception):
    """An experiment is stopped where its first stage would begin."""


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configurations and runs of stages, at the first of which an experiment is stopped."""
    seen: list[Any] = []

    def stop(request: Any, config: Config, run: RunFolder, file: Path, **_: Any) -> None:
        seen.append((config, run))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        raise Stopped

    monkeypatch.setattr(crossval, "ensure_evaluated", stop)
    return seen


@pytest.mark.parametrize("named", [False, True])
def test_a_cross_validation_goes_on_with_its_parts(
    config: Config, tmp_path: Path, stopping: list[Any], named: bool, grown: Grown,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    store, more = parted(tmp_path, "s", 3)
    request = request_for(config, None, store, tmp_path / "named" if named else None)
    with pytest.raises(Stopped):
        run_crossval(request)
    folder = next(tmp_path.rglob("fold-0.toml")).parent
    if named:  # Its first fold has begun: what a run records stands there.
        shutil.copytree(grown.complete, folder / "fold-0")
        record = json.loads((folder / "fold-0" / "store.json").read_text())
        record["fingerprint"] = open_store(store).fingerprint
        (folder / "fold-0" / "store.json").write_text(json.dumps(record))
    append(store, more, config_of("windows"))
    with pytest.raises(Stopped):
        run_crossval(replace(request, console=Console()))
    assert re.search(r"\b1 part was added\b", capsys.readouterr().out)
    (first, run), (second, again) = stopping
    assert (first.paths.parts, second.paths.parts) == (1, 1)
    assert run.path == again.path
    # What has its end stays, and another is of all parts.
    if not named:
        (folder / crossval.CROSSVAL_RESULT).touch()
        with pytest.raises(Stopped):
            run_crossval(request)
        assert stopping[-1][0].paths.parts == 2


@pytest.mark.parametrize("named", [False, True])
def test_an_ablation_goes_on_with_its_parts(
    config: Config, tmp_path: Path, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store, more = parted(tmp_path, "s", 3)
    request = request_for(config, None, store, tmp_path / "named" if named else None)
    seen = []
    measured = ablation.measured_pace

    def stop(request: Any, store: Store, found: Any, folder: Path, identity: str) -> Any:
        seen.append((len(store.parts), folder))
        measured(request, store, [], folder, identity)
        raise Stopped

    monkeypatch.setattr(ablation, "measured_pace", stop)
    with pytest.raises(Stopped):
        run_ablation(request, Extent())
    append(store, more, config_of("windows"))
    with pytest.raises(Stopped):
        run_ablation(request, Extent())
    assert seen[0] == seen[1] == (1, seen[0][1])


def test_several_stores_are_named_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (one, _), (two, _) = parted(tmp_path, "a", 3), parted(tmp_path, "b", 7)
    both = ("--store", str(one), "--store", str(two))
    windows = open_store([one, two]).windows
    keys = {f"{name}.{key}": value for name, own in TINY.items() for key, value in own.items()}
    options = [
        word for key, value in keys.items() for word in ("--set", f"{key}={json.dumps(value)}")
    ]

    def told(*command: str) -> dict[str, Any]:
        assert main([*command, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    found = told("inspect", *both)
    assert found["windows"] == windows
    assert [part["path"] for part in found["parts"]] == [str(one), str(two)]
    assert told("verify", *both)
    assert told("plan", *both, *options)
    with without_drawing():
        run = RunFolder(Path(told("train", *both, *options)["run"]))
        told("evaluate", *both, *options)
    paths = recorded_config(run).paths
    assert (paths.store, paths.other_stores, paths.parts) == (one, (two,), (1, 1))
    store = open_store([one, two])
    tested = sum(store.fold(fold).windows for fold in recorded_split(run).test)
    assert sum(sum(row) for row in read_metrics(run).plain.confusion) == tested
    for more in ([], ["--append"], ["--repair"]):
        assert main(["features", *both, "--data", str(tmp_path / "a.h5"), *more]) == 2
        assert_refused(capsys.readouterr().err, CommandError, str(one), str(two))


def test_the_newest_run_is_found_by_its_parts_where_none_is_named(
    grown: Grown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    made = []

    def train_alike(run: RunFolder, store: Store, *given: Any) -> Any:
        made.append((run.path, len(store.parts)))
        shutil.copytree(grown.complete, run.path, dirs_exist_ok=True, ignore=_records)
        return given[-1]

    monkeypatch.setattr("headrace.pipeline.training.stage._train", train_alike)
    store = Path(shutil.copytree(grown.store, tmp_path / "grown.zarr"))
    (store / "parts").rename(tmp_path / "later")
    request = request_for(grown.config, None, store)
    first = run_train(request)
    (tmp_path / "later").rename(store / "parts")
    again = run_train(request)
    assert (again["run"], again["trained"]) == (first["run"], False)
    second = run_train(replace(request, new=True))
    assert second["run"] != first["run"]
    third = run_train(request)
    assert (third["run"], third["trained"]) == (second["run"], False)
    assert made == [(Path(first["run"]), 1), (Path(second["run"]), 2)]


def _records(folder: str, names: list[str]) -> list[str]:
    """What a run records of itself when it begins, which is not copied into another."""
    return [name for name in names if name in ("config.toml", "store.json", "versions.json")]


def test_a_store_that_is_named_has_its_own_parts_whatever_a_configuration_says(
    grown: Grown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RunFolder(grown.complete).config
    assert recorded_config(RunFolder(grown.complete)).paths.parts == 1

    def parts(*options: str) -> int:
        assert main(["inspect", "--json", *options]) == 0
        return len(json.loads(capsys.readouterr().out)["parts"])

    assert parts("--config", str(config)) == 1
    assert parts("--config", str(config), "--store", str(grown.store)) == 2
    named = ("--store", str(grown.store), "--set", "paths.parts=1")
    assert parts("--config", str(config), *named) == 1


@pytest.mark.parametrize(("fold", "warned"), [(1, False), (3, True)])
def test_a_test_fold_that_the_initial_run_saw_is_warned_of(
    grown: Grown, tmp_path: Path, fold: int, warned: bool,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def begun(*given: Any) -> Any:
        raise Stopped

    monkeypatch.setattr("headrace.pipeline.training.stage._train", begun)
    initial = {"initial": str(grown.complete)}
    config = changed(grown.config, train=initial, split={"test_fold": fold})
    with pytest.raises(Stopped):
        grown.train(tmp_path / "run", config, console=Console())
    said = re.findall(r"^Warning: .*", capsys.readouterr().out, re.MULTILINE)
    assert [str(grown.complete) in line and f"fold {fold}" in line for line in said] == (
        [True] * warned
    )
