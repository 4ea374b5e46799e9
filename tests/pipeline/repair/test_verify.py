"""The verify stage finds what is wrong with a store."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import pytest

from headrace import stores
from headrace.pipeline.commands.inspect import run_inspect
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.features.plan import plan_store
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.compare_source import compare_shard
from headrace.pipeline.repair.salvage import Salvage, Trusted
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.stores.build.build import Build
from headrace.stores.build.folder import partial_folder
from headrace.stores.build.site import site_of
from headrace.stores.errors import DamageError, DiskError, StoreError
from headrace.stores.io.places import storage_of
from headrace.stores.manifest import Manifest
from headrace.stores.manifest_file import read_manifest
from headrace.stores.source.source import open_source
from headrace.stores.verify import Problem, verify_store
from tests.conftest import ROOT, changed, hashes, request_for
from tests.in_process import tasks_here
from tests.pipeline.conftest import made
from tests.pipeline.corruptions import HARMS, Harm, flip, rewrite_consistently, seal
from tests.refusals import assert_names, refused

FORMATS = ROOT / "tests" / "formats"


def test_a_true_store_has_no_problem(tiny_store: Path, tiny_config: Config) -> None:
    summary = run_verify(request_for(tiny_config, None, tiny_store))
    assert summary["problems"] == []
    assert summary["windows"] == 530


def edit_metadata(store: Path) -> None:
    path = store / "raw" / "zarr.json"
    metadata = json.loads(path.read_bytes())
    metadata["attributes"]["units"] = ["m"] * 3
    path.write_text(json.dumps(metadata))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "raw/c.3.0.0": lambda store: flip(store / "raw" / "c.3.0.0", 100),
    "features/c.0.0": lambda store: flip(store / "features" / "c.0.0", -3),
    "label/c.2": lambda store: (store / "label" / "c.2").unlink(),
    "group/c.1": lambda store: shutil.copy(store / "group" / "c.4", store / "group" / "c.1"),
    "raw/zarr.json": edit_metadata,
    "raw/c.99.0.0": lambda store: shutil.copy(
        store / "raw" / "c.0.0.0", store / "raw" / "c.99.0.0"
    ),
    "manifest/class_counts/c.0.0": lambda store: flip(
        store / "manifest" / "class_counts" / "c.0.0", 20
    ),
}


@pytest.mark.parametrize("file", DAMAGE)
def test_damage_is_found_and_named(
    file: str, tiny_store: Path, tiny_config: Config, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.zarr"
    shutil.copytree(tiny_store, damaged)
    DAMAGE[file](damaged)
    with refused(StoreError, file, "1", "headrace features --repair"):
        run_verify(request_for(tiny_config, None, damaged))


def test_no_store_and_a_newer_format_are_named(
    tiny_store: Path, tiny_config: Config, tmp_path: Path
) -> None:
    with refused(StoreError, "none.zarr", "headrace features"):
        run_verify(request_for(tiny_config, None, tmp_path / "none.zarr"))
    newer = tmp_path / "newer.zarr"
    shutil.copytree(tiny_store, newer)
    seal(newer, read_manifest(newer).model_copy(update={"format_version": 5}))
    # Whatever it keeps for a checksum.
    root = (newer / "zarr.json").read_text().replace('"manifest": "', '"manifest": "sha256-')
    (newer / "zarr.json").write_text(root)
    with refused(StoreError, "newer.zarr", "5", "4"):
        run_verify(request_for(tiny_config, None, newer))


def test_inspect_describes_every_fold(tiny_store: Path, tiny_config: Config) -> None:
    summary = run_inspect(request_for(tiny_config, None, tiny_store))
    assert summary["windows"] == sum(fold["windows"] for fold in summary["folds"]) == 530
    assert [array["name"] for array in summary["arrays"]][:2] == ["raw", "features"]
    assert json.dumps(summary)


def test_inspect_counts_what_is_missing(
    tiny_store: Path, tiny_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "harmed.zarr"
    shutil.copytree(tiny_store, store)
    (store / "label" / "c.2").unlink()
    run_inspect(replace(request_for(tiny_config, None, store), console=Console()))
    assert_names(capsys.readouterr().out, "1", "headrace features --repair")


def problems_of(store: Path) -> list[Problem]:
    try:
        return list(verify_store(stores.open(store), lambda rows: None))
    except DamageError as error:
        return [Problem("zarr.json", str(error), 0, 0)]


def assert_found(store: Path, harmed: str | None, what: str) -> None:
    found = problems_of(store)
    assert found, what
    if harmed is None or harmed.endswith("zarr.json") or found[0].where == "zarr.json":
        return
    assert any(problem.where == harmed and problem.start < problem.stop for problem in found), what


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_every_harm_is_found(harm: Harm, tiny_store: Path, tmp_path: Path) -> None:
    for seed in range(6):
        store = tmp_path / f"{seed}.zarr"
        shutil.copytree(tiny_store, store)
        assert_found(store, harm(store, random.Random(seed)), f"seed {seed}")


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_every_one_of_a_thousand_harms_is_found(tiny_store: Path, tmp_path: Path) -> None:
    for seed in range(1000):
        chance = random.Random(1000 + seed)
        harm, store = chance.choice(HARMS), tmp_path / "harmed.zarr"
        shutil.copytree(tiny_store, store)
        assert_found(store, harm(store, chance), f"{harm.__name__}, seed {seed}")
        shutil.rmtree(store)


def mend(store: Path, source: Path, config: Config, trusted: Trusted = "checksums") -> int:
    """How many shards mending made anew."""
    with tasks_here():
        return int(run_repair(request_for(config, source, store), trusted)["made_shards"])


def harm_all(store: Path) -> int:
    """One of each kind of file that can be told from its checksum; returns the shards harmed."""
    flip(store / "raw" / "c.3.0.0", 100)
    (store / "label" / "c.2").unlink()
    edit_metadata(store)
    flip(store / "manifest" / "raw_moments" / "zarr.json", 9)
    aside = store.parent.parent / "aside"
    shutil.move(store / "raw" / "c.5.0.0", aside)
    (store / "raw" / "c.5.0.0").symlink_to(aside)
    return 3


def harm_label(store: Path) -> int:
    (store / "label" / "c.2").unlink()
    return 1


def harm_manifest(store: Path) -> int:
    flip(store / "manifest" / "zarr.json", 500)
    return 0


def harm_manifest_and_digests(store: Path) -> int:
    """Nothing says any more that the rows are those of the source."""
    flip(store / "manifest" / "zarr.json", 500)
    return harm_digests(store)


def harm_digests(store: Path) -> int:
    flip(store / "manifest" / "shard_digest" / "c.0.0.0", 40)
    return 9


@pytest.mark.parametrize("harm", [harm_all, harm_manifest, harm_digests])
def test_a_mended_store_is_the_one_that_was(
    harm: Callable[[Path], int],
    tiny_store: Path,
    tiny_source: Path,
    tiny_config: Config,
    tmp_path: Path,
) -> None:
    store = tmp_path / "harmed.zarr"
    shutil.copytree(tiny_store, store)
    harmed = harm(store)
    assert mend(store, tiny_source, tiny_config) == harmed
    assert hashes(store) == hashes(tiny_store)
    assert os.listdir(tmp_path) == ["harmed.zarr"]
    assert mend(store, tiny_source, tiny_config) == 0


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_every_harm_is_mended(
    harm: Harm, tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    for seed in range(5):
        store = tmp_path / "harmed.zarr"
        shutil.copytree(tiny_store, store)
        harm(store, random.Random(seed))
        foreign = [p.where for p in problems_of(store) if p.kind == "foreign"]
        if foreign:
            with refused(StoreError, *foreign[:1]):
                mend(store, tiny_source, tiny_config)
            for name in foreign:
                (store / name).unlink()
        else:
            mend(store, tiny_source, tiny_config)
        assert hashes(store) == hashes(tiny_store), f"seed {seed}"
        assert problems_of(store) == []
        shutil.rmtree(store)


def test_what_an_interrupted_write_left_moves_no_store(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    """A mending takes the old store out of its place, and a temporary file away."""
    store = tmp_path / "old.zarr"
    shutil.copytree(tiny_store, store)
    with open_source(tiny_source, tiny_config.source) as source:
        manifest, survey = plan_store(tiny_config, source)
    build = site_of(store).begin(manifest, survey.index)
    Salvage(stores.open(store), range(manifest.shards)).adopt(build)
    assert isinstance(build.store, Path)
    (build.store / "raw" / "c.9.0.0.123.tmp").write_bytes(b"half")
    places = []
    moved = os.rename

    def rename(old: Path, new: Path) -> None:
        places.append(Path(new).relative_to(tmp_path).as_posix())
        moved(old, new)

    with patch("headrace.stores.io.disk.os.rename", rename):
        build.finish(replaces=True)
    assert places == ["old.zarr.partial/replaced", "old.zarr"]
    assert hashes(store) == hashes(tiny_store)


@pytest.mark.usefixtures("made_here")
def test_a_store_of_another_source_is_not_certified_by_mending(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    """Its manifest is damaged: that it was the one of this source is not taken on trust."""
    other, store = tmp_path / "other.h5", tmp_path / "store.zarr"
    shutil.copy(tiny_source, other)
    with h5py.File(other, "r+") as file:
        file["X"][...] = 3 * file["X"][...] + 1
    shutil.copytree(tiny_store, store)
    harm_manifest(store)
    before = hashes(store)
    with refused(StoreError, "store.zarr", "--repair=source"):
        mend(store, other, tiny_config)
    assert hashes(store) == before
    assert mend(store, other, tiny_config, "source") == 9
    run_verify(request_for(tiny_config, other, store), with_source=True)


def test_a_store_that_nothing_is_proven_of_is_made_anew_only_when_asked(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    store = tmp_path / "store.zarr"
    shutil.copytree(tiny_store, store)
    harm_manifest_and_digests(store)
    before = hashes(store)
    with refused(StoreError, "store.zarr", "--repair=source"):
        mend(store, tiny_source, tiny_config)
    assert hashes(store) == before
    assert mend(store, tiny_source, tiny_config, "source") == 9
    assert hashes(store) == hashes(tiny_store)


@pytest.mark.parametrize("left", ["zarr.json", "manifest/zarr.json"])
def test_a_newer_store_is_not_mended_into_an_older_one(
    left: str, tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    store = tmp_path / "store.zarr"
    shutil.copytree(tiny_store, store)
    for name in ("zarr.json", "manifest/zarr.json"):
        document = json.loads((store / name).read_bytes())
        key = "headrace" if name == "zarr.json" else "format_version"
        document["attributes"][key] = 5
        (store / name).write_text(json.dumps(document) if name == left else "{")
    for trusted in ("checksums", "source"):
        with refused(StoreError, "store.zarr", "5", "4"):
            mend(store, tiny_source, tiny_config, trusted)


@pytest.mark.parametrize("name", ["raw/c.3.0.0", "manifest/raw_moments/c.0.0.0", "label/zarr.json"])
def test_what_the_disk_cannot_read_is_named_and_mended(
    name: str, tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    """Reading the memory of a process at 0 is a real error of input and output."""
    store = tmp_path / "store.zarr"
    shutil.copytree(tiny_store, store)
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        made("mount", "--bind", f"/proc/{sleeper.pid}/mem", store / name)
        try:
            assert [problem.where for problem in problems_of(store)] == [name]
        finally:
            subprocess.run(["umount", str(store / name)], check=True)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_mending_trusts_nothing_that_an_earlier_mending_left(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    store = tmp_path / "store.zarr"
    shutil.copytree(tiny_store, store)
    (store / "raw" / "c.3.0.0").unlink()
    with (
        pytest.raises(KeyboardInterrupt),
        patch("headrace.pipeline.features.stage._make_missing", side_effect=KeyboardInterrupt),
    ):
        mend(store, tiny_source, tiny_config)
    assert partial_folder(store).exists()
    flip(store / "raw" / "c.5.0.0", 100)
    assert mend(store, tiny_source, tiny_config) == 2
    assert hashes(store) == hashes(tiny_store)


@pytest.mark.faults
def test_mending_removes_no_file_of_the_users(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    real, store = tmp_path / "real.zarr", tmp_path / "linked.zarr"
    shutil.copytree(tiny_store, real)
    store.symlink_to(real)
    (real / "notes.txt").write_text("mine")
    for damage, shards in (
        (lambda: (real / "label" / "c.2").unlink(), 1),
        (lambda: harm_manifest_and_digests(real), 9),
    ):
        damage()
        with refused(StoreError, "1", "notes.txt"):
            mend(store, tiny_source, tiny_config, "source")
        (real / "notes.txt").rename(tmp_path / "notes.txt")
        assert mend(store, tiny_source, tiny_config, "source") == shards
        (tmp_path / "notes.txt").rename(real / "notes.txt")
    (real / "notes.txt").unlink()
    assert store.is_symlink()
    assert hashes(real) == hashes(tiny_store)


@pytest.mark.usefixtures("made_here")
def test_nothing_that_came_meanwhile_is_replaced(
    tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    target = tmp_path / "new.zarr"
    real = Build.finish

    def finish(build: Build, **named: bool) -> None:
        target.mkdir()
        (target / "thesis.txt").write_text("mine")
        real(build, **named)

    with (
        patch.object(Build, "finish", finish),
        refused(DiskError, "new.zarr", os.strerror(errno.ENOTEMPTY)),
    ):
        run_features(request_for(tiny_config, tiny_source, target))
    assert (target / "thesis.txt").read_text() == "mine"


def test_consistent_edits_are_found_by_the_source_and_mended(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    store = tmp_path / "edited.zarr"
    shutil.copytree(tiny_store, store)
    name, rows = rewrite_consistently(store, random.Random(5))
    assert not [problem for problem in problems_of(store) if problem.where == name]
    with tasks_here(), refused(StoreError, "9", "1", "headrace features --repair=source"):
        run_verify(request_for(tiny_config, tiny_source, store), with_source=True)
    assert mend(store, tiny_source, tiny_config, "source") == 1
    assert hashes(store) == hashes(tiny_store)
    assert rows


def edited(manifest: Manifest) -> dict[str, Manifest]:
    """Manifests that are not those of the source, each by what is named."""
    classes = (*reversed(manifest.classes),)
    return {
        "rate_hz": manifest.model_copy(update={"rate_hz": 51.0}),
        "classes": manifest.model_copy(update={"classes": classes}),
        "source": manifest.model_copy(
            update={"source": manifest.source | {"fingerprint": "0" * 32}}
        ),
        "store.seed": manifest.model_copy(
            update={"config": manifest.config | {"store": manifest.config["store"] | {"seed": 9}}}
        ),
    }


@pytest.mark.usefixtures("made_here")
@pytest.mark.parametrize("name", ["rate_hz", "classes", "source", "store.seed"])
def test_a_sealed_manifest_of_something_else_is_found_by_the_source(
    name: str, tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    store = tmp_path / "edited.zarr"
    shutil.copytree(tiny_store, store)
    other = edited(read_manifest(store))[name]
    seal(store, other)
    for array in other.arrays():
        (store / array.name / "zarr.json").write_bytes(
            array.metadata(other.attributes_of(array.name))
        )
    assert problems_of(store) == []
    with refused(StoreError, name):
        run_verify(request_for(tiny_config, tiny_source, store), with_source=True)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_every_consistent_edit_is_found_by_the_source(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    with open_source(tiny_source, tiny_config.source) as source:
        manifest, survey = plan_store(tiny_config, source)
    target, state = tmp_path / "compared.zarr", storage_of(tiny_source).state()
    site_of(target).begin(manifest, survey.index)
    for seed in range(200):
        store = tmp_path / "edited.zarr"
        shutil.copytree(tiny_store, store)
        name, rows = rewrite_consistently(store, random.Random(seed))
        shard = rows.start // manifest.shard
        found = compare_shard(target, tiny_source, state, shard, None, store, exact=True)
        assert isinstance(found, tuple)
        assert [wrong for wrong in found[1] if wrong[0] == name and wrong[2] in rows], name
        shutil.rmtree(store)


def test_a_store_that_is_not_there_or_of_another_config_is_not_mended(
    tiny_store: Path, tiny_source: Path, tiny_config: Config, tmp_path: Path
) -> None:
    with refused(StoreError, "none.zarr", "--repair"):
        mend(tmp_path / "none.zarr", tiny_source, tiny_config)
    other = changed(tiny_config, store={"seed": 7})
    with refused(StoreError, "store.seed"):
        mend(tiny_store, tiny_source, other)


@pytest.mark.parametrize("version", [1, 2])
def test_stores_of_every_format_are_read(version: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(FORMATS / f"{version}.zip") as kept:
        kept.extractall(tmp_path / "kept.zarr")
    store = stores.open(tmp_path / "kept.zarr")
    assert store.manifest.format_version == version
    assert problems_of(store.path) == []
    assert store.windows == 90
    assert store.read("features", 40, 50).shape == (10, 4)
    assert np.array_equal(np.sort(store.read("source_index", 0, 90)), np.arange(90))
