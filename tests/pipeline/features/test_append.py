"""A store grows by parts: nothing of it is written again, and groups keep their folds."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.commands.inspect import run_inspect
from headrace.pipeline.commands.plan import run_plan
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table, load_config
from headrace.pipeline.console import QUIET, Console
from headrace.pipeline.features.append import run_append
from headrace.pipeline.features.compact import run_compact
from headrace.pipeline.features.plan import plan_build
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.pipeline.request import Request
from headrace.stores.build import local
from headrace.stores.build.folder import partial_folder
from headrace.stores.errors import (
    BudgetError,
    CommandError,
    DiskError,
    GroupError,
    RunError,
    SourceContentError,
    SourceError,
    StoreError,
)
from headrace.stores.manifest_file import read_manifest
from headrace.stores.parts.places import group_of_parts
from headrace.stores.source.source import open_source
from headrace.stores.store import open_store
from tests.conftest import ROOT, changed, hashes, request_for
from tests.in_process import tasks_here
from tests.pipeline.conftest import made
from tests.pipeline.features.growing import (
    CUT,
    LEAST,
    append,
    config_of,
    fold_of_groups,
    grown,
    seen,
    write_people,
    write_recorded,
)
from tests.refusals import assert_refused, refused

PEOPLE = ("anna", "bert", "cleo", "dora", "emil", "fred")
CONFIG = config_of(LEAST)
GROUP = hashlib.sha256(group_of_parts()[1]).hexdigest()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people, and the store of them beside."""
    folder = tmp_path_factory.mktemp("first")
    grown(folder / "first.zarr", CONFIG, write_people(folder / "first.h5", PEOPLE))
    return folder


@pytest.fixture
def store(first: Path, tmp_path: Path) -> Path:
    """A copy of it, to add to."""
    return Path(shutil.copytree(first / "first.zarr", tmp_path / "grown.zarr"))


def test_a_part_is_added_and_nothing_that_stands_is_written_again(
    store: Path, tmp_path: Path
) -> None:
    before = seen(store)
    made = append(store, write_people(tmp_path / "more.h5", ["gus", "bert"]))
    assert (made["parts"], made["groups"], made["made_shards"]) == (2, 2, 3)
    second = seen(store / "parts" / "0001")
    append(store, write_people(tmp_path / "again.h5", ["hugo"]))
    assert seen(store) == before
    assert seen(store / "parts" / "0001") == second
    assert sorted(os.listdir(store / "parts")) == ["0001", "0002", "zarr.json"]
    assert sorted(os.listdir(tmp_path)) == ["again.h5", "grown.zarr", "more.h5"]


def test_known_groups_keep_their_folds_and_new_ones_get_one(store: Path, tmp_path: Path) -> None:
    before = fold_of_groups(open_store(store))
    append(store, write_people(tmp_path / "more.h5", ["gus", "bert", "hugo", "iris"]))
    found = open_store(store)
    after = fold_of_groups(found)
    assert {name: after[name] for name in before} == before
    # One to each of the folds, which had two of the six.
    assert sorted(after[name] for name in ("gus", "hugo", "iris")) == ["0", "1", "2"]
    assert found.groups == (*PEOPLE, "gus", "hugo", "iris")
    for fold in found.folds:
        assert set(found.read("group", 0, found.windows)[fold.rows]) == set(fold.groups)


def test_every_window_of_every_part_is_there(store: Path, first: Path, tmp_path: Path) -> None:
    more = write_people(tmp_path / "more.h5", ["gus", "bert"])
    append(store, more)
    found = open_store(store)
    with h5py.File(first / "first.h5") as one, h5py.File(more) as other:
        windows = np.concatenate([one["X"][:], other["X"][:]])
        people = np.concatenate([one["groups"][:], other["groups"][:]]).astype(str)
    index = found.read("source_index", 0, found.windows)
    assert np.array_equal(np.sort(index), np.arange(len(windows)))
    assert np.array_equal(found.read("raw", 0, found.windows), windows[index])
    names = np.array(found.groups)[found.read("group", 0, found.windows)]
    assert np.array_equal(names, people[index])


