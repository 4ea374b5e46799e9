"""Compiled kernels are found again, and never once anything they were made of has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.catalogue import kernel_cache


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two kernel files, in the place of the catalogue's."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "kernels.py").write_text("from constants import PLACE\n")
    (folder / "constants.py").write_text("PLACE = 1\n")
    monkeypatch.setattr(kernel_cache, "_SOURCES", folder)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    kernel_cache.cache_folder.cache_clear()
    yield folder
    kernel_cache.cache_folder.cache_clear()


def test_kernels_count_as_cached_once_all_are_compiled(sources: Path) -> None:
    assert not kernel_cache.kernels_are_cached()
    kernel_cache.mark_cached()
    assert kernel_cache.kernels_are_cached()
    assert kernel_cache.cache_folder().parent == sources / "__pycache__"


def test_a_constant_of_another_file_makes_the_code_stale(sources: Path) -> None:
    kernel_cache.mark_cached()
    before = kernel_cache.cache_folder()
    (sources / "constants.py").write_text("PLACE = 2\n")
    kernel_cache.cache_folder.cache_clear()
    assert not kernel_cache.kernels_are_cached()
    assert kernel_cache.cache_folder() != before
    kernel_cache.mark_cached()
    assert not before.exists()


def test_another_numba_or_processor_makes_the_code_stale(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {kernel_cache.cache_folder()}
    monkeypatch.setattr(kernel_cache, "version", lambda name: "0.0")
    kernel_cache.cache_folder.cache_clear()
    found.add(kernel_cache.cache_folder())
    monkeypatch.setattr(kernel_cache, "_processor", lambda: "another")
    kernel_cache.cache_folder.cache_clear()
    found.add(kernel_cache.cache_folder())
    assert len(found) == 3


def test_an_installation_that_cannot_be_written_uses_the_users_cache(
    sources: Path, tmp_path: Path
) -> None:
    (sources / "__pycache__").write_text("")
    assert kernel_cache.cache_folder().parent == tmp_path / "users" / "headrace"
    kernel_cache.mark_cached()
    assert kernel_cache.kernels_are_cached()


def test_numbas_own_setting_is_followed(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert kernel_cache.cache_folder().parent == tmp_path / "chosen"
