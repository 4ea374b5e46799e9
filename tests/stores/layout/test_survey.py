"""The pass over labels: by runs it finds what window by window it would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.stores.layout.survey import FoldReader, survey_source
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from tests.stores.source_files import C, N, T, write_recordings, write_windows

LAYOUTS: dict[str, dict[str, Any]] = {
    "windows": {},
    "windows, selected": {"exclude_labels": ["1"]},
    "windows, no groups": {"split_by_window": True},
    "recordings": {"window_samples": 8, "step_samples": 3},
    "recordings, resampled": {"window_samples": 8, "target_rate_hz": 7.0},
    "recordings, majority": {"window_samples": 8, "step_samples": 2, "label_rule": "majority"},
    "recordings, no groups": {"window_samples": 8, "split_by_window": True},
}


def source_of(folder: Path, layout: str, **options: Any) -> Source:
    path, bad = folder / "source.h5", [3, 4, 30, 31, 32, 77]
    if layout.startswith("windows"):
        signals = np.random.default_rng(1).normal(size=(N, T, C)).astype(np.float32)
        signals[bad, 5, 1] = np.nan
        write_windows(path, X=signals)
    else:
        rows = (300, 200, 260, 140)
        signals = np.random.default_rng(2).normal(size=(sum(rows), C)).astype(np.float32)
        signals[bad, 1] = np.nan
        write_recordings(path, rows=rows, signals=signals)
    return open_source(path, SourceOptions(**LAYOUTS[layout], **options))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_runs_say_what_every_window_says(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.stores.source.labelled.LABEL_SLICE", 7)
    monkeypatch.setattr("headrace.stores.source.names.SLICE_ROWS", 5)
    with source_of(tmp_path, layout, non_finite="fill") as source:
        labels, at = source.read_labels(0, source.windows), 0
        for runs in source.label_runs():
            for number, (start, stop) in enumerate(zip(runs.start, runs.stop, strict=True)):
                assert start == at < stop
                for name in ("label", "group", "part"):
                    every, one = getattr(labels, name), getattr(runs.labels, name)
                    assert (every[start:stop] == one[number]).all()
                at = stop
        assert at == source.windows


@pytest.mark.parametrize("policy", ["drop", "fill"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_folds_hold_each_kept_window_of_their_groups(
    tmp_path: Path, layout: str, policy: str
) -> None:
    with source_of(tmp_path, layout, non_finite=policy) as source:
        survey = survey_source(source, 3, "balance", (), 4)
        fold = FoldReader(source, survey.fold_of_group, survey.dropped)
        every = fold(0, source.windows)
        _, marked = source.read_marked_windows(0, source.windows)
        assert marked.any()
        assert np.array_equal(every == -1, marked if policy == "drop" else np.zeros_like(marked))
        for number, one in enumerate(survey.folds):
            ranges = survey.index.ranges(number, 0, one.stop - one.start, fold)
            found = np.concatenate([np.arange(low, high) for low, high in ranges])
            assert np.array_equal(found, np.flatnonzero(every == number))
