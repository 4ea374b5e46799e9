"""Stores of values, of several labels and of sequences: whole, grown, mended and looked at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace import stores
from headrace.pipeline.commands.inspect import run_inspect
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table, load_config
from headrace.pipeline.dataset.dataset import Dataset
from headrace.pipeline.experiments.crossval import run_crossval
from headrace.pipeline.features import stage
from headrace.pipeline.features.compact import run_compact
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.pipeline.training.stage import run_train
from headrace.stores.errors import GroupError, RunError, StoreError
from headrace.stores.manifest_file import read_manifest
from headrace.stores.source.source import open_source
from headrace.stores.store import open_store
from tests.conftest import hashes, request_for
from tests.in_process import store_here, tasks_here
from tests.pipeline.features.growing import append, fold_of_groups
from tests.refusals import refused

LEAST: dict[str, Any] = {
    "source": {"window_samples": 16, "step_samples": 4},
    "store": {"chunk_windows": 16, "shard_windows": 64},
    "features": {"select": ["ch0__mean"]},
    "folds": {"count": 3},
    "memory": {"budget": "4GiB"},
}
WINDOWS = {**LEAST, "source": {}}
TARGETS: dict[str, dict[str, Any]] = {
    "value": {"kind": "value", "units": ["bpm"], "at": "mean"},
    "values": {"units": ["m", ""]},
    "remaining": {"remaining": True, "cap": 90},
    "labels": {},
    "sequence": {"kind": "sequence", "every": 4},
}
SHORT = {**LEAST, "source": {"window_samples": 8, "step_samples": 2}}
KINDS = ("values", "labels", "sequence")


def config_of(kind: str, windows: bool = False, **sections: dict[str, Any]) -> Config:
    least = WINDOWS if windows else LEAST
    target = TARGETS[kind] | ({"at": None} if windows else {})
    least = least if kind == "value" else {**least, "features": {"select": []}}
    table = {
        name: {**least.get(name, {}), **sections.get(name, {})} for name in {*least, *sections}
    }
    return config_from_table({"name": "targets", **table, "target": target}, kind)


def write(path: Path, kind: str, people: range, windows: bool = False) -> Path:
    """Recordings of some people, or windows; whoever they are, theirs are the same everywhere."""
    held: dict[str, list[Any]] = {"signals": [], "labels": [], "length": []}
    for person in people:
        draw = np.random.default_rng(person)
        rows = 150 + 20 * (person % 4)
        own = np.arange(rows)
        held["signals"].append(draw.normal(size=(rows, 2)).astype("f4"))
        held["labels"].append(
            {
                "value": own // 30 * 10 + 60.0 + person % 3,
                "values": np.stack([own + 0.5, draw.normal(size=rows)], axis=1),
                "remaining": own,
                "labels": np.stack([own % 60 < 30, own % 90 < 50, own > rows], axis=1).astype("u1"),
                "sequence": own // 9 % 4 - 1,
            }[kind]
        )
        held["length"].append(rows)
    signals, labels = (np.concatenate(held[name]) for name in ("signals", "labels"))
    subject = np.array(list(people))
    with h5py.File(path, "w") as file:
        file.attrs["sampling_rate_hz"] = 50.0
        if windows:
            count = len(signals) // 16
            each = labels[: 16 * count].reshape(count, 16, *labels.shape[1:])
            file["X"] = signals[: 16 * count].reshape(count, 16, 2)
            file["y"] = each if kind == "sequence" else each[:, 0]
            file["groups"] = subject.repeat(held["length"])[: 16 * count : 16]
            return path
        file["signals"], file["labels"] = signals, labels
        table = file.create_group("recordings")
        table["start"] = np.cumsum([0, *held["length"][:-1]])
        table["length"], table["subject"] = held["length"], subject
    return path


def made(folder: Path, kind: str, config: Config, people: range, windows: bool = False) -> Path:
    """A store of some people; its source is beside."""
    source = write(folder / "source.h5", kind, people, windows)
    return Path(str(store_here(request_for(config, source, folder / "store.zarr"))))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of target but a class."""
    return str(request.param)