def test_one_group_and_one_class_alone_may_be_added(store: Path, tmp_path: Path) -> None:
    data = write_people(tmp_path / "more.h5", ["gus"], classes=["walk"])
    assert append(store, data)["parts"] == 2
    assert open_store(store).classes == ("sit", "walk")
    assert read_manifest(store / "parts" / "0001").classes == ("walk",)


def test_the_same_source_is_no_second_part(store: Path, first: Path, tmp_path: Path) -> None:
    data = write_people(tmp_path / "more.h5", ["gus"])
    append(store, data)
    before = hashes(store)
    for same in (data, first / "first.h5", Path(shutil.copy(data, tmp_path / "copy.h5"))):
        summary = append(store, same)
        assert (summary["made_shards"], summary["parts"]) == (0, 2)
    assert hashes(store) == before


def test_features_of_any_part_are_complete_and_of_others_lead_to_append(
    store: Path, first: Path, tmp_path: Path
) -> None:
    data = write_people(tmp_path / "more.h5", ["gus"])
    append(store, data)
    with tasks_here():
        for each in (first / "first.h5", data):
            assert run_features(request_for(CONFIG, each, store))["made_shards"] == 0
        new = write_people(tmp_path / "new.h5", ["hugo"])
        with refused(StoreError, "grown.zarr", "--append"):
            run_features(request_for(CONFIG, new, store))


def test_options_are_taken_from_the_store(store: Path, tmp_path: Path) -> None:
    append(store, write_people(tmp_path / "more.h5", ["gus"]))
    first, part = (read_manifest(each) for each in (store, store / "parts" / "0001"))
    assert part.config == first.config
    assert (part.chunk, part.shard, part.features) == (first.chunk, first.shard, first.features)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("store", "chunk_windows", 16),
        ("store", "seed", 5),
        ("features", "select", ["ch0__mean"]),
        ("folds", "count", 4),
        ("folds", "test_groups", ["anna"]),
        ("source", "rate_hz", 30.0),
    ],
)
def test_an_option_that_contradicts_the_store_is_refused(
    section: str, key: str, value: Any, store: Path, tmp_path: Path
) -> None:
    data = write_people(tmp_path / "more.h5", ["gus"])
    recorded = read_manifest(store).config[section].get(key)
    config = config_from_table({section: {key: value}}, "grown")
    before = hashes(store)
    with refused(RunError, f"{section}.{key}", repr(recorded).strip("'[]")):
        append(store, data, config)
    assert hashes(store) == before


UNLIKE: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "channels": ({"channels": ["x", "y"]}, ("ch0", "x", "channels")),
    "number of channels": ({"shape": (8, 3)}, ("2", "3", "channels")),
    "rate": ({"sampling_rate_hz": 25.0}, ("20.0", "25.0")),
    "units": ({"units": ["m", "m"]}, ("units", "m")),
    "time": ({"shape": (9, 2)}, ("8", "9")),
    "dtype": ({"dtype": "f8"}, ("float32", "float64")),
    "scale": ({"scale_to_units": [1.0, 2.0]}, ("1.0", "2.0", "scale of the channels")),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_other_kinds_of_windows_are_refused_with_both_values(
    what: str, store: Path, tmp_path: Path
) -> None:
    changes, named = UNLIKE[what]
    before = hashes(store)
    with refused(StoreError, "grown.zarr", "more.h5", *named):
        append(store, write_people(tmp_path / "more.h5", ["gus"], **changes))
    assert hashes(store) == before


def test_new_classes_are_refused_or_added_by_choice(store: Path, tmp_path: Path) -> None:
    data = write_people(tmp_path / "more.h5", ["gus"], classes=["run", "walk", "fall"])
    with refused(GroupError, "fall", "run", "sit", "walk", "store.new_classes"):
        append(store, data)
    append(store, data, config_from_table({"store": {"new_classes": "add"}}, "grown"))
    found = open_store(store)
    assert found.classes == ("sit", "walk", "run", "fall")
    labels, index = (found.read(name, 0, found.windows) for name in ("label", "source_index"))
    start = found.part_starts[1]
    with h5py.File(data) as file:
        names = np.array(["run", "walk", "fall"])[file["y"][:]]
    assert np.array_equal(np.array(found.classes)[labels[start:]], names[index[start:] - start])
    assert np.array_equal(found.class_counts(["0", "1", "2"]), np.bincount(labels))
    with tasks_here():
        run_verify(request_for(Config(), None, store))
        run_verify(request_for(Config(), data, store), with_source=True)


