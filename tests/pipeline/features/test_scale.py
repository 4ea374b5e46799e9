"""What more windows and more workers take, on paper: held against a store that stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace import stores
from headrace.pipeline.cli.main import main
from headrace.pipeline.features.scale import TASK_SECONDS, scale_of
from headrace.pipeline.memory.measured import keep_rate, known_rate
from headrace.stores.shards.array_format import ArrayFormat
from tests.refusals import assert_names


def plain_bytes(table: ArrayFormat) -> int:
    return table.rows * table.row_bytes


def test_the_arithmetic_is_that_of_the_store_that_stands(tiny_store: Path) -> None:
    store = stores.open(tiny_store)
    manifest = store.manifest
    found = scale_of(manifest, manifest.windows, 2, 100.0)
    assert found.shards == manifest.shards
    assert found.store_bytes == sum(
        array.row_bytes * manifest.windows for array in manifest.arrays()
    )
    # The borders of folds that fall on a shard's own cut nothing.
    tables = sum(plain_bytes(table) for table in manifest.tables())
    assert tables <= found.manifest_bytes <= 1.1 * tables
    assert found.seconds == manifest.windows / 200
    assert scale_of(manifest, manifest.windows, 4, 100.0).seconds == manifest.windows / 400


def test_a_thousand_million_windows_are_a_page_of_manifest_a_shard(tiny_store: Path) -> None:
    manifest = stores.open(tiny_store).manifest.model_copy(update={"shard": 8192})
    found = scale_of(manifest, 10**9, 16, 20_000.0)
    assert found.shards == 122_071
    assert found.manifest_bytes < 8192 * found.shards
    assert found.seconds == pytest.approx(10**9 / 16 / 20_000)
    many = scale_of(manifest, 10**9, 100_000, 20_000.0)
    assert many.seconds == found.shards * TASK_SECONDS


def test_the_plan_says_what_workers_would_take(
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    manifest = stores.open(tiny_store).manifest
    line = ["plan", "--store", str(tiny_store), "--workers", "3", "--windows", "1000000"]
    assert main([*line, "--json"]) == 0
    scale = json.loads(capsys.readouterr().out)["scale"]
    assert (scale["workers"], scale["windows"], scale["measured"]) == (3, 10**6, False)
    assert known_rate(manifest) is None
    keep_rate(manifest, 1234.4)
    assert main(line) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert_names(said, "1,000,000", "3", "4 min 30 s", "1,234")
    assert_names(said, f"{scale['written_objects']:,}", f"{scale['epoch_reads']:,}")
