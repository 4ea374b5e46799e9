"""What `benchmarks.stretches_peers` compares: the same windows, and memory of whole processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from benchmarks import stretches_peers
from benchmarks.cut_peers import Cut
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.pipeline.features.test_stretches import write_signals

TIME, STEP = 64, 16


def test_peers_are_given_the_signals_that_the_windows_of_the_store_are_cut_from(
    tmp_path: Path,
) -> None:
    write_signals(tmp_path / "r.h5", [400, 90, 47, 512])
    cut = Cut(tmp_path / "r.h5", TIME, STEP, 100)
    given = np.concatenate(
        [
            np.lib.stride_tricks.sliding_window_view(signals, TIME, 0)[::STEP].swapaxes(1, 2)
            for signals, _ in cut.recordings()
        ]
    )
    options = SourceOptions(window_samples=TIME, step_samples=STEP, label_rule="majority")
    with open_source(cut.source, options) as source:
        np.testing.assert_array_equal(given * cut.scale(), source.read_windows(0, source.windows))


def test_what_a_process_holds_is_counted() -> None:
    before = stretches_peers.held(multiprocessing.current_process())
    more = np.ones(2**26, np.uint8)
    assert stretches_peers.held(multiprocessing.current_process()) - before >= more.nbytes * 0.9


def test_the_benchmark_says_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["stretches_peers", "--help"])
    with pytest.raises(SystemExit) as ended:
        stretches_peers.main()
    assert ended.value.code == 0
    assert "--windows" in capsys.readouterr().out
