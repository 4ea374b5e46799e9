from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.stores.errors import GroupError, SourceError
from headrace.stores.layout.survey import survey_source
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused
from tests.stores.source_files import write_recordings

ROWS = (90, 80, 300)
CUT = {"window_samples": 4, "step_samples": 3, "label_rule": "majority"}
NAMES = ["heart_rate", "acc_x", "acc_y"]


def write_slow(path, every=7, rows=ROWS):
    """Recordings whose first channel has a value in every seventh row of the table."""
    values = np.random.default_rng(3).normal(70, 5, (sum(rows), 3)).astype("f4")
    gaps = np.arange(len(values)) % every != 0
    values[gaps, 0] = np.nan
    return write_recordings(path, rows=rows, signals=values)


def bridged(series, most, hold):
    """By its definition, value by value."""
    found, known = series.copy(), np.flatnonzero(~np.isnan(series))
    for row in np.flatnonzero(np.isnan(series)):
        before, after = known[known < row], known[known > row]
        if len(before) and len(after):
            old, new = before[-1], after[0]
            if new - old <= most:
                share = 0 if hold else (row - old) / (new - old)
                found[row] = series[old] + (float(series[new]) - float(series[old])) * share
        elif len(after) and after[0] <= most:
            found[row] = series[after[0]]
        elif len(before) and len(series) - 1 - before[-1] <= most:
            found[row] = series[before[-1]]
    return found


def read_all(path, **options):
    settings = SourceOptions(**CUT, channels=NAMES, slow_channels=["heart*"], **options)
    with open_source(path, settings) as source:
        return source.read_marked_windows(0, source.windows)


@pytest.mark.parametrize("slow", ["hold", "interpolate"])
@pytest.mark.parametrize("gap", [None, 0.5, 0.7, 5.0])
def test_gaps_between_values_are_bridged_up_to_the_bound(tmp_path, slow, gap):
    content = write_slow(tmp_path / "s.h5")
    content["signals"][200:260, 0] = np.nan
    content["signals"][300:310, 1] = np.nan
    write_recordings(tmp_path / "s.h5", rows=ROWS, signals=content["signals"])
    found, marked = read_all(tmp_path / "s.h5", slow=slow, slow_max_gap_s=gap)
    expected, most = [], round((gap or 2.1) * 10)
    for begin, length in zip(np.cumsum(ROWS) - ROWS, ROWS, strict=True):
        signal = content["signals"][begin : begin + length].copy()
        signal[:, 0] = bridged(signal[:, 0], most, slow == "hold")
        expected += [signal[row : row + 4] for row in range(0, length - 3, 3)]
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-6)
    assert np.array_equal(marked, ~np.isfinite(found).all(axis=(1, 2)))
    assert marked.sum() > 0


@given(data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_range_gives_the_same_bits(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "slow.h5"
    if not path.exists():
        values = write_slow(path, rows=(900, 50, 400))["signals"]
        values[300:340, 0] = np.nan
        write_recordings(path, rows=(900, 50, 400), signals=values)
    options = SourceOptions(
        **CUT,
        slow_channels=["ch0"],
        slow=data.draw(st.sampled_from(["hold", "interpolate"])),
        slow_max_gap_s=data.draw(st.sampled_from([None, 0.7, 1.5])),
        non_finite=data.draw(st.sampled_from(["error", "fill"])),
        filter=data.draw(st.sampled_from([[], [{"kind": "lowpass", "hz": 1.5}]])),
        target_rate_hz=data.draw(st.sampled_from([None, 4.0])),
    )
    with open_source(path, options) as source, pytest.MonkeyPatch.context() as patch:
        whole, marks = source.read_marked_windows(0, source.windows)
        patch.setattr(source._layout._rows, "slice_rows", data.draw(st.integers(1, 900)))
        start = data.draw(st.integers(0, source.windows - 1))
        stop = data.draw(st.integers(start, source.windows))
        found, marked = source.read_marked_windows(start, stop)
        assert found.tobytes() == whole[start:stop].tobytes()
        assert np.array_equal(marked, marks[start:stop])


def test_a_table_with_slow_channels_stays_of_its_type(tmp_path):
    write_slow(tmp_path / "s.h5")
    options = SourceOptions(**CUT, slow_channels=["ch0"], scale=[1, 2, 3])
    with open_source(tmp_path / "s.h5", options) as source:
        assert (source.spec.dtype, source.spec.scale) == ("f4", (1, 2, 3))
        recording, start = source.locate(30, 31)
        assert source.seconds(30, 31) == (start - content_start(recording[0])) / 10
        assert source.bytes_read([(0, source.windows)]) >= sum(ROWS) * 12


def content_start(recording):
    return (np.cumsum(ROWS) - ROWS)[recording]


@pytest.mark.parametrize(
    ("options", "named"),
    [({"slow_channels": ["pulse"]}, ("source.slow_channels", "pulse", "heart_rate"))],
)
def test_a_slow_channel_that_is_not_there_is_refused(tmp_path, options, named):
    write_slow(tmp_path / "s.h5")
    with refused(SourceError, *named):
        open_source(tmp_path / "s.h5", SourceOptions(**CUT, channels=NAMES, **options))


def test_whole_numbers_have_no_gaps(tmp_path):
    write_recordings(tmp_path / "s.h5", dtype="i2")
    with refused(SourceError, "source.slow_channels", "int16"):
        open_source(tmp_path / "s.h5", SourceOptions(**CUT, slow_channels=["ch0"]))


def test_where_nothing_is_left_the_channels_that_hold_nan_are_named(tmp_path):
    values = write_slow(tmp_path / "s.h5")["signals"]
    values[:, 2] = np.nan
    write_recordings(tmp_path / "s.h5", rows=ROWS, signals=values)
    options = SourceOptions(**CUT, channels=NAMES, non_finite="drop")
    wanted = (
        "heart_rate",
        "86 %",
        "acc_y",
        '"!acc_y"',
        "source.slow_channels",
        "source.non_finite",
    )
    with (
        open_source(tmp_path / "s.h5", options) as source,
        refused(GroupError, *wanted) as error,
    ):
        survey_source(source, 3, "balance", (), 4)
    assert "acc_x" not in str(error.value)
