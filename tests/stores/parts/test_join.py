"""Several stores as one: where they agree; what differs is named, with both values."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.stores.errors import DamageError, GroupError, StoreError, UserError
from headrace.stores.parts.places import part_place
from headrace.stores.store import open_store
from tests.grown import append, config_of, make, write_people
from tests.pipeline.features.test_stretches import flip
from tests.refusals import refused

CLASSES = ["walk", "sit", "run"]
PEOPLE = ["t0", "t1", "t2", "t3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a store of windows of four people, a.zarr."""
    folder = tmp_path_factory.mktemp("joined")
    made(folder, "a")
    return folder


def made(
    folder: Path,
    name: str,
    people: list[str] = PEOPLE,
    classes: list[str] = CLASSES,
    form: str = "windows",
    sections: dict[str, Any] | None = None,
    **source: Any,
) -> Path:
    """A store of such a source; the number of channels, the rate and units are of the source."""
    data = write_people(folder / f"{name}.h5", people, classes, 5, **source)
    return make(folder / f"{name}.zarr", data, config_of(form, **(sections or {})))


OTHERS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "channels": ({"channels": 3}, ("channels", "2", "3")),
    "names of channels": (
        {"names": ["ch0", "other"], "sections": {"features": {"select": ["ch0__mean"]}}},
        ("channels", "'ch1'", "'other'"),
    ),
    "rate": ({"rate": 40.0}, ("sampling rate (Hz)", "50.0", "40.0")),
    "samples": ({"sections": {"source": {"window_samples": 40}}}, ("samples", "32", "40")),
    "type": ({"sections": {"store": {"raw_dtype": "float32"}}}, ("raw", "int16", "float32")),
    "units": ({"units": ["g", "g"]}, ("units", "''", "'g'")),
    "features": ({"sections": {"features": {"select": ["ch0__mean"]}}}, ("features", "2", "1")),
    "chunk": ({"sections": {"store": {"chunk_windows": 32}}}, ("store.chunk_windows", "16", "32")),
    "form": ({"form": "stretches"}, ("raw", "windows", "stretches")),
    "groups": (
        {"sections": {"source": {"split_by_window": True}}}, ("source.split_by_window",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_stores_that_are_unlike_are_refused_with_both_values(
    folder: Path, tmp_path: Path, case: str
) -> None:
    options, named = OTHERS[case]
    other = made(tmp_path, "b", **{"people": ["u0", "u1", "u2", "u3"], **options})
    with refused(StoreError, *named) as raised:
        open_store([folder / "a.zarr", other])
    assert str(other) in str(raised.value)
    assert str(folder / "a.zarr") in str(raised.value)


def test_features_of_other_options_are_refused_and_how_they_were_named_plays_no_part(
    tmp_path: Path,
) -> None:
    def of(name: str, people: str, **features: Any) -> Path:
        people_ = [f"{people}{number}" for number in range(4)]
        sections = {"features": features}
        return made(tmp_path, name, people_, channels=3, sections=sections)

    select = ["ch0__mean", "ch1__std"]
    first, alike = of("a", "t", select=select), of("b", "u", select=select[::-1])
    assert open_store([first, alike]).feature_names == tuple(select)
    triads = {"acc": ["ch0", "ch1", "ch2"]}
    other = of("c", "v", select=select, triads=triads)
    with refused(StoreError, "features", "triads", "ch0"):
        open_store([first, other])


def test_rates_that_differ_as_clocks_do_are_one(folder: Path, tmp_path: Path) -> None:
    others = [f"u{number}" for number in range(4)]
    near = made(tmp_path, "near", others, rate=50.004)
    assert open_store([folder / "a.zarr", near]).spec.rate_hz == 50.0


def test_windows_and_recordings_are_not_one(folder: Path, tmp_path: Path) -> None:
    data, rng = tmp_path / "windows.h5", np.random.default_rng(0)
    with h5py.File(data, "w") as file:
        file["X"] = rng.integers(-900, 900, (80, 32, 2), np.int16)
        file["X"].attrs["sampling_rate_hz"] = 50.0
        file["y"] = np.arange(80) % len(CLASSES)
        file["classes"] = np.array(CLASSES, h5py.string_dtype())
        file["groups"] = np.arange(80) // 20
    whole = config_of("windows", source={"window_samples": None, "step_samples": None})
    table = whole.model_copy(update={"store": whole.store.model_copy(update={"raw": None})})
    other = make(tmp_path / "windows.zarr", data, table)
    with refused(StoreError, "source.layout", "recordings", "windows"):
        open_store([folder / "a.zarr", other])


def test_stretches_of_other_lengths_are_refused(tmp_path: Path) -> None:
    one = made(tmp_path, "a", form="stretches")
    for keys, named in (
        ({"store": {"stretch_windows": 3}}, "store.stretch_windows"),
        ({"source": {"step_samples": 4}, "store": {"stretch_windows": 4}}, "source.step_s"),
    ):
        other = made(
            tmp_path, f"b{named}", ["u0", "u1", "u2", "u3"], form="stretches", sections=keys
        )
        with refused(StoreError, named):
            open_store([one, other])


@pytest.fixture(scope="module")
def halves(folder: Path) -> tuple[Path, Path]:
    """Stores without a group in common, each with a part more, in the folds of the first."""
    first = folder / "first.zarr"
    shutil.copytree(folder / "a.zarr", first)
    data = write_people(folder / "more.h5", ["t9"], ["sit"], 6)
    append(first, data, config_of("windows"))
    second = made(folder, "second", ["u0", "u1", "u2", "u3"])
    data = write_people(folder / "new.h5", ["u9"], ["sit", "jump"], 7)
    append(second, data, config_of("windows", store={"new_classes": "add"}))
    return first, second


def test_stores_with_parts_are_read_as_one(halves: tuple[Path, Path]) -> None:
    alone = [open_store(each) for each in halves]
    store = open_store(halves, new_classes=True)
    assert store.windows == sum(each.windows for each in alone)
    assert store.opened == (halves, (2, 2))
    assert [len(fold.ranges) for fold in store.folds].count(2) >= 2
    assert store.classes == ("walk", "sit", "run", "jump")
    assert set(store.groups) == {*alone[0].groups, *alone[1].groups}
    for name, of in (("group", "groups"), ("label", "classes")):
        codes = store.read(name, 0, store.windows)
        names = np.array(getattr(store, of))[codes]
        expected = [np.array(getattr(each, of))[each.read(name, 0, len(each))] for each in alone]
        np.testing.assert_array_equal(names, np.concatenate(expected))
    fewer = open_store(halves, parts=(1, 2), new_classes=True)
    assert fewer.opened == (halves, (1, 2))
    again = open_store(*fewer.opened[:1], parts=fewer.opened[1], new_classes=True)
    assert again.fingerprint == fewer.fingerprint != store.fingerprint


def test_classes_are_compared_of_stores_with_all_their_parts(halves: tuple[Path, Path]) -> None:
    with refused(GroupError, "jump", "store.new_classes"):
        open_store(halves)
    # Of the first store what was added to it is known.
    turned = open_store(halves[::-1])
    assert turned.classes == ("walk", "sit", "run", "jump")
    assert open_store(halves, parts=1).classes == ("walk", "sit", "run")


def test_a_group_in_different_folds_is_refused_with_both(folder: Path, tmp_path: Path) -> None:
    other = made(tmp_path, "b", ["u0", "t0", "u1", "u2", "u3"], sections={"folds": {"count": 3}})
    first = open_store(folder / "a.zarr")
    fold_of = {first.groups[group]: fold.name for fold in first.folds for group in fold.groups}[
        "t0"
    ]
    second = open_store(other)
    theirs = next(fold.name for fold in second.folds if second.groups.index("t0") in fold.groups)
    if fold_of == theirs:
        pytest.fail("the case is none: choose other groups")
    with refused(GroupError, "t0", f"fold {fold_of}", f"fold {theirs}"):
        open_store([folder / "a.zarr", other])


def test_a_store_that_is_named_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder / "a.zarr", tmp_path / "copied.zarr")
    for second in (folder / "a.zarr", copied):
        with refused(StoreError, str(second)):
            open_store([folder / "a.zarr", second])
    for nothing in ([], ()):
        with pytest.raises(StoreError):
            open_store(nothing)


def test_an_official_split_does_not_join_with_none(folder: Path, tmp_path: Path) -> None:
    sections = {"folds": {"test_groups": ["u1", "u2"], "count": 2}}
    other = made(tmp_path, "b", ["u0", "u1", "u2", "u3"], sections=sections)
    for pair in ([folder / "a.zarr", other], [other, folder / "a.zarr"]):
        with refused(StoreError) as raised:
            open_store(pair)
        assert all(str(path) in str(raised.value) for path in pair)
    later = made(tmp_path, "c", ["v0", "v1", "v2", "v3"],
                 sections={"folds": {"test_groups": ["v1", "v2"], "count": 2}})  # fmt: skip
    store = open_store([other, later])
    names = [fold.name for fold in store.folds]
    assert names == sorted(names, key=lambda name: name.startswith("test/"))
    testing = {store.groups[g] for f in store.folds if f.name.startswith("test/") for g in f.groups}
    assert testing == {"u1", "u2", "v1", "v2"}


@pytest.fixture
def copied(grown_path: Path, tmp_path: Path) -> Path:
    return shutil.copytree(grown_path, tmp_path / "grown.zarr")


def test_a_part_that_is_missing_among_others_is_named(copied: Path) -> None:
    part_place(copied, 1).rename(copied.parent / "aside")
    with refused(DamageError, str(part_place(copied, 1))):
        open_store(copied)
    assert len(open_store(copied, parts=1).parts) == 1


Harm = Callable[[Path], object]
HARMS: dict[str, tuple[Harm, type[UserError]]] = {
    "a chunk": (lambda part: flip(part / "features" / "c.1.0", 1), DamageError),
    "the manifest": (lambda part: flip(part / "manifest" / "zarr.json", 1), DamageError),
    "an array": (lambda part: shutil.rmtree(part / "features"), DamageError),
}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("what", HARMS)
def test_damage_is_named_with_the_path_of_its_part(copied: Path, what: str, number: int) -> None:
    harm, kind = HARMS[what]
    part = part_place(copied, number)
    harm(part)
    with pytest.raises(kind) as raised:
        open_store(copied).read("features", 0, 596)
    assert str(part) in str(raised.value)
    assert (str(part / "features") in str(raised.value)) == (what != "the manifest")
