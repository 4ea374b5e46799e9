"""Shards made by a Dask cluster of real processes: the same bytes, whatever becomes of them."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numcodecs
import psutil
import pytest
import tomli_w
from distributed import Client

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.sections import ClusterOptions
from headrace.pipeline.console import QUIET
from headrace.pipeline.features.plan import plan_build
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.repair.verify import run_verify
from headrace.pipeline.workers import cluster
from headrace.pipeline.workers.cluster import WorkerNeed
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import BudgetError, ClusterError
from headrace.stores.io.places import place_of
from headrace.stores.source.source import open_source
from tests.conftest import ROOT, SMALL, changed, hashes, request_for
from tests.in_process import store_here
from tests.pipeline.faults import finished
from tests.pipeline.object_server import BUCKET, KEY, SECRET, S3Server, free_port
from tests.refusals import refused

LIMIT = "600MB"
"""Of a worker: the default geometry has to do with it."""

Start = Callable[..., subprocess.Popen[bytes]]


@contextmanager
def processes(folder: Path) -> Iterator[Start]:
    """Start `dask scheduler` or `dask worker`; all end with the block."""
    started: list[subprocess.Popen[bytes]] = []
    log = (folder / "dask.log").open("wb")

    def begin(*arguments: str, before: tuple[str, ...] = (), path: str = "") -> Any:
        command = [*before, sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
        search = os.pathsep.join(filter(None, [path, str(ROOT)]))
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": search},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        end(process)
    log.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes that end with the test."""
    with processes(tmp_path) as begin:
        yield begin


@pytest.fixture(scope="module")
def one_scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a scheduler that many tests send their workers to."""
    port = free_port()
    with processes(tmp_path_factory.mktemp("scheduler")) as begin:
        scheduler(begin, port)
        yield f"tcp://127.0.0.1:{port}"


@pytest.fixture
def address(one_scheduler: str) -> str:
    """Address of a scheduler that knows no worker: it has seen those of other tests end."""
    with Client(one_scheduler) as client:
        wait_until(lambda: not client.scheduler_info()["workers"])
    return one_scheduler


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def scheduler(start: Start, port: int) -> subprocess.Popen[bytes]:
    process = start("scheduler", "--host", "127.0.0.1", "--port", str(port))
    wait_until(lambda: answers(port))
    return process


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def worker(start: Start, address: str, *more: str, **how: Any) -> subprocess.Popen[bytes]:
    options = ("--nthreads", "1", "--memory-limit", LIMIT)
    return start("worker", address, *(more or options), **how)


ALONE = ("--nthreads", "1", "--memory-limit", LIMIT, "--no-nanny")
"""One process for each worker, where it is all the same who starts a dead one anew."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many windows as make 150 shards."""
    path = tmp_path_factory.mktemp("source") / "many.h5"
    write_synthetic(path, windows=9600, time=64, channels=3, groups=8)
    return path