def test_a_fold_of_each_group(tmp_path: Path) -> None:
    config = config_of(LEAST, folds={"by": "group", "count": None})
    data = write_people(tmp_path / "first.h5", PEOPLE[:3])
    more = write_people(tmp_path / "more.h5", ["gus", "bert", "hugo"])
    found = grown(tmp_path / "grown.zarr", config, data, more)
    folds = fold_of_groups(found)
    assert len(set(folds.values())) == 5
    assert sorted(folds.values()) == [fold.name for fold in found.folds] == list("01234")


def with_split(people: tuple[str, ...], tested: tuple[str, ...], each: int = 30) -> np.ndarray:
    count = [each + 5 * number for number in range(len(people))]
    parts = ["test" if name in tested else "train" for name in people]
    return np.repeat(np.array(parts, "S"), count)


def test_an_official_split_is_respected(tmp_path: Path) -> None:
    tested = ("dora", "emil", "gus")
    data = write_people(tmp_path / "first.h5", PEOPLE, split=with_split(PEOPLE, tested))
    names = ("gus", "bert", "hugo")
    more = write_people(tmp_path / "more.h5", names, split=with_split(names, tested))
    store = tmp_path / "grown.zarr"
    found = fold_of_groups(grown(store, config_of(LEAST, folds={"count": 2}), data, more))
    assert {name for name, fold in found.items() if fold.startswith("test/")} == {*tested}
    before = hashes(store)
    wrong = write_people(tmp_path / "a.h5", ["bert"], split=with_split(("bert",), ("bert",)))
    without = write_people(tmp_path / "b.h5", ["iris"])
    with refused(GroupError, "bert", found["bert"], "test"):
        append(store, wrong)
    with refused(GroupError, "iris", "train", "test", "source.split"):
        append(store, without)
    assert hashes(store) == before


def test_a_split_that_the_store_has_not_is_refused(store: Path, tmp_path: Path) -> None:
    data = write_people(tmp_path / "more.h5", ["gus"], split=with_split(("gus",), ("gus",)))
    with refused(GroupError, "gus", "test", "source.split"):
        append(store, data)


def test_test_groups_of_the_store_are_respected(tmp_path: Path) -> None:
    config = config_of(LEAST, folds={"test_groups": ["dora", "emil"], "count": 2})
    data = write_people(tmp_path / "first.h5", PEOPLE)
    more = write_people(tmp_path / "more.h5", ["gus", "dora"])
    found = fold_of_groups(grown(tmp_path / "grown.zarr", config, data, more))
    assert {name for name, fold in found.items() if fold.startswith("test/")} == {"dora", "emil"}
    assert found["gus"].startswith("train/")


@pytest.mark.parametrize(
    ("form", "policy"),
    [("windows", "error"), ("windows", "drop"), ("stretches", "drop"), (None, "fill")],
)
def test_recordings_are_added_in_the_form_of_the_store(
    form: str | None, policy: str, tmp_path: Path
) -> None:
    given = {"raw": form} if form else {}
    table = {**CUT, "store": {"chunk_windows": 16, "shard_windows": 64, **given}}
    config = config_of(table, source={"non_finite": policy})
    gap = policy != "error"
    first, more = (
        write_recorded(tmp_path / f"{name}.h5", people, "f4" if gap else "i2", gap)
        for name, people in (("first", [1, 2, 3, 4]), ("more", [2, 9]))
    )
    found = grown(tmp_path / "grown.zarr", config, first, more)
    manifests = [part.manifest for part in found.parts]
    assert manifests[0].stretch == manifests[1].stretch > 0
    assert [bool(each.stretches) for each in manifests] == [form != "windows"] * 2
    assert bool(manifests[1].dropped) == (policy == "drop")
    assert bool(manifests[1].filled) == (policy == "fill")
    with tasks_here():
        for data in (first, more):
            run_verify(request_for(Config(), data, found.path), with_source=True)


