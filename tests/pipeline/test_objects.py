"""Sources and stores as objects of a real S3 server: the same bytes, whatever the wire does."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import pytest
import tensorflow as tf
import tomli_w

from headrace import stores
from headrace.model.normaliser import Normaliser
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.features import stage as features
from headrace.pipeline.features.append import run_append
from headrace.pipeline.features.scale import scale_of
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.stage import run_repair
from headrace.pipeline.repair.verify import run_verify
from headrace.pipeline.request import Request
from headrace.pipeline.stream.training import training_stream
from headrace.stores import Store
from headrace.stores.build.site import site_of
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import (
    CommandError,
    DamageError,
    ObjectStoreError,
    SourceContentError,
    SourceError,
    StoreError,
    UserError,
)
from headrace.stores.io.object_file import ObjectFile
from headrace.stores.io.object_path import ObjectPath, object_path
from headrace.stores.io.places import Place, place_of
from headrace.stores.source.files.census import census_from
from headrace.stores.source.source import open_source
from tests.conftest import SMALL, changed, hashes, request_for
from tests.pipeline.features.test_many_files import PEOPLE, config_of, write_person
from tests.pipeline.object_server import BUCKET, KEY, SECRET, S3Server, Wire, free_port
from tests.refusals import assert_refused, refused

FOLDS = ("1", "2", "4", "5", "6")
ADDRESS = f"s3://{BUCKET}/tiny.zarr"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("objects"))
    yield server
    server.stop()


@pytest.fixture
def server(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An empty server, and its credentials where AWS' own tools look for them."""
    subprocess.run(["find", str(running.bucket), "-mindepth", "1", "-delete"], check=True)
    running.look_again()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return running


@pytest.fixture
def wire(server: S3Server) -> Iterator[Wire]:
    found = Wire(server)
    yield found
    found.stop()


def reached(config: Config, endpoint: str, **objects: Any) -> Config:
    return changed(config, objects={"endpoint": endpoint, "retry_seconds": 20.0, **objects})


def at(address: str, config: Config) -> Place:
    return place_of(address, config.objects)


@pytest.mark.usefixtures("made_here")
def test_source_and_store_may_be_objects(
    server: S3Server, tiny_config: Config, tiny_source: Path, tiny_store: Path
) -> None:
    (server.bucket / "tiny.h5").write_bytes(tiny_source.read_bytes())
    config = reached(tiny_config, server.endpoint)
    data, store = at(f"s3://{BUCKET}/tiny.h5", config), at(ADDRESS, config)
    console = Said()
    made = run_features(Request(config, data, store, None, console))
    assert made["made_shards"] == 9
    # Once in a warning that builds guard nothing there, once as what was made.
    assert console.text.count(ADDRESS) == 2
    assert hashes(server.bucket / "tiny.zarr") == hashes(tiny_store)
    assert sorted(path.name for path in server.bucket.iterdir()) == ["tiny.h5", "tiny.zarr"]
    assert run_features(Request(config, data, store, None, console))["made_shards"] == 0
    found = run_verify(Request(config, data, store, None, console), with_source=True)
    assert found["shards"] == 9
    opened = stores.open(ADDRESS, config.objects)
    assert opened.fingerprint == stores.open(tiny_store).fingerprint


