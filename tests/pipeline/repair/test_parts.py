"""Verifying and mending stores of several parts: each is looked at, and none is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from headrace.pipeline.config.config import Config
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.salvage import Trusted
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.stores.build import local
from headrace.stores.build.folder import partial_folder
from headrace.stores.errors import DamageError, RunError, StoreError
from headrace.stores.store import open_store
from tests.conftest import changed, hashes, request_for
from tests.pipeline.corruptions import flip, rewrite_consistently
from tests.pipeline.features.growing import (
    CUT,
    LEAST,
    append,
    config_of,
    grown,
    write_people,
    write_recorded,
)
from tests.refusals import refused

pytestmark = pytest.mark.usefixtures("made_here")


class Kept(NamedTuple):
    """A store of three parts, its configuration, and the source of each part."""

    store: Path
    config: Config
    sources: tuple[Path, Path, Path]


def kept_people(folder: Path) -> Kept:
    names = (["anna", "bert", "cleo", "dora"], ["bert", "emil"], ["fred"])
    sources = [write_people(folder / f"{n}.h5", people) for n, people in enumerate(names)]
    config = config_of(LEAST)
    grown(folder / "grown.zarr", config, *sources)
    return Kept(folder / "grown.zarr", config, (sources[0], sources[1], sources[2]))


def kept_recordings(folder: Path) -> Kept:
    people = ([1, 2, 3, 4], [2, 5], [6])
    sources = [write_recorded(folder / f"{n}.h5", each) for n, each in enumerate(people)]
    config = config_of(CUT)
    grown(folder / "grown.zarr", config, *sources)
    return Kept(folder / "grown.zarr", config, (sources[0], sources[1], sources[2]))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kept_people, id="windows"),
        pytest.param(kept_recordings, id="stretches", marks=pytest.mark.faults),
    ],
)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    make: Callable[[Path], Kept] = request.param
    return make(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def store(kept: Kept, tmp_path: Path) -> Path:
    """A copy, to harm."""
    return Path(shutil.copytree(kept.store, tmp_path / "grown.zarr"))


PARTS = ("", "parts/0001", "parts/0002")


def verify(store: Path, data: Path | None = None) -> None:
    run_verify(request_for(Config(), data, store), with_source=data is not None)


def mend(
    store: Path, data: Path, config: Config | None = None, trusted: Trusted = "checksums"
) -> int:
    """How many shards mending made anew; with no option if no configuration is given."""
    request = request_for(config or Config(), data, store)
    return int(run_repair(request, trusted)["made_shards"])


@pytest.mark.parametrize("number", range(3))
def test_damage_in_any_part_is_found_named_and_mended(number: int, kept: Kept, store: Path) -> None:
    part = store / PARTS[number]
    flip(part / "raw" / "c.0.0.0", 100)
    (part / "label" / "zarr.json").write_text("{}")
    with refused(StoreError, str(part), "--repair", "raw/c.0.0.0"):
        try:
            verify(store)
        except StoreError as error:
            # Either of the two comes first.
            raise StoreError(f"{error} raw/c.0.0.0") from error
    for other in {0, 1, 2} - {number}:
        with refused(StoreError, str(part), "--data"):
            mend(store, kept.sources[other], kept.config)
    assert mend(store, kept.sources[number], kept.config) == 1
    assert hashes(store) == hashes(kept.store)
    verify(store)


def test_every_part_is_compared_with_its_own_source(kept: Kept) -> None:
    for data in kept.sources:
        verify(kept.store, data)


def test_the_source_of_no_part_is_refused_by_name(kept: Kept, tmp_path: Path) -> None:
    if kept.config.source.window_samples:
        data = write_recorded(tmp_path / "other.h5", [7, 8])
    else:
        data = write_people(tmp_path / "other.h5", ["gus"])
    for act in (verify, mend):
        with refused(StoreError, "other.h5", "3", "--data"):
            act(kept.store, data)


@pytest.mark.parametrize("number", range(3))
def test_rows_that_differ_from_the_source_are_found_and_mended(
    number: int, kept: Kept, store: Path
) -> None:
    part = store / PARTS[number]
    rewrite_consistently(part, random.Random(3))
    with refused(StoreError, str(part), "--repair=source"):
        verify(store, kept.sources[number])
    assert mend(store, kept.sources[number], trusted="source") >= 1
    assert hashes(store) == hashes(kept.store)


def test_options_of_a_part_are_those_of_its_store(kept: Kept, store: Path) -> None:
    (store / PARTS[1] / "label" / "c.0").unlink()
    with refused(RunError, "store.seed", "0", "5"):
        mend(store, kept.sources[1], changed(kept.config, store={"seed": 5}))
    assert mend(store, kept.sources[1]) == 1
    assert hashes(store) == hashes(kept.store)


@pytest.mark.parametrize(("number", "trusted"), [(0, "checksums"), (1, "checksums"), (2, "source")])
def test_a_damaged_manifest_of_one_part_is_named_and_mended(
    number: int, trusted: Trusted, kept: Kept, store: Path
) -> None:
    part = store / PARTS[number]
    flip(part / "manifest" / "zarr.json", 500)
    with refused(DamageError, str(part), "--repair"):
        verify(store)
    assert mend(store, kept.sources[number], trusted=trusted) == 0
    assert hashes(store) == hashes(kept.store)


def test_damaged_manifests_of_several_parts_are_mended_one_by_one(kept: Kept, store: Path) -> None:
    for part in PARTS[1:]:
        flip(store / part / "manifest" / "zarr.json", 500)
    with refused(StoreError, PARTS[2]):
        mend(store, kept.sources[1])
    assert mend(store, kept.sources[2]) == 0
    assert hashes(store) == hashes(kept.store)


def test_a_part_is_mended_after_those_that_decided_its_folds(kept: Kept, store: Path) -> None:
    """Unless it records its folds itself."""
    flip(store / "manifest" / "class_counts" / "c.0.0", 20)
    (store / PARTS[1] / "label" / "c.0").unlink()
    with refused(StoreError, "class_counts"):
        mend(store, kept.sources[1])
    flip(store / PARTS[1] / "manifest" / "zarr.json", 500)
    with refused(DamageError, "class_counts"):
        mend(store, kept.sources[1])
    with refused(StoreError, PARTS[1]):
        mend(store, kept.sources[0])
    assert mend(store, kept.sources[1]) == 0
    assert hashes(store) == hashes(kept.store)


@pytest.mark.parametrize(
    "name", ["parts/notes.txt", "parts/0001.bak/x", "parts/0001/mine", "parts/0002/parts/0001/x"]
)
def test_foreign_files_among_parts_are_found_and_never_removed(
    name: str, kept: Kept, store: Path
) -> None:
    (store / name).parent.mkdir(parents=True, exist_ok=True)
    (store / name).write_text("mine")
    before = hashes(store)
    number = PARTS.index("/".join(name.split("/")[:2])) if "/0001/" in name else 0
    number = 2 if name.startswith("parts/0002") else number
    with refused(StoreError, "does", "not", "belong"):
        verify(store)
    with refused(StoreError):
        mend(store, kept.sources[number])
    assert hashes(store) == before


def test_the_group_of_the_parts_is_looked_at_and_mended(kept: Kept, store: Path) -> None:
    for harm in (lambda path: path.unlink(), lambda path: path.write_text("{}")):
        harm(store / "parts" / "zarr.json")
        with refused(StoreError, "parts/zarr.json"):
            verify(store)
        assert mend(store, kept.sources[0]) == 0
        assert hashes(store) == hashes(kept.store)


def test_a_part_that_is_missing_among_others_is_named(kept: Kept, store: Path) -> None:
    shutil.rmtree(store / "parts" / "0001")
    for act in (lambda: verify(store), lambda: mend(store, kept.sources[0])):
        with refused(DamageError, f"{store}/parts/0001"):
            act()


def test_a_name_that_no_part_has_is_none(kept: Kept, store: Path) -> None:
    (store / "parts" / "00003").mkdir()
    (store / "parts" / "0000").mkdir()
    assert len(open_store(store).parts) == 3
    with refused(StoreError, "parts/0000"):
        verify(store)


def renames(store: Path, data: Path, at: int) -> None:
    """Mend, and end before the `at`-th rename of a folder."""
    rename, calls = local.rename_folder, []

    def some(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) > at:
            raise KeyboardInterrupt
        rename(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "rename_folder", some)
        with pytest.raises(KeyboardInterrupt):
            mend(store, data)


@pytest.mark.parametrize(
    ("number", "at", "whole"),
    [(0, 0, True), (0, 1, True), (0, 2, True), (0, 1, False), (0, 2, False), (1, 1, True),
     (2, 1, False)],
)  # fmt: skip
def test_a_mending_that_breaks_off_between_two_names_loses_no_part(
    number: int, at: int, whole: bool, kept: Kept, store: Path
) -> None:
    part = store / PARTS[number]
    (part / "label" / "c.0").unlink()
    harmed = hashes(store)
    renames(store, kept.sources[number], at)
    if not whole:
        (partial_folder(part) / "store" / "zarr.json").unlink(missing_ok=True)
    if at:
        with refused(StoreError if number == 0 else DamageError, "headrace features"):
            open_store(store)
    # Any features of the store puts it back, without a source.
    run_features(request_for(kept.config, None, store))
    assert len(open_store(store).parts) == 3
    found = {n: d for n, d in hashes(store).items() if ".partial/" not in n}
    assert found == (hashes(kept.store) if whole and at else harmed)
    mend(store, kept.sources[number])
    assert hashes(store) == hashes(kept.store)


def test_what_broke_off_is_put_back_before_a_part_is_added(
    kept: Kept, store: Path, tmp_path: Path
) -> None:
    (store / PARTS[2] / "label" / "c.0").unlink()
    renames(store, kept.sources[2], 1)
    assert append(store, kept.sources[2])["parts"] == 3
    assert hashes(store) == hashes(kept.store)


@pytest.mark.cases
def test_a_process_that_dies_between_two_names_loses_no_part(kept: Kept, store: Path) -> None:
    (store / "label" / "c.0").unlink()
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from tests.pipeline.repair.test_parts import mend\n"
        "from tests.in_process import tasks_here\n"
        "from headrace.stores.build import local\n"
        "rename, calls = local.rename_folder, []\n"
        "def some(source, target):\n"
        "    rename(source, target)\n"
        "    calls.append(target)\n"
        "    len(calls) == 2 and os._exit(9)\n"
        "local.rename_folder = some\n"
        "with tasks_here():\n"
        "    mend(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", code, str(store), str(kept.sources[0])]
    assert subprocess.run(command, check=False).returncode == 9
    assert not store.exists()
    run_features(request_for(kept.config, None, store))
    assert hashes(store) == hashes(kept.store)
    assert sorted(os.listdir(store.parent)) == [store.name]