def test_windows_and_recordings_are_not_added_to_one_another(tmp_path: Path) -> None:
    config = config_of(CUT, source={"window_samples": 16, "step_samples": 16}, store={"raw": None})
    data = write_recorded(tmp_path / "first.h5", [1, 2, 3, 4])
    store = grown(tmp_path / "grown.zarr", config, data).path
    more = write_people(tmp_path / "more.h5", ["gus"], dtype="i2", shape=(16, 2))
    with h5py.File(more, "r+") as file:
        file.attrs["sampling_rate_hz"] = 50.0
    with refused(SourceError, "source.window_samples"):
        append(store, more)


def test_windows_without_groups_are_added(tmp_path: Path) -> None:
    config = config_of(LEAST, source={"split_by_window": True}, folds={"count": None})
    data = write_people(tmp_path / "first.h5", PEOPLE)
    found = grown(
        tmp_path / "grown.zarr", config, data, write_people(tmp_path / "b.h5", PEOPLE[:2])
    )
    assert sum(fold.windows for fold in found.folds) == found.windows
    with tasks_here():
        run_verify(request_for(Config(), tmp_path / "b.h5", found.path), with_source=True)


def test_folders_of_csv_files_are_added(tmp_path: Path) -> None:
    from tests.pipeline.features.test_many_files import config_of as csv_config
    from tests.pipeline.features.test_many_files import write_person

    for folder, people in (("first", range(4)), ("more", range(4, 6))):
        (tmp_path / folder).mkdir()
        for person in people:
            write_person(tmp_path / folder, "csv", person)
    found = grown(tmp_path / "grown.zarr", csv_config("csv"), tmp_path / "first", tmp_path / "more")
    assert found.groups == tuple(f"{person:02}" for person in range(6))
    with tasks_here():
        run_verify(request_for(Config(), tmp_path / "more", found.path), with_source=True)


def test_a_folder_that_grew_brings_no_file_twice(tmp_path: Path) -> None:
    from tests.pipeline.features.test_many_files import config_of as csv_config
    from tests.pipeline.features.test_many_files import write_person

    data, store = tmp_path / "data", tmp_path / "grown.zarr"
    data.mkdir()
    for person in range(3):
        write_person(data, "csv", person)
    grown(store, csv_config("csv"), data)
    write_person(data, "csv", 4)
    (data / "p02.csv").rename(data / "p07.csv")
    before = hashes(store)
    with refused(StoreError, "3", "p00.csv", "p01.csv", "p07.csv", "--data"):
        append(store, data)
    assert hashes(store) == before


@pytest.mark.parametrize("version", [1, 2])
def test_stores_of_older_formats_grow(version: int, tmp_path: Path) -> None:
    store = tmp_path / "kept.zarr"
    with zipfile.ZipFile(ROOT / "tests" / "formats" / f"{version}.zip") as archive:
        archive.extractall(store)
    kept = read_manifest(store)
    more = write_people(tmp_path / "more.h5", ["2", "gus"], kept.classes, shape=(kept.time, 2))
    with h5py.File(more, "r+") as file:
        file.attrs["sampling_rate_hz"] = kept.rate_hz
        file.attrs["units"] = list(kept.units)
    before, folds = seen(store), fold_of_groups(open_store(store))
    append(store, more)
    assert seen(store) == before
    found = open_store(store)
    assert found.windows == 90 + 65
    assert fold_of_groups(found)["2"] == folds["2"]
    assert found.parts[1].manifest.format_version == 2
    with tasks_here():
        run_verify(request_for(Config(), more, store), with_source=True)