@pytest.mark.usefixtures("made_here")
def test_records_are_decoded_in_one_thread(
    server: S3Server, tiny_config: Config, tiny_source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 cannot parse headers of .npy files in several (gh-106905)."""
    load, threads = np.load, set()

    def noted(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.get_ident())
        return load(*args, **kwargs)

    monkeypatch.setattr(np, "load", noted)
    config = reached(tiny_config, server.endpoint)
    run_features(request_for(config, tiny_source, at(ADDRESS, config)))
    assert threads == {threading.get_ident()}


@pytest.fixture
def people(server: S3Server) -> Path:
    """A folder of one table of text a person in the bucket, and a table that lists them."""
    folder = server.bucket / "many"
    folder.mkdir()
    for person in range(PEOPLE):
        write_person(folder, "csv", person)
    names = (f"many/p{person:02}.csv" for person in range(PEOPLE))
    (server.bucket / "people.csv").write_text("\n".join(["file", *names]) + "\n")
    server.look_again()
    return folder


@pytest.mark.usefixtures("made_here")
def test_a_prefix_of_objects_gives_the_store_of_a_folder(
    server: S3Server, people: Path, tmp_path: Path
) -> None:
    config = reached(config_of("csv"), server.endpoint)
    run_features(request_for(config, people, tmp_path / "near.zarr"))
    run_features(request_for(config, at(f"s3://{BUCKET}/many", config), tmp_path / "far.zarr"))
    assert hashes(tmp_path / "far.zarr") == hashes(tmp_path / "near.zarr")


@pytest.mark.parametrize("name", ["many/p*[1-4].csv", "people.csv"])
def test_patterns_and_tables_of_objects_name_what_they_name_of_files(
    name: str, server: S3Server, people: Path
) -> None:
    config = reached(config_of("csv"), server.endpoint)
    if name == "people.csv":
        config = changed(config, source={"files": ["many/p{subject}.csv"]})
    with open_source(people.parent / name, config.source) as near:
        expected, windows = near.fingerprint(), near.windows
    with open_source(at(f"s3://{BUCKET}/{name}", config), config.source) as far:
        assert (far.fingerprint(), far.windows) == (expected, windows)
    if name == "people.csv":
        (people / "p03.csv").unlink()
        server.look_again()
        with refused(SourceError, f"s3://{BUCKET}/people.csv", "many/p03.csv", "5"):
            open_source(at(f"s3://{BUCKET}/{name}", config), config.source)


def test_an_object_that_changes_while_it_is_read_is_named(server: S3Server, people: Path) -> None:
    config = reached(config_of("csv"), server.endpoint)
    with open_source(at(f"s3://{BUCKET}/many", config), config.source) as first:
        assert first.census is not None
        census = census_from(io.BytesIO(first.census.to_bytes()), first.census.files.folder)
    (people / "p02.csv").write_bytes((people / "p01.csv").read_bytes())
    server.look_again()
    far = at(f"s3://{BUCKET}/many", config)
    with (
        open_source(far, config.source, census) as second,
        refused(SourceContentError, f"s3://{BUCKET}/many/p02.csv"),
    ):
        second.read_windows(0, second.windows)


class Said(Console):
    """A console whose lines are kept."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        object.__setattr__(self, "lines", [])

    def say(self, text: str) -> None:
        lines: list[str] = self.__dict__["lines"]
        lines.append(text)

    @property
    def text(self) -> str:
        return "\n".join(self.__dict__["lines"])


@pytest.mark.usefixtures("made_here")
def test_a_server_with_conditions_guards_a_build(
    wire: Wire, tiny_config: Config, tiny_source: Path, tiny_store: Path
) -> None:
    config = reached(tiny_config, wire.endpoint)
    console, store = Said(), at(ADDRESS, config)
    root = f"/{BUCKET}/tiny.zarr/zarr.json"
    begun = wire.server.bucket / "tiny.zarr.partial"

    def cut_off(method: str, path: str) -> str | None:
        return "400" if (method, path) == ("PUT", root) else None

    wire.fault = cut_off
    with pytest.raises(ObjectStoreError):
        run_features(Request(config, tiny_source, store, None, console))
    assert ADDRESS not in console.text
    with refused(StoreError, ADDRESS, "headrace features"):
        stores.open(ADDRESS, config.objects)
    other = changed(config, store={"level": 2})
    with refused(StoreError, "store.level"):
        run_features(Request(other, tiny_source, store, None, console))
    # Somebody else was faster: the store is theirs, and is left alone.
    (wire.server.bucket / "tiny.zarr" / "zarr.json").write_text("{}")
    wire.fault = lambda method, path: None
    wire.server.look_again()
    with pytest.raises(StoreError):
        run_features(Request(config, tiny_source, store, None, console))
    assert (wire.server.bucket / "tiny.zarr" / "zarr.json").read_text() == "{}"
    (wire.server.bucket / "tiny.zarr" / "zarr.json").unlink()
    wire.server.look_again()
    assert run_features(Request(config, tiny_source, store, None, console))["made_shards"] == 0
    assert hashes(wire.server.bucket / "tiny.zarr") == hashes(tiny_store)
    assert not begun.exists() or not list(begun.iterdir())


def test_what_is_no_store_is_left_alone(
    server: S3Server, tiny_config: Config, tiny_source: Path
) -> None:
    mine = server.bucket / "tiny.zarr" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    config = reached(tiny_config, server.endpoint)
    with refused(ObjectStoreError, ADDRESS, "mine.txt"):
        run_features(request_for(config, tiny_source, at(ADDRESS, config)))
    assert [path.name for path in server.bucket.rglob("*") if path.is_file()] == ["mine.txt"]


@pytest.mark.faults
def test_a_killed_stage_is_gone_on_with(
    server: S3Server, tiny_config: Config, tiny_source: Path, tiny_store: Path, tmp_path: Path
) -> None:
    config = tmp_path / "tiny.toml"
    objects = {"endpoint": server.endpoint}
    config.write_text(tomli_w.dumps({"name": "tiny", **SMALL, "objects": objects}))
    command = [sys.executable, "-m", "headrace", "features", "--config", str(config)]
    command += ["--data", str(tiny_source), "--store", ADDRESS, "--quiet"]
    begun = server.bucket / "tiny.zarr.partial"
    for shards in (1, 5):
        stage = subprocess.Popen(command, start_new_session=True)
        while stage.poll() is None and len(list(begun.glob("*/records/*"))) < shards:
            time.sleep(0.01)
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(stage.pid)
            for process in [*parent.children(recursive=True), parent]:
                process.kill()
        stage.wait()
    assert not (server.bucket / "tiny.zarr" / "zarr.json").exists()
    assert subprocess.run(command, check=False).returncode == 0
    assert hashes(server.bucket / "tiny.zarr") == hashes(tiny_store)


@pytest.mark.usefixtures("made_here")
def test_damaged_objects_are_found_and_mended_in_their_place(
    server: S3Server, tiny_config: Config, tiny_source: Path, tiny_store: Path
) -> None:
    copy_store(tiny_store, server)
    config = reached(tiny_config, server.endpoint)
    store = at(ADDRESS, config)
    shard = server.bucket / "tiny.zarr" / "features" / "c.2.0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    (server.bucket / "tiny.zarr" / "label" / "c.7").unlink()
    server.look_again()
    with refused(StoreError, "2", "9", "headrace features --repair"):
        run_verify(request_for(config, tiny_source, store))
    opened = stores.open(ADDRESS, config.objects)
    with refused(DamageError, f"{ADDRESS}/label/c.7"):
        opened.read("label", 0, opened.windows)
    made = run_repair(request_for(config, tiny_source, store), "checksums")
    assert made["made_shards"] == 2
    assert hashes(server.bucket / "tiny.zarr") == hashes(tiny_store)


@pytest.mark.usefixtures("made_here")
def test_a_store_of_objects_grows_by_parts(
    wire: Wire, tiny_config: Config, tiny_source: Path, tiny_store: Path, tmp_path: Path
) -> None:
    data, local = tmp_path / "more.h5", tmp_path / "tiny.zarr"
    write_synthetic(data, windows=150, time=64, channels=3, groups=3, seed=5)
    shutil.copytree(tiny_store, local)
    run_append(request_for(tiny_config, data, local))
    copy_store(tiny_store, wire.server)
    wire.server.look_again()
    kept, config = wire.server.bucket / "tiny.zarr", reached(tiny_config, wire.endpoint)
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*") if path.is_file()}
    store, root = at(ADDRESS, config), f"/{BUCKET}/tiny.zarr/parts/0001/zarr.json"
    wire.fault = lambda method, path: "400" if (method, path) == ("PUT", root) else None
    with pytest.raises(ObjectStoreError):
        run_append(request_for(config, data, store))
    # All but its last object is there, and nobody sees it.
    assert len(stores.open(ADDRESS, config.objects).parts) == 1
    assert run_verify(request_for(config, None, store))["parts"] == 1
    wire.fault = lambda method, path: None
    made = run_append(request_for(config, data, store))
    assert (made["parts"], made["made_shards"]) == (2, 0)
    assert hashes(kept) == hashes(local)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    opened = stores.open(ADDRESS, config.objects)
    assert (len(opened.parts), opened.windows) == (2, 680)
    assert run_append(request_for(config, data, store))["made_shards"] == 0
    run_verify(request_for(config, data, store), with_source=True)
    # A part that lost its last object is damaged, and is not gone.
    (kept / "parts" / "0001" / "zarr.json").unlink()
    wire.server.look_again()
    with pytest.raises(UserError):
        run_verify(request_for(config, None, store))
    run_repair(request_for(config, data, store), "checksums")
    # Nor is it while it is mended.
    (kept / "parts" / "0001" / "label" / "c.1").unlink()
    wire.server.look_again()
    with pytest.raises(UserError):
        run_verify(request_for(config, None, store))
    with (
        patch.object(features, "_make_missing", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        run_repair(request_for(config, data, store), "checksums")
    with pytest.raises(DamageError):
        stores.open(ADDRESS, config.objects)
    run_repair(request_for(config, data, store), "checksums")
    assert hashes(kept) == hashes(local)


def copy_store(store: Path, server: S3Server) -> None:
    subprocess.run(["cp", "-r", str(store), str(server.bucket / "tiny.zarr")], check=True)


Batches = list[tuple[Any, ...]]


def batches(store: Store, config: Config) -> Batches:
    found = store.moments(FOLDS)
    sample = store.read("features", 0, store.windows)
    normaliser = Normaliser.fit(
        found.raw_mean, found.raw_std, found.feature_mean, found.feature_std, sample
    )
    return list(training_stream(store, FOLDS, config, normaliser).as_numpy_iterator())


def assert_same_bits(one: Batches, other: Batches) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def test_a_faulty_wire_and_a_server_that_starts_anew_change_no_bit(
    wire: Wire, tiny_config: Config, tiny_store: Path
) -> None:
    copy_store(tiny_store, wire.server)
    # One shard's indexes and labels are kept: each chunk is asked for again and again.
    patient = {"timeout_seconds": 5.0, "retry_seconds": 600.0}
    config = reached(changed(tiny_config, train={"epochs": 4}), wire.endpoint, **patient)
    expected = batches(stores.open(tiny_store), config)
    wire.fail(0.25)
    remote = stores.open(ADDRESS, config.objects).with_index_cache(1)
    wire.latency = 0.005

    def restart() -> None:
        while sum(wire.counts.values()) < 100:
            time.sleep(0.01)
        wire.server.stop()
        asked = sum(wire.counts.values())
        while sum(wire.counts.values()) < asked + 20:
            time.sleep(0.01)
        wire.server.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    try:
        found = batches(remote, config)
    finally:
        restarting.join()
    assert_same_bits(found, expected)
    assert sum(wire.counts.values()) > 300


def test_requests_are_made_side_by_side(
    wire: Wire, tiny_config: Config, tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_store(tiny_store, wire.server)
    monkeypatch.setattr("headrace.stores.shards.reader.WHOLE_SHARD", 1024)
    for requests in (1, 12):
        config = reached(tiny_config, wire.endpoint, requests=requests)
        store, rows = stores.open(ADDRESS, config.objects), (0, 128)
        store.read_many(["raw", "features"], [rows])
        # The indexes are kept now. No chunk is sent before so many are asked for.
        wire.await_requests(requests)
        store.read_many(["raw", "features"], [rows])
        # An answer may be read, and the next request made, before the wire has counted it out.
        assert requests <= wire.most_in_flight <= 2 * requests


def test_reading_takes_about_the_requests_that_the_plan_says(
    wire: Wire, tiny_config: Config, tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_store(tiny_store, wire.server)
    # So small, that shards of raw windows and features are not read whole.
    monkeypatch.setattr("headrace.stores.shards.reader.WHOLE_SHARD", 1024)
    config = reached(tiny_config, wire.endpoint)
    store = stores.open(ADDRESS, config.objects)
    said = scale_of(store.manifest, store.windows, 1, None)
    wire.counts.clear()
    store.read_many(["raw", "features", "label", "source_index"], [(0, store.windows)])
    asked = {array: number for (_, array), number in wire.counts.items()}
    # An answer that got lost is asked for again.
    assert said.epoch_reads <= sum(wire.counts.values()) <= 1.5 * said.epoch_reads, asked
    written = sum(1 for path in tiny_store.rglob("c.*")) + store.manifest.shards
    assert said.written_objects == written


def test_what_was_read_is_kept_on_disk_and_never_believed(
    wire: Wire,
    tiny_config: Config,
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy_store(tiny_store, wire.server)
    monkeypatch.setattr("headrace.stores.shards.reader.WHOLE_SHARD", 1024)
    cache = {"cache": "4MB", "cache_folder": str(tmp_path / "cache")}
    config = reached(tiny_config, wire.endpoint, **cache)
    names = ["raw", "features", "label"]
    expected = stores.open(tiny_store).read_many(names, [(0, 530)])

    def asked() -> int:
        before = sum(number for (method, array), number in wire.counts.items() if array)
        found = stores.open(ADDRESS, config.objects).read_many(names, [(0, 530)])
        for name in names:
            np.testing.assert_array_equal(found[name], expected[name])
        return sum(number for (method, array), number in wire.counts.items() if array) - before

    first, second = asked(), asked()
    assert first > 60
    # What is left is the sizes of the shards whose indexes are wanted.
    assert second <= 2 * 9
    kept = [path for path in (tmp_path / "cache").rglob("c.*") if path.stat().st_size > 2000]
    for path in kept:
        content = bytearray(path.read_bytes())
        content[1000] ^= 1
        path.write_bytes(content)
    assert second < asked() < first
    assert asked() <= 2 * 9
    held = sum(path.stat().st_blocks * 512 for path in (tmp_path / "cache").rglob("*"))
    assert 300_000 < held < 4_000_000
    # A smaller room holds less, and says nothing; what else stands there is not touched.
    others = tmp_path / "small" / "thesis", tmp_path / "small" / "chunks" / "mine"
    for other in others:
        other.mkdir(parents=True)
        (other / "text").write_bytes(bytes(200))
    small = {"cache": "100KB", "cache_folder": str(tmp_path / "small")}
    config = reached(tiny_config, wire.endpoint, **small)
    asked()
    held = sum(
        path.stat().st_blocks * 512 for path in (tmp_path / "small").rglob("*") if path.is_file()
    )
    assert 20_000 < held <= 120_000
    assert all((other / "text").exists() for other in others)
    assert asked() > 20


def test_an_object_is_read_as_its_file(server: S3Server) -> None:
    content = random.Random(1).randbytes(16_000_000)
    (server.bucket / "file.bin").write_bytes(content)
    config = reached(Config(), server.endpoint)
    path = at(f"s3://{BUCKET}/file.bin", config)
    assert isinstance(path, ObjectPath)
    file, chance = ObjectFile(path), random.Random(2)
    for turn in range(300):
        if turn % 10 == 5:
            spans = [(start := chance.randrange(15_900_000), start + 5_000) for _ in range(5)]
            file.fetch(spans)
            for start, stop in spans:
                file.seek(start)
                assert file.read(stop - start) == content[start:stop]
        start, length = chance.randrange(16_000_000), chance.choice([1, 100, 300_000, 5_000_000])
        file.seek(start)
        assert file.read(length) == content[start : start + length]
    assert b"".join(path.parts()) == content
    assert path.read_range(15_999_990, 100) == content[-10:]


def test_a_list_that_is_cut_off_is_complete(wire: Wire) -> None:
    folder = wire.server.bucket / "many"
    folder.mkdir()
    names = [f"{number:05}" for number in range(2100)]
    for name in names:
        (folder / name).touch()
    path = at(f"s3://{BUCKET}/many", reached(Config(), wire.endpoint))
    assert isinstance(path, ObjectPath)
    cut: list[str] = []

    def fault(method: str, asked: str) -> str | None:
        # The second page, and then what is asked for in its place.
        if "list-type" not in asked or len(cut) > 3:
            return None
        cut.append(asked)
        return "cut" if len(cut) in (1, 3) else None

    wire.fault = fault
    assert [name for name, _ in path.below()] == names
    assert len(cut) > 3
    path.remove(names[:-1])
    assert [name for name, _ in path.below()] == names[-1:]


@pytest.mark.usefixtures("made_here")
def test_a_mending_that_fails_leaves_the_store(
    server: S3Server, tiny_config: Config, tiny_source: Path, tiny_store: Path, tmp_path: Path
) -> None:
    copy_store(tiny_store, server)
    (server.bucket / "tiny.zarr" / "label" / "c.7").unlink()
    server.look_again()
    before = hashes(server.bucket / "tiny.zarr")
    config = reached(tiny_config, server.endpoint)
    data = tmp_path / "tiny.h5"
    data.write_bytes(tiny_source.read_bytes())

    make_missing = features._make_missing

    def touching(*given: Any) -> None:
        os.utime(data)
        make_missing(*given)

    request = request_for(config, data, at(ADDRESS, config))
    with patch.object(features, "_make_missing", touching), refused(SourceContentError, "tiny.h5"):
        run_repair(request, "checksums")
    assert hashes(server.bucket / "tiny.zarr") == before
    made = run_repair(request_for(config, data, at(ADDRESS, config)), "checksums")
    assert made["made_shards"] == 1
    assert hashes(server.bucket / "tiny.zarr") == hashes(tiny_store)
    # What has lost its last object is damaged, and is mended too.
    (server.bucket / "tiny.zarr" / "zarr.json").unlink()
    server.look_again()
    run_repair(request_for(config, data, at(ADDRESS, config)), "checksums")
    assert hashes(server.bucket / "tiny.zarr") == hashes(tiny_store)


def test_builds_with_other_plans_share_no_object(tiny_store: Path) -> None:
    manifest = stores.open(tiny_store).manifest
    target = place_of(ADDRESS)
    one, other = (site_of(target).build(manifest.model_copy(update={"level": n})) for n in (1, 2))
    assert one.folder == other.folder
    assert one.work != other.work


FAULTS: dict[str, tuple[type[UserError] | None, *tuple[str, ...]]] = {
    "inspect --store s3://nobody/none.zarr": (StoreError, "s3://nobody/none.zarr"),
    f"inspect --store s3://{BUCKET}/none.zarr": (StoreError, f"s3://{BUCKET}/none.zarr"),
    f"features --data s3://{BUCKET}/none/*.csv": (CommandError, "none/*.csv", "--data"),
    f"features --data s3://{BUCKET}/none.h5": (CommandError, f"s3://{BUCKET}/none.h5", "--data"),
    f"features --data s3://{BUCKET}/text.h5": (SourceError, f"s3://{BUCKET}/text.h5", "HDF5"),
    f"features --data s3://{BUCKET}/text.h5 --store {ADDRESS}": (
        SourceError,
        f"s3://{BUCKET}/text.h5",
        "HDF5",
    ),
    f"inspect --store s3://{BUCKET}": (None, "--store", "SCHEME://BUCKET/NAME"),
    f"inspect --store s3://{BUCKET}/a/../b": (None, "--store", "SCHEME://BUCKET/NAME"),
    f"train --run s3://{BUCKET}/run": (None, "--run"),
    f"inspect --store {ADDRESS} --set objects.endpoint=http://127.0.0.1:1": (
        ObjectStoreError,
        "http://127.0.0.1:1",
    ),
    f"inspect --store {ADDRESS} --set objects.options.nonsense=1": (
        ObjectStoreError,
        "objects.options",
        "nonsense",
    ),
}


@pytest.mark.parametrize("command", FAULTS)
def test_a_fault_is_said_in_one_line(
    command: str,
    server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    (server.bucket / "text.h5").write_text("no HDF5")
    try:
        code = main([*command.split(), "--set", "objects.retry_seconds=0.5"])
    except SystemExit as error:
        code = int(error.code or 0)
    said = capsys.readouterr().err
    assert code == 2
    assert said.count("\n") == 1
    kind, *named = FAULTS[command]
    assert_refused(said, kind, *named)


def test_credentials_are_looked_for_where_they_usually_are(
    server: S3Server,
    tiny_config: Config,
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy_store(tiny_store, server)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with refused(ObjectStoreError, "s3://recordings", "AWS_ACCESS_KEY_ID"):
        stores.open(ADDRESS, reached(tiny_config, server.endpoint, requests=3).objects)
    (tmp_path / ".aws").mkdir()
    keys = f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    (tmp_path / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    options = reached(tiny_config, server.endpoint, requests=4).objects
    pytest.importorskip("boto3")
    assert stores.open(ADDRESS, options).windows == 530


def test_a_file_may_be_named_by_an_address(tiny_store: Path, tmp_path: Path) -> None:
    spaced = tmp_path / "my store.zarr"
    spaced.symlink_to(tiny_store)
    assert stores.open(f"file://{tmp_path}/my%20store.zarr").path == spaced
    assert object_path(str(tiny_store)) is None


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_whole_stages_over_a_faulty_wire_end_with_the_same_bits(
    wire: Wire, tiny_source: Path, tiny_store: Path, tmp_path: Path
) -> None:
    (wire.server.bucket / "tiny.h5").write_bytes(tiny_source.read_bytes())
    wire.fail(0.1)
    wire.latency = 0.01
    objects = {"endpoint": wire.endpoint, "timeout_seconds": 5.0}
    logs = {}
    for name, data, store in (
        ("far", f"s3://{BUCKET}/tiny.h5", ADDRESS),
        ("near", str(tiny_source), str(tiny_store)),
    ):
        config = tmp_path / f"{name}.toml"
        config.write_text(tomli_w.dumps({"name": "tiny", **SMALL, "objects": objects}))
        for stage in ("features", "train", "evaluate", "verify"):
            command = [sys.executable, "-m", "headrace", stage, "--config", str(config), "--quiet"]
            command += ["--data", data, "--store", store, "--run", str(tmp_path / name)]
            done = subprocess.run(command, cwd=tmp_path, env=os.environ, check=False)
            assert done.returncode == 0, (name, stage)
        rows = (tmp_path / name / "log.csv").read_text().splitlines()
        logs[name] = [row.split(",")[:6] for row in rows]
    assert hashes(wire.server.bucket / "tiny.zarr") == hashes(tiny_store)
    assert logs["far"] == logs["near"]
