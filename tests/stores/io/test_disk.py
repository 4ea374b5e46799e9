"""Writing whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.stores.errors import DiskError
from headrace.stores.io.disk import make_folder, write_bytes
from tests.refusals import refused


def test_parts_stand_one_after_another_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    assert write_bytes(path, [b"one", bytearray(b"two"), memoryview(b"three")]) == 11
    assert path.read_bytes() == b"onetwothree"
    assert os.listdir(path.parent) == ["file"]


def test_a_failure_half_way_leaves_the_old_content_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def parts() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        write_bytes(path, parts())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_the_users_to_mend() -> None:
    with refused(DiskError, "/proc/nowhere"):
        write_bytes(Path("/proc/nowhere"), b"x")


def test_folders_that_exist_are_left_alone(tmp_path: Path) -> None:
    make_folder(tmp_path)
    make_folder(tmp_path / "x" / "y")
    assert (tmp_path / "x" / "y").is_dir()