def test_a_store_that_version_0_1_made_grows(tmp_path: Path) -> None:
    with zipfile.ZipFile(ROOT / "tests" / "formats" / "0.1.zip") as archive:
        archive.extractall(tmp_path)
    store, data = tmp_path / "store.zarr", tmp_path / "more.h5"
    shutil.copy(tmp_path / "source.h5", data)
    with h5py.File(data, "r+") as file:
        file["X"][...] = file["X"][...] + 1
    before = seen(store)
    append(store, data, load_config(tmp_path / "config.toml"))
    assert seen(store) == before
    found = open_store(store)
    assert found.windows == 300
    assert {part.manifest.format_version for part in found.parts} == {2}
    assert read_manifest(store / "parts" / "0001").config == read_manifest(store).config
    assert fold_of_groups(found) == fold_of_groups(open_store(store, parts=1))
    with tasks_here():
        run_verify(request_for(Config(), data, store), with_source=True)


def test_a_store_behind_a_link_grows_where_it_is(store: Path, tmp_path: Path) -> None:
    (tmp_path / "link.zarr").symlink_to(store)
    data = write_people(tmp_path / "more.h5", ["gus"])
    append(tmp_path / "link.zarr", data)
    assert (tmp_path / "link.zarr").is_symlink()
    assert len(open_store(store).parts) == len(open_store(tmp_path / "link.zarr").parts) == 2
    with tasks_here():
        run_verify(request_for(Config(), data, tmp_path / "link.zarr"), with_source=True)


def test_a_store_in_a_folder_called_parts_is_a_store(first: Path, tmp_path: Path) -> None:
    for name in ("mine.zarr", "0001"):
        store = tmp_path / "parts" / name
        shutil.copytree(first / "first.zarr", store)
        assert open_store(store).opened == ((store,), (1,))
        with tasks_here():
            run_verify(request_for(CONFIG, first / "first.h5", store), with_source=True)
        data = write_people(tmp_path / f"{name}.h5", ["gus"])
        append(store, data)
        with tasks_here():
            run_verify(request_for(CONFIG, data, store), with_source=True)


def test_a_part_is_no_store_to_add_to(store: Path, tmp_path: Path) -> None:
    append(store, write_people(tmp_path / "more.h5", ["gus"]))
    with refused(StoreError, "grown.zarr", "--store"):
        append(store / "parts" / "0001", write_people(tmp_path / "new.h5", ["hugo"]))