@pytest.fixture(scope="module")
def whole(source: Path, tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that no cluster made."""
    target = tmp_path_factory.mktemp("whole") / "many.zarr"
    store_here(request_for(tiny_config, source, target))
    return target


def features(folder: Path, source: Path, address: str) -> subprocess.Popen[str]:
    """The stage, in a process of its own."""
    config = folder / "tiny.toml"
    config.write_text(tomli_w.dumps({**SMALL, "name": "tiny"}))
    command = [sys.executable, "-m", "headrace", "features", "--config", str(config)]
    command += ["--data", str(source), "--store", str(folder / "many.zarr")]
    return subprocess.Popen(
        [*command, "--scheduler", address],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(true: Callable[[], bool], stage: subprocess.Popen[str] | None = None) -> None:
    for _ in range(36_000):
        if true():
            return
        assert stage is None or stage.poll() is None, stage.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def need_of(config: Config, source: Path) -> WorkerNeed:
    with open_source(source, config.source) as opened:
        return plan_build(config, opened, QUIET).need


def peak_resident(nanny: subprocess.Popen[bytes]) -> int:
    """Bytes of the worker process that a nanny holds, at its peak."""
    peaks = []
    for process in psutil.Process(nanny.pid).children(recursive=True):
        status = Path(f"/proc/{process.pid}/status").read_text()
        peaks.append(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10)
    return max(peaks)


def test_a_cluster_makes_the_same_bytes(
    start: Start,
    address: str,
    tiny_config: Config,
    tiny_source: Path,
    tiny_store: Path,
    tmp_path: Path,
) -> None:
    one = worker(start, address)
    two = worker(start, address, "--nthreads", "2", "--memory-limit", "800MB")
    target = tmp_path / "tiny.zarr"
    config = changed(tiny_config, cluster={"scheduler": address})
    found = run_features(request_for(config, tiny_source, target))
    for process, threads in ((one, 1), (two, 2)):
        assert peak_resident(process) <= 0.8 * need_of(config, tiny_source).limit(threads)
    assert hashes(target) == hashes(tiny_store)
    # The budget bounds this process alone.
    assert found["memory"]["projected"] < 200 << 20
    assert run_verify(request_for(config, tiny_source, target), with_source=True)["problems"] == []
    # The same workers make another store of the same name: nothing of the first is kept.
    shutil.rmtree(target)
    other = changed(config, store={"seed": 7})
    run_features(request_for(other, tiny_source, target))
    assert hashes(target) != hashes(tiny_store)
    assert run_verify(request_for(other, tiny_source, target), with_source=True)["problems"] == []


def test_workers_that_die_and_join_change_no_byte(
    start: Start, address: str, source: Path, whole: Path, tmp_path: Path
) -> None:
    first = worker(start, address)
    stage, target = features(tmp_path, source, address), tmp_path / "many.zarr"
    wait_until(lambda: len(finished(target)) > 3, stage)
    end(first)
    worker(start, address)
    said = stage.communicate()[0]
    assert stage.returncode == 0, said
    assert hashes(target) == hashes(whole)
    assert sorted(path.name for path in tmp_path.glob("many*")) == ["many.zarr", *MEMORY]


MEMORY = ["many.zarr.memory.json"]


@pytest.mark.faults
def test_a_scheduler_that_is_started_again_changes_no_byte(
    start: Start, source: Path, whole: Path, tmp_path: Path
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    old = [scheduler(start, port), worker(start, address)]
    stage, target = features(tmp_path, source, address), tmp_path / "many.zarr"
    wait_until(lambda: len(finished(target)) > 3, stage)
    for process in old:
        end(process)
    kept = len(finished(target))
    scheduler(start, port)
    worker(start, address)
    said = stage.communicate()[0]
    assert stage.returncode == 0, said
    assert 3 < kept < 150
    assert hashes(target) == hashes(whole)


@pytest.mark.faults
def test_a_worker_with_too_little_memory_is_refused(
    start: Start, tiny_config: Config, tiny_source: Path, tmp_path: Path
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler(start, port)
    # Without a nanny, which starts it anew whenever it takes too much.
    worker(start, address, "--nthreads", "1", "--memory-limit", "100MB", "--no-nanny")
    config = changed(tiny_config, cluster={"scheduler": address})
    request = request_for(config, tiny_source, tmp_path / "tiny.zarr")
    # One that Dask has ended by now cannot be asked for its limit.
    with pytest.raises(ClusterError, match=r"--memory-limit \d+ MiB"):
        run_features(request)
    alone = changed(tiny_config, cluster={"memory_limit": "100MB"})
    with refused(BudgetError, "cluster.memory_limit", "95.4 MiB"):
        run_features(request_for(alone, tiny_source, tmp_path / "tiny.zarr"))


def test_workers_that_would_write_other_bytes_are_refused(
    start: Start, address: str, tiny_config: Config, tiny_source: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "numcodecs-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numcodecs\nVersion: 0.0.1\n")
    worker(start, address, *ALONE, path=str(other.parent))
    config = changed(tiny_config, cluster={"scheduler": address})
    with refused(ClusterError, "numcodecs", "0.0.1", numcodecs.__version__):
        run_features(request_for(config, tiny_source, tmp_path / "tiny.zarr"))


def test_workers_that_do_not_see_the_store_are_refused(
    start: Start, address: str, tiny_config: Config, tiny_source: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    hidden = ("unshare", "--mount", "bash", "-c", f'mount -t tmpfs none {shared} && "$@"', "bash")
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root hides a folder from a process")
    worker(start, address, *ALONE, before=hidden)
    config = changed(tiny_config, cluster={"scheduler": address})
    with refused(ClusterError, "tiny.zarr"):
        run_features(request_for(config, tiny_source, shared / "tiny.zarr"))


def test_a_scheduler_that_is_not_there_is_refused(
    tiny_config: Config, tiny_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2.0)
    config = changed(tiny_config, cluster={"scheduler": f"tcp://127.0.0.1:{free_port()}"})
    with refused(cluster.NoScheduler, str(config.cluster.scheduler)):
        run_features(request_for(config, tiny_source, tmp_path / "tiny.zarr"))


@pytest.mark.parametrize("scheme", ["tls", pytest.param("tcp", marks=pytest.mark.cases)])
def test_a_client_that_cannot_connect_is_closed_at_once(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One that is left to the garbage collector may hang where the next one starts.
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    options = ClusterOptions(scheduler=f"{scheme}://127.0.0.1:{free_port()}")
    gc.collect()
    loops = [thread.name for thread in threading.enumerate()].count("IO loop")
    gc.disable()
    try:
        with pytest.raises(ClusterError), cluster.remote_client(options):
            pass
        left = [each for each in gc.get_objects() if isinstance(each, Client)]
    finally:
        gc.enable()
    assert [client.status for client in left] == ["closed"] * len(left)
    assert [thread.name for thread in threading.enumerate()].count("IO loop") == loops


def certificates(folder: Path) -> tuple[str, str]:
    """A certificate that signs itself, and its key."""
    key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=headrace", "-keyout", key, "-out", certificate]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.mark.cases
def test_a_cluster_behind_tls_wants_its_certificates(
    start: Start,
    tiny_config: Config,
    tiny_source: Path,
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate, key = certificates(tmp_path)
    tls = ("--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--protocol", "tls", *tls)
    worker(start, address, *ALONE, *tls)
    named = {"tls_ca_file": certificate, "tls_certificate": certificate, "tls_key": key}
    config = changed(tiny_config, cluster={"scheduler": address, **named})
    run_features(request_for(config, tiny_source, tmp_path / "tiny.zarr"))
    assert hashes(tmp_path / "tiny.zarr") == hashes(tiny_store)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2.0)
    bare = changed(tiny_config, cluster={"scheduler": address})
    with refused(cluster.NoScheduler, "cluster.tls_*"):
        run_features(request_for(bare, tiny_source, tmp_path / "again.zarr"))


def test_workers_and_objects_are_all_that_a_store_needs(
    start: Start,
    address: str,
    tiny_config: Config,
    tiny_source: Path,
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    server = S3Server(tmp_path / "objects")
    try:
        (server.bucket / "tiny.h5").write_bytes(tiny_source.read_bytes())
        worker(start, address, *ALONE)
        objects, reached = {"endpoint": server.endpoint}, {"scheduler": address}
        config = changed(tiny_config, cluster=reached, objects=objects)
        data, store = (
            place_of(f"s3://{BUCKET}/{name}", config.objects) for name in ("tiny.h5", "tiny.zarr")
        )
        request = request_for(config, data, store)
        run_features(request)
        assert hashes(server.bucket / "tiny.zarr") == hashes(tiny_store)
        assert run_verify(request, with_source=True)["problems"] == []
        assert sorted(path.name for path in server.bucket.iterdir()) == ["tiny.h5", "tiny.zarr"]
    finally:
        server.stop()


@pytest.fixture
def network() -> Iterator[str]:
    """A network namespace with one wire to this one: 198.51.100.1 here, .2 there."""
    name = f"hr{os.getpid()}"
    here, there = f"{name}a", f"{name}b"
    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root makes a network")
    try:
        for line in (
            f"ip link add {here} type veth peer name {there} netns {name}",
            f"ip addr add 198.51.100.1/24 dev {here}",
            f"ip link set {here} up",
            f"ip -n {name} addr add 198.51.100.2/24 dev {there}",
            f"ip -n {name} link set {there} up",
            f"ip -n {name} link set lo up",
        ):
            subprocess.run(line.split(), check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.mark.cases
def test_a_worker_on_another_network_makes_the_same_bytes(
    start: Start,
    network: str,
    tiny_config: Config,
    tiny_source: Path,
    tiny_store: Path,
    tmp_path: Path,
) -> None:
    port = free_port()
    address = f"tcp://198.51.100.1:{port}"
    start("scheduler", "--host", "198.51.100.1", "--port", str(port))
    worker(
        start, address, *ALONE, "--host", "198.51.100.2", before=("ip", "netns", "exec", network)
    )
    config = changed(tiny_config, cluster={"scheduler": address})
    run_features(request_for(config, tiny_source, tmp_path / "tiny.zarr"))
    assert hashes(tmp_path / "tiny.zarr") == hashes(tiny_store)
