"""The verify stage finds what is wrong with a store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import Config
from pipeline.inspect import run_inspect
from pipeline.verify import run_verify
from stores.errors import UserError
from tests.conftest import request_for


def test_a_true_store_has_no_problem(tiny_store: Path, tiny_config: Config) -> None:
    summary = run_verify(request_for(tiny_config, None, tiny_store))
    assert summary["problems"] == []
    assert summary["windows"] == 530


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def edit_metadata(store: Path) -> None:
    path = store / "raw" / "zarr.json"
    metadata = json.loads(path.read_bytes())
    metadata["attributes"]["units"] = ["m"] * 3
    path.write_text(json.dumps(metadata))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "raw/c.3.0.0 has another checksum": lambda store: flip(store / "raw" / "c.3.0.0", 100),
    "features/c.0.0 has another checksum": lambda store: flip(store / "features" / "c.0.0", -3),
    "label/c.2 is missing": lambda store: (store / "label" / "c.2").unlink(),
    "group/c.1 has another checksum": lambda store: shutil.copy(
        store / "group" / "c.4", store / "group" / "c.1"
    ),
    "raw/zarr.json differs": edit_metadata,
    "raw/c.99.0.0 does not belong": lambda store: shutil.copy(
        store / "raw" / "c.0.0.0", store / "raw" / "c.99.0.0"
    ),
    "manifest/class_counts/c.0.0 has another": lambda store: flip(
        store / "manifest" / "class_counts" / "c.0.0", 20
    ),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damage_is_found_and_named(
    message: str, tiny_store: Path, tiny_config: Config, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.zarr"
    shutil.copytree(tiny_store, damaged)
    DAMAGE[message](damaged)
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        run_verify(request_for(tiny_config, None, damaged))


def test_no_store_and_a_newer_format_are_named(
    tiny_store: Path, tiny_config: Config, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="There is no store"):
        run_verify(request_for(tiny_config, None, tmp_path / "none.zarr"))
    newer = tmp_path / "newer.zarr"
    shutil.copytree(tiny_store, newer)
    path = newer / "manifest" / "zarr.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(UserError, match="store format 2; this version reads up to 1"):
        run_verify(request_for(tiny_config, None, newer))


def test_inspect_describes_every_fold(tiny_store: Path, tiny_config: Config) -> None:
    summary = run_inspect(request_for(tiny_config, None, tiny_store))
    assert summary["windows"] == sum(fold["windows"] for fold in summary["folds"]) == 530
    assert [array["name"] for array in summary["arrays"]][:2] == ["raw", "features"]
    assert json.dumps(summary)