# Windows do not say where recordings end, so of what remains there is no other layout.
@pytest.mark.parametrize(
    ("kind", "windows"),
    [(kind, windows) for kind in TARGETS for windows in (False, True)
     if not (windows and kind == "remaining")],
)  # fmt: skip
def test_a_store_holds_what_its_source_does_and_is_whole(
    tmp_path: Path, kind: str, windows: bool
) -> None:
    config = config_of(kind, windows)
    path = made(tmp_path, kind, config, range(7), windows)
    store = open_store(path)
    rows = store.read_many(["label", "group", "source_index"], [(0, store.windows)])
    order = np.argsort(rows["source_index"])
    with open_source(tmp_path / "source.h5", config.source) as source:
        wanted = source.read_labels(0, source.windows)
        np.testing.assert_array_equal(rows["label"][order], wanted.label)
        np.testing.assert_array_equal(rows["group"][order], wanted.group)
        assert store.target == source.target
    assert store.manifest.format_version == 4
    assert bool(store.manifest.stretches) == (not windows)
    with tasks_here():
        request = request_for(config, tmp_path / "source.h5", path)
        run_verify(request)
        run_verify(request, with_source=True)
        assert run_features(request)["made_shards"] == 0
    for fold in store.folds:
        counts = store.target.counts(rows["label"][fold.start : fold.stop])
        np.testing.assert_array_equal(store.class_counts([fold.name]), counts)
    names = [fold.name for fold in store.folds][:2]
    moments, own = store.moments(names), rows["label"][: store.folds[1].stop]
    assert len(moments.label_mean) == len(store.target.moment_names)
    if store.target.moment_names:
        np.testing.assert_allclose(moments.label_mean, own.mean(axis=0, dtype="f8"))
        np.testing.assert_allclose(moments.label_std, own.std(axis=0, dtype="f8"))


def test_a_store_is_the_same_bytes_whatever_it_is_made_in(tmp_path: Path, kind: str) -> None:
    found = []
    for number, worker in enumerate((1, 2)):
        (tmp_path / str(number)).mkdir()
        config = config_of(kind, features={"workers": worker})
        found.append(hashes(made(tmp_path / str(number), kind, config, range(4))))
    assert found[0] == found[1]


def test_a_build_that_is_ended_goes_on_to_the_same_bytes(tmp_path: Path, kind: str) -> None:
    config, path = config_of(kind), tmp_path / "store.zarr"
    source = write(tmp_path / "source.h5", kind, range(7))
    request = request_for(config, source, path)
    with tasks_here():
        run_features(request_for(config, source, tmp_path / "whole.zarr"))
        every = stage.run_tasks
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage, "run_tasks", lambda *given, **more: ended(every(*given, **more)))
            with pytest.raises(KeyboardInterrupt):
                run_features(request)
        again = run_features(request)
        assert again["made_shards"] == again["shards"] - 1 > 0
    assert hashes(path) == hashes(tmp_path / "whole.zarr")


def ended(tasks: Iterator[Any]) -> Iterator[Any]:
    """The first task, then Ctrl-C."""
    yield next(tasks)
    raise KeyboardInterrupt


@pytest.mark.parametrize("table", ["label", "manifest/class_counts"])
def test_a_damaged_store_is_mended_to_the_same_bytes(tmp_path: Path, kind: str, table: str) -> None:
    config = config_of(kind)
    path = made(tmp_path, kind, config, range(5))
    before = hashes(path)
    file = min((path / table).glob("c.*"))
    file.write_bytes(file.read_bytes()[:-7])
    request = request_for(config, tmp_path / "source.h5", path)
    with tasks_here():
        with refused(StoreError, "1"):
            run_verify(request)
        run_repair(request, "checksums")
    assert hashes(path) == before


def test_labels_that_differ_from_the_source_are_found(tmp_path: Path, kind: str) -> None:
    config = config_of(kind)
    path = made(tmp_path, kind, config, range(5))
    with h5py.File(tmp_path / "source.h5", "a") as file:
        file["labels"][20:60] = np.roll(file["labels"][...], 77, axis=0)[20:60]
    with tasks_here(), refused(StoreError, "source"):
        run_verify(request_for(config, tmp_path / "source.h5", path), with_source=True)


