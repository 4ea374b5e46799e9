"""What is seen while a stage runs: bars on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from headrace.pipeline import console
from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.memory.plan import MIB
from headrace.pipeline.memory.watch import MemoryUse
from headrace.pipeline.request import Request
from headrace.pipeline.workers.run import local_client
from tests.conftest import ROOT, changed

LINE = (
    r"^\d\d:\d\d:\d\d features: 30 of 90 windows, 2\.93 KiB, [\d,]+ windows/s, \d+ s left, "
    r"512 MiB of 1 GiB held$"
)


def test_lines_say_rate_time_left_and_memory_against_the_budget(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOG_SECONDS", 0.0)
    use = MemoryUse(held=512 * MIB, budget=1024 * MIB)
    with Console(memory=use).progress("features", 90, 100) as progress:
        progress.advance(30)
        said = capsys.readouterr()
        progress.advance(60)
    assert re.search(LINE, said.err)
    assert said.out == ""
    assert "90 of 90" in capsys.readouterr().err
    with Console().progress("epoch 1/2", 90, 100, passing=True) as progress:
        progress.advance(90)
    assert capsys.readouterr().err == ""
    # Tracing comes before the first batch: a line says that it is over.
    monkeypatch.setattr(console, "LOG_SECONDS", 60.0)
    monkeypatch.setattr(console, "SLOW_BEGINNING", 0.0)
    with Console().progress("epoch 1/2", 90, 100, passing=True) as progress:
        for _ in range(3):
            progress.advance(30)
    (line,) = capsys.readouterr().err.splitlines()
    assert "30 of 90" in line
    with Console(quiet=True, memory=use).progress("features", 90, 100) as progress:
        progress.advance(90)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_and_a_pipe_the_text(tmp_path: Path) -> None:
    """Standard error is a terminal, standard output a pipe, as with `| tee log`."""
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "headrace", "synth", "--windows", "3000", "--output", "s.h5"]
    root = ROOT
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root), "TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    seen = b""
    while part := _rest(terminal):
        seen += part
    os.close(terminal)
    assert done.stdout == b"s.h5: 3,000 windows of 128 x 9\n"
    assert b"synth" in seen
    assert "━".encode() in seen


def _rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Nobody writes to it any more.
        return b""


def test_the_budget_is_known_once_a_stage_has_planned(
    tiny_store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOG_SECONDS", 0.0)
    assert main(["verify", "--store", str(tiny_store), "--budget", "1GiB"]) == 0
    assert re.search(r"windows/s, .* [MG]iB of 1 GiB held", capsys.readouterr().err)


@pytest.mark.faults
def test_dasks_dashboard_runs_and_its_link_is_said(
    tiny_config: Config, tiny_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with local_client(1) as client, urlopen(client.dashboard_link, timeout=1800) as page:
        assert page.status == 200
        assert b"bokeh" in page.read().lower()
    config = changed(tiny_config, features={"workers": 1})
    run_features(Request(config, tiny_source, tmp_path / "tiny.zarr", None, Console()))
    assert re.search(r"Dask dashboard: http://127\.0\.0\.1:\d+/status", capsys.readouterr().out)