def test_without_a_store_there_is_nothing_to_add_to(first: Path, tmp_path: Path) -> None:
    with refused(StoreError, "none.zarr", "--append"):
        append(tmp_path / "none.zarr", first / "first.h5")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("more", "kind", "named"),
    [
        (["--repair"], CommandError, ("--repair", "--append")),
        (["--store", "other.zarr"], CommandError, ("grown.zarr", "other.zarr")),
        ([], StoreError, ("grown.zarr", "--append")),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused_in_one_line(
    more: list[str], kind: Any, named: tuple[str, ...], first: Path,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = ["features", "--append", "--store", str(tmp_path / "grown.zarr"), *more]
    assert main([*command, "--data", str(first / "first.h5")]) == 2
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1
    assert_refused(errors, kind, *named)


def test_a_disk_that_is_short_is_refused_before_anything_is_made(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "headrace.stores.io.local_storage.LocalStorage.free_bytes", lambda self: 1 << 20
    )
    before = hashes(store)
    with refused(BudgetError, "1 MiB"):
        append(store, write_people(tmp_path / "more.h5", ["gus"]))
    assert hashes(store).items() - before.items() <= {("parts/zarr.json", GROUP)}


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(
    store: Path, small_disk: Path, tmp_path: Path
) -> None:
    made("mount", "-o", "remount,size=50m", small_disk)
    held = Path(shutil.copytree(store, small_disk / "held.zarr"))
    made("mount", "-o", "remount,ro", small_disk)
    with refused(DiskError, "held.zarr"):
        append(held, write_people(tmp_path / "more.h5", ["gus"]))
    made("mount", "-o", "remount,rw", small_disk)
    assert hashes(held) == hashes(store)


def begun(store: Path, data: Path, shards: int = 1) -> None:
    """Begin to add a part, and stop after so many shards."""
    from headrace.pipeline.features import stage

    def some(*given: Any, **more: Any) -> Any:
        yield from islice(tasks(*given, **more), shards)
        raise KeyboardInterrupt

    with tasks_here(), pytest.MonkeyPatch.context() as patch:
        tasks = stage.run_tasks
        patch.setattr(stage, "run_tasks", some)
        with pytest.raises(KeyboardInterrupt):
            append_as_patched(store, data)


def append_as_patched(store: Path, data: Path) -> None:
    from headrace.pipeline.features.append import run_append

    run_append(request_for(config_from_table({}, "grown"), data, store))


def test_a_part_that_is_being_made_is_seen_by_nobody(
    store: Path, first: Path, tmp_path: Path
) -> None:
    data = write_people(tmp_path / "more.h5", ["gus", "hugo"])
    alone = open_store(store).fingerprint
    begun(store, data)
    assert partial_folder(store / "parts" / "0001").is_dir()
    found = open_store(store)
    assert (len(found.parts), found.fingerprint) == (1, alone)
    request = request_for(CONFIG, first / "first.h5", store)
    assert run_inspect(request)["windows"] == found.windows
    with tasks_here():
        assert run_verify(request, with_source=True)["parts"] == 1
        assert run_features(request)["made_shards"] == 0
    before = hashes(store)
    assert append(store, data)["made_shards"] == 2
    assert {name: before[name] for name in before if not name.startswith("parts/")} == {
        name: digest for name, digest in hashes(store).items() if not name.startswith("parts/")
    }
    assert sorted(os.listdir(store / "parts")) == ["0001", "zarr.json"]


def test_a_part_begun_from_other_data_is_not_lost(store: Path, tmp_path: Path) -> None:
    data = write_people(tmp_path / "more.h5", ["gus", "hugo"])
    other = write_people(tmp_path / "other.h5", ["iris"])
    begun(store, data)
    before = hashes(store)
    with refused(StoreError, "0001.partial", "source"):
        append(store, other)
    assert hashes(store) == before
    assert append(store, data)["made_shards"] == 2
    assert append(store, other)["parts"] == 3


def test_a_part_that_was_begun_stays_while_the_store_is_mended(
    store: Path, first: Path, tmp_path: Path
) -> None:
    data = write_people(tmp_path / "more.h5", ["gus", "hugo"])
    begun(store, data)
    (store / "label" / "c.0").unlink()
    with tasks_here():
        made = run_repair(request_for(CONFIG, first / "first.h5", store), "checksums")
    assert made["made_shards"] == 1
    assert append(store, data)["made_shards"] == 2


def test_a_source_that_cannot_be_read_leaves_no_part(store: Path, tmp_path: Path) -> None:
    data = write_people(tmp_path / "more.h5", ["gus", "hugo"])
    with h5py.File(data, "r+") as file:
        file["X"][40, 1, 1] = np.nan
    with refused(SourceContentError, "more.h5", "40", "ch1"):
        append(store, data)
    assert os.listdir(store / "parts") == ["zarr.json"]
    with tasks_here():
        run_verify(request_for(Config(), None, store))
    assert append(store, write_people(tmp_path / "new.h5", ["iris"]))["parts"] == 2


def test_what_an_interrupted_write_left_among_parts_is_removed(store: Path, tmp_path: Path) -> None:
    (store / "parts").mkdir()
    (store / "parts" / "zarr.json.123.tmp").write_text("{")
    append(store, write_people(tmp_path / "more.h5", ["gus"]))
    assert sorted(os.listdir(store / "parts")) == ["0001", "zarr.json"]


def test_a_part_of_which_nothing_was_made_gives_way(store: Path, tmp_path: Path) -> None:
    begun(store, write_people(tmp_path / "more.h5", ["gus", "hugo"]), shards=0)
    assert append(store, write_people(tmp_path / "other.h5", ["iris"]))["parts"] == 2
    assert open_store(store).groups == (*PEOPLE, "iris")


def test_what_a_part_left_that_was_ended_at_its_end_is_removed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_people(tmp_path / "more.h5", ["gus", "hugo"])
    rename = local.rename_folder

    def rename_and_end(source: Path, target: Path) -> None:
        rename(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(local, "rename_folder", rename_and_end)
        with pytest.raises(KeyboardInterrupt):
            append(store, data)
    assert partial_folder(store / "parts" / "0001").is_dir()
    assert len(open_store(store).parts) == 2
    assert append(store, data)["made_shards"] == 0
    assert sorted(os.listdir(store / "parts")) == ["0001", "zarr.json"]


def test_two_appends_at_once_are_one(store: Path, tmp_path: Path) -> None:
    from headrace.stores.build.site import site_of

    with site_of(store).lock(), refused(StoreError, "grown.zarr"):
        append(store, write_people(tmp_path / "more.h5", ["gus"]))


def test_the_plan_of_a_store_that_grew_is_of_all_its_parts(
    first: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = write_people(tmp_path / "more.h5", ["gus", "bert"])
    append(store, more)
    found = open_store(store)
    assert run_plan(request_for(CONFIG, first / "first.h5", store))["stages"]
    assert found.windows > read_manifest(store).windows


def test_a_part_is_planned_in_the_form_of_its_store(store: Path, tmp_path: Path) -> None:
    base = open_store(store)
    data = write_people(tmp_path / "more.h5", ["gus", "bert"])
    with open_source(data, CONFIG.source) as source:
        planned = plan_build(CONFIG, source, QUIET, base=base)
    assert planned.memory.projected <= planned.memory.budget
    assert planned.manifest.folds[0].name in fold_of_groups(base).values()


def test_a_part_that_does_not_fit_the_budget_is_refused(store: Path, tmp_path: Path) -> None:
    config = config_from_table({"memory": {"budget": "100MiB"}}, "grown")
    before = hashes(store)
    with refused(BudgetError, "features", "memory.budget", "100 MiB"):
        append(store, write_people(tmp_path / "more.h5", ["gus"]), config)
    assert hashes(store) == before


@pytest.mark.parametrize(("known", "found"), [("2", "02"), ("anna", "Anna"), ("s1", "s001")])
def test_a_group_in_another_spelling_is_refused(known: str, found: str, tmp_path: Path) -> None:
    one = write_people(tmp_path / "one.h5", [known, "x", "y"])
    grown(tmp_path / "s.zarr", CONFIG, one)
    with refused(GroupError, repr(known), repr(found)):
        append(tmp_path / "s.zarr", write_people(tmp_path / "more.h5", [found]))


@pytest.mark.parametrize(("times", "warns"), [(9.8, True), (0.1, True), (2.0, False)])
def test_values_that_are_many_times_larger_draw_a_warning(
    times: float, warns: bool, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = write_people(tmp_path / "more.h5", ["new"])
    with h5py.File(more, "r+") as file:
        file["X"][:] = file["X"][:] * times
    with tasks_here():
        run_append(Request(Config(), more, store, None, Console()))
    assert ("root mean squares" in capsys.readouterr().out) == warns


def test_a_compacted_store_knows_what_its_parts_were_made_of(tmp_path: Path) -> None:
    from tests.pipeline.features.test_many_files import config_of as csv_config
    from tests.pipeline.features.test_many_files import write_person

    store, folders = tmp_path / "s.zarr", [tmp_path / name for name in ("march", "april", "both")]
    for folder, people in zip(folders, (range(4), range(4, 6), range(4, 7)), strict=True):
        folder.mkdir()
        for person in people:
            write_person(folder, "csv", person)
    grown(store, csv_config("csv"), *folders[:2])
    with tasks_here():
        run_compact(request_for(Config(), None, store))
    append(store, folders[0])
    assert len(open_store(store).parts) == 1
    with refused(StoreError, "2 files", "p04.csv"):
        append(store, folders[2])


def test_a_store_of_some_of_the_same_files_is_not_read_beside_it(tmp_path: Path) -> None:
    from tests.pipeline.features.test_many_files import config_of as csv_config
    from tests.pipeline.features.test_many_files import write_person

    stores = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    for store, people in zip(stores, (range(4), range(5)), strict=True):
        folder = store.with_suffix(".csv")
        folder.mkdir()
        for person in people:
            write_person(folder, "csv", person)
        config = csv_config("csv")
        if store != stores[0]:
            config = changed(config, folds={"like": stores[0]})
        grown(store, config, folder)
    with refused(StoreError, str(stores[0]), str(stores[1]), "4 files"):
        open_store(stores)