def test_a_store_grows_and_is_compacted_to_one_that_is_made_at_once(
    tmp_path: Path, kind: str
) -> None:
    config = config_of(kind)
    path = made(tmp_path, kind, config, range(4))
    first = open_store(path)
    append(path, write(tmp_path / "more.h5", kind, range(4, 7)))
    grown = open_store(path)
    assert grown.target == first.target
    assert len(grown.parts) == 2
    rows = grown.read("label", 0, grown.windows)
    np.testing.assert_array_equal(rows[: first.windows], first.read("label", 0, first.windows))
    counts = sum(grown.class_counts([fold.name]) for fold in grown.folds)
    np.testing.assert_array_equal(counts, grown.target.counts(rows))
    if grown.target.moment_names:
        mean = grown.moments([fold.name for fold in grown.folds]).label_mean
        np.testing.assert_allclose(mean, rows.mean(axis=0, dtype="f8"))
    with tasks_here():
        run_verify(request_for(config, None, path))
        run_verify(request_for(config, tmp_path / "more.h5", path), with_source=True)
        every = write(tmp_path / "every.h5", kind, range(7))
        run_compact(request_for(config, every, path), tmp_path / "one.zarr")
        at_once = config.changed("folds", like=path)
        run_features(request_for(at_once, every, tmp_path / "at_once.zarr"))
    assert hashes(tmp_path / "one.zarr") == hashes(tmp_path / "at_once.zarr")


def test_parts_agree_in_their_target(tmp_path: Path) -> None:
    path = made(tmp_path, "value", config_of("value"), range(4))
    other = write(tmp_path / "other.h5", "value", range(4, 6))
    for target, named in (({"units": ["Hz"]}, "units"), ({"at": "last"}, "at")):
        own = config_of("value").changed("target", **target)
        with pytest.raises(Exception, match=named):
            append(path, other, own)
    classes = config_from_table({**LEAST, "name": "c", "target": {"kind": "class"}}, "c")
    store_here(request_for(classes, write(tmp_path / "c.h5", "value", range(4)), tmp_path / "c"))
    with refused(StoreError, "target"):
        open_store([path, tmp_path / "c"])


def test_a_sequence_may_bring_classes_that_the_store_has_not(tmp_path: Path) -> None:
    path = made(tmp_path, "sequence", config_of("sequence"), range(4))
    source = write(tmp_path / "more.h5", "sequence", range(4, 6))
    with h5py.File(source, "a") as file:
        file["labels"][:60] = 9
    with refused(GroupError, "9", "store.new_classes"):
        append(path, source)
    adding = config_from_table({"name": "a", "store": {"new_classes": "add"}}, "a")
    append(path, source, adding)
    store = open_store(path)
    assert store.classes == ("0", "1", "2", "9")
    rows = store.read("label", 0, store.windows)
    assert set(np.unique(rows)) == {-1, 0, 1, 2, 3}
    np.testing.assert_array_equal(
        sum(store.class_counts([fold.name]) for fold in store.folds), store.target.counts(rows)
    )


def test_values_of_nan_alone_leave_nothing(tmp_path: Path) -> None:
    config = config_of("value", source={"non_finite": "drop"})
    source = write(tmp_path / "source.h5", "value", range(5))
    with h5py.File(source, "a") as file:
        file["labels"][...] = np.nan
    with tasks_here(), refused(GroupError, "source.non_finite", "0", "source.labels"):
        run_features(request_for(config, source, tmp_path / "store.zarr"))


@pytest.mark.parametrize("windows", [False, True])
def test_windows_without_a_value_are_dropped_and_recorded(tmp_path: Path, windows: bool) -> None:
    config = config_of("value", windows, source={"non_finite": "drop"})
    source = write(tmp_path / "source.h5", "value", range(5), windows)
    with h5py.File(source, "a") as file:
        file["y" if windows else "labels"][40:43] = np.nan
    path = tmp_path / "store.zarr"
    with tasks_here():
        run_features(request_for(config, source, path))
        run_verify(request_for(config, source, path), with_source=True)
    store = open_store(path)
    dropped = sum(stop - start for start, stop in store.manifest.dropped)
    assert dropped == (3 if windows else 4)
    assert np.isfinite(store.read("label", 0, store.windows)).all()


def test_a_store_is_shown_with_its_target(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path, kind, config_of(kind), range(4))
    store = stores.open(path)
    window, data, table = store.window(3), store.to_xarray(), store.features_frame(slice(0, 9))
    label = store.read("label", 0, 9)
    np.testing.assert_array_equal(window.target, label[3])
    assert window.label == store.target.texts(label)[3]
    assert data["label"].dims == store.target.dimensions
    np.testing.assert_array_equal(data["label"][:9], label)
    for name, values in store.target.columns(label).items():
        np.testing.assert_array_equal(table[name], values)
    assert table["label"].notna().all()
    summary = run_inspect(request_for(Config(), None, path))
    assert summary["target"] == store.target.as_table()
    assert len(summary["tallies"]) == len(summary["folds"][0]["class_counts"])
    assert store._repr_html_()
    if kind == "values":
        assert data["value_unit"].values.tolist() == ["m", ""]
        assert data["value"].values.tolist() == ["labels_0", "labels_1"]


