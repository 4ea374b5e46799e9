"""Compiled kernels are found again, and never once anything they were made of has changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.compiled import cache


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two kernel files, in the place of the catalogue's."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "kernels.py").write_text("from constants import PLACE\n")
    (folder / "constants.py").write_text("PLACE = 1\n")
    monkeypatch.setattr(cache, "_SOURCES", folder)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    cache.cache_folder.cache_clear()
    yield folder
    cache.cache_folder.cache_clear()


MISSES = """
import numpy as np
from numba.core.dispatcher import Dispatcher
from headrace.compiled import cache
from headrace.pipeline.catalogue import Triad, build_catalogue, engine, fourier
from headrace.pipeline.catalogue import spectral, statistical, temporal, triads
print(cache.kernels_are_cached())
triad = Triad("acc", (0, 1, 2), accelerometer=True)
for time in (64, 128):  # A jerk of 127 samples takes the direct sums.
    catalogue = build_catalogue(("x", "y", "z"), 50.0, time, (triad,))
    for dtype in (np.float32, np.float64):
        catalogue.extract(np.random.default_rng(0).normal(size=(3, time, 3)).astype(dtype))
modules = (engine, fourier, spectral, statistical, temporal, triads)
kernels = {f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
print(sum(sum(f.stats.cache_misses.values()) for f in kernels))
print(sum(sum(f.stats.cache_hits.values()) for f in kernels) > len(kernels) // 2)
"""


@pytest.mark.faults
def test_what_is_compiled_once_is_found_by_every_later_process(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def run(code: str) -> list[str]:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    run("from headrace.pipeline.catalogue.warm import warm_up; warm_up()")
    assert run(MISSES) == ["True", "0", "True"]
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["kernels"]


def test_kernels_count_as_cached_when_they_are_marked(sources: Path) -> None:
    assert not cache.kernels_are_cached()
    cache.mark_cached()
    assert cache.kernels_are_cached()
    assert cache.cache_folder().parent == sources / "__pycache__"


def test_a_constant_of_another_file_makes_the_code_stale(sources: Path) -> None:
    cache.mark_cached()
    before = cache.cache_folder()
    (sources / "constants.py").write_text("PLACE = 2\n")
    cache.cache_folder.cache_clear()
    assert not cache.kernels_are_cached()
    assert cache.cache_folder() != before
    cache.mark_cached()
    assert before.exists()


def test_another_place_makes_the_code_stale(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "shared"))
    cache.mark_cached()
    monkeypatch.setattr(cache, "_SOURCES", sources.rename(tmp_path / "moved"))
    cache.cache_folder.cache_clear()
    assert not cache.kernels_are_cached()


def test_what_was_left_long_ago_is_removed(sources: Path) -> None:
    cache.mark_cached()
    before = cache.cache_folder()
    long_ago = time.time() - cache.KEPT_SECONDS - 60
    os.utime(before, (long_ago, long_ago))
    (sources / "constants.py").write_text("PLACE = 3\n")
    cache.cache_folder.cache_clear()
    cache.mark_cached()
    assert not before.exists()


def test_another_numba_or_processor_makes_the_code_stale(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {cache.cache_folder()}
    monkeypatch.setattr(cache, "version", lambda name: "0.0")
    cache.cache_folder.cache_clear()
    found.add(cache.cache_folder())
    monkeypatch.setattr(cache, "_processor", lambda: "another")
    cache.cache_folder.cache_clear()
    found.add(cache.cache_folder())
    assert len(found) == 3


def test_an_installation_that_cannot_be_written_uses_the_users_cache(
    sources: Path, tmp_path: Path
) -> None:
    (sources / "__pycache__").write_text("")
    assert cache.cache_folder().parent == tmp_path / "users" / "headrace"
    cache.mark_cached()
    assert cache.kernels_are_cached()


def test_numbas_own_setting_is_followed(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert cache.cache_folder().parent == tmp_path / "chosen"