@pytest.mark.parametrize("windows", [False, True])
def test_a_store_without_labels_is_made_and_streamed_and_not_trained(
    tmp_path: Path, windows: bool
) -> None:
    least = WINDOWS if windows else LEAST
    source = write(tmp_path / "source.h5", "labels", range(5), windows)
    bare = config_from_table(
        {**least, "name": "bare", "source": {**least["source"], "labels": ""}}, "bare"
    )
    path = store_here(request_for(bare, source, tmp_path / "store.zarr"))
    store = open_store(path)
    assert store.classes == ("unlabelled",)
    assert len(store.folds) == 3
    data = Dataset(store, batch=16, budget="4GiB")
    assert sum(len(batch[1]) for batch in data["train"].numpy(epochs=1)) > 0
    with refused(GroupError, "unlabelled", "source.labels"):
        run_train(request_for(bare, None, path, tmp_path / "run"))


@pytest.mark.parametrize("kind", ["value", "labels", "sequence"])
def test_what_no_network_of_ours_gives_yet_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    store = made(tmp_path, kind, config_of(kind), range(4))
    for trains in (run_train, run_crossval):
        with refused(RunError, str(store), f'target.kind = "{kind}"'):
            trains(request_for(Config(), None, store))


def test_folds_of_values_are_alike(tmp_path: Path) -> None:
    store = open_store(made(tmp_path, "value", config_of("value"), range(12)))
    table = store.tally_table
    share = table / table.sum(axis=0)
    assert (share > 0.1).all()
    assert table.sum() == store.windows


def test_another_kind_may_have_the_folds_of_a_store(tmp_path: Path) -> None:
    classes = config_from_table(SHORT | {"name": "c"}, "c")
    source = write(tmp_path / "source.h5", "sequence", range(6))
    like = Path(str(store_here(request_for(classes, source, tmp_path / "classes.zarr"))))
    own = config_of("sequence", folds={"like": str(like)})
    path = store_here(request_for(own, source, tmp_path / "sequences.zarr"))
    assert fold_of_groups(open_store(path)) == fold_of_groups(open_store(like))


def test_classes_that_are_said_make_the_store_that_is_made_unsaid(tmp_path: Path) -> None:
    source = write(tmp_path / "source.h5", "sequence", range(4))
    found = []
    for number, target in enumerate(({}, {"kind": "class"})):
        config = config_from_table({**SHORT, "name": "c", "target": target}, "c")
        path = store_here(request_for(config, source, tmp_path / f"{number}.zarr"))
        found.append(hashes(Path(str(path))))
    assert found[0] == found[1]
    assert read_manifest(tmp_path / "1.zarr").format_version == 3


def test_a_target_that_was_found_is_recorded_and_may_be_said_later(tmp_path: Path) -> None:
    path = made(tmp_path, "labels", config_of("labels"), range(4))
    assert read_manifest(path).config["target"] == {"kind": "labels"}
    said = config_of("labels").changed("target", kind="labels")
    with tasks_here():
        summary = run_features(request_for(said, tmp_path / "source.h5", path))
    assert summary["made_shards"] == 0


def test_damage_to_the_target_in_a_manifest_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path, "labels", config_of("labels"), range(4))
    file = path / "manifest" / "zarr.json"
    for old, new in ((b'"labels"', b'"label"'), (b'"labels_2"', b'"labels_1"')):
        copy = tmp_path / "copy.zarr"
        shutil.copytree(path, copy, dirs_exist_ok=True)
        content = file.read_bytes()
        assert old in content
        (copy / "manifest" / "zarr.json").write_bytes(content.replace(old, new))
        with pytest.raises(StoreError):
            open_store(copy)


def test_a_configuration_has_its_target_in_one_place(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[target]\nkind = "value"\ncap = 125\n')
    config = load_config(tmp_path / "own.toml")
    assert config.source.target == config.target
    assert config.store_keys()["target"] == {"kind": "value", "cap": 125}
    assert "target" not in config.store_keys()["source"]
    assert config.changed("target", cap=None).source.target.cap is None
    assert "target" not in Config().store_keys()
