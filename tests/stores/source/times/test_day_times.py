"""Days and times of day in two columns, and times of day that pass midnight."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.load import load_config
from headrace.stores.errors import ConfigError, SourceContentError, SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import Source, open_source
from headrace.stores.source.times.dates import nanoseconds
from tests.refusals import assert_names, refused

BEFORE_MIDNIGHT = datetime(2024, 12, 31, 23, 59, 50)
ROWS = 1000
DAY, CLOCK, BOTH = "%d.%m.%Y", "%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f"
LABELS = {"signals": ["ax", "ay"], "labels": "", "split_by_window": True, "window_samples": 16}


def moments(rows: int = ROWS, begin: datetime = BEFORE_MIDNIGHT, step_ms: int = 20) -> list:
    return [begin + timedelta(milliseconds=step_ms * n) for n in range(rows)]


def write(path: Path, header: str, times: list, *forms: str) -> Path:
    values = np.random.default_rng(0).normal(size=(len(times), 2)).round(4).tolist()
    rows = (
        ",".join([*(at.strftime(form) for form in forms), str(x), str(y)])
        for at, (x, y) in zip(times, values, strict=True)
    )
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def opened(path: Path, **options: Any) -> Source:
    return open_source(path, SourceOptions.model_validate(LABELS | options))


def windows(path: Path, **options: Any) -> tuple:
    with opened(path, **options) as source:
        return source.spec.rate_hz, source.read_windows(0, source.windows).tobytes()


@pytest.mark.parametrize(
    ("header", "forms", "time"),
    [
        ("Datum,Uhrzeit,ax,ay", (DAY, CLOCK), ["Datum", "Uhrzeit"]),
        ("Uhrzeit,Datum,ax,ay", (CLOCK, DAY), ["Uhrzeit", "Datum"]),
        ("date,time,ax,ay", ("%m/%d/%Y", "%I:%M:%S.%f %p"), ["date", "time"]),
        ("date,time,ax,ay", ("%Y-%m-%d", CLOCK), None),
        ("day,time,ax,ay", ("%Y%m%d", CLOCK), ["day", "time"]),
        ("Zeit,ax,ay", (CLOCK,), "Zeit"),
        ("time,ax,ay", ("%H:%M:%S,%f".replace(",", ":"),), None),
    ],
)
def test_windows_are_those_of_one_column_of_dates(header, forms, time, tmp_path):
    gap = moments()[:400] + moments()[700:]
    expected = windows(write(tmp_path / "a.csv", "time,ax,ay", gap, BOTH))
    assert windows(write(tmp_path / "b.csv", header, gap, *forms), time=time) == expected


def test_each_recording_begins_with_a_day_of_its_own(tmp_path):
    for name, hour in (("a", 23), ("b", 1), ("c", 22)):
        begin = datetime(2024, 5, 6, hour, 59, 50)
        write(tmp_path / f"{name}.csv", "time,ax,ay", moments(begin=begin), CLOCK)
    with opened(tmp_path, groups="name", files=["{name}.csv"], split_by_window=False) as source:
        (said,) = [note for note in source.notes if "midnight" in note.text]
        assert_names(said.text, "1 time")
        assert source.spec.rate_hz == 50
        assert source.windows == 3 * ((ROWS - 16) // 8 + 1)


def test_several_nights_are_counted(tmp_path):
    hours = moments(100, step_ms=3_600_000)
    with opened(write(tmp_path / "a.csv", "t,ax,ay", hours, CLOCK), time="t") as source:
        (said,) = [note for note in source.notes if "midnight" in note.text]
        assert_names(said.text, "5 times")
        assert source.spec.rate_hz == pytest.approx(1 / 3600)
        assert source.windows == (100 - 16) // 8 + 1


def test_rows_of_a_night_can_be_sorted(tmp_path):
    times = moments()
    expected = windows(write(tmp_path / "a.csv", "time,ax,ay", times, BOTH))
    rows = write(tmp_path / "b.csv", "time,ax,ay", times, CLOCK).read_text().splitlines()
    rows[701], rows[702] = rows[702], rows[701]
    (tmp_path / "b.csv").write_text("\n".join(rows) + "\n")
    with refused(SourceContentError, "source.time_order"):
        windows(tmp_path / "b.csv")
    assert windows(tmp_path / "b.csv", time_order="sort") == expected


@pytest.mark.parametrize(
    ("time", "kind", "named"),
    [
        (["Datum", "nope"], SourceError, ("nope", "source.time")),
        (["nope", "Uhrzeit"], SourceError, ("nope", "source.time")),
        (["ax", "Uhrzeit"], SourceError, ("ax", "float64", "source.time")),
        (["Datum", "Datum"], SourceContentError, ("row 0", "source.time")),
    ],
)
def test_columns_that_are_no_days_and_times_are_refused(time, kind, named, tmp_path):
    path = write(tmp_path / "a.csv", "Datum,Uhrzeit,ax,ay", moments(), DAY, CLOCK)
    with refused(kind, "a.csv", *named):
        opened(path, time=time)


def test_a_row_without_a_day_is_named(tmp_path):
    path = write(tmp_path / "a.csv", "Datum,Uhrzeit,ax,ay", moments(), DAY, CLOCK)
    path.write_text(path.read_text().replace("01.01.2025,00:00:05.000000", ",00:00:05.000000"))
    with refused(SourceContentError, "a.csv", "row 750", "source.time"):
        opened(path, time=["Datum", "Uhrzeit"])


def test_times_of_day_are_read_alike_in_whatever_way():
    texts = ["07:08:09", "23:59:59.987654321", "00:00:00.5", "24:00:00", "07:08:60"]
    for some in (texts[:3], texts):
        alone = [int(nanoseconds(np.array([f"{each} "]), True)[0]) for each in some]
        assert nanoseconds(np.array(some), True).tolist() == alone
    for wrong in ("25:00:00", "07:61:09", "07:08:09.1.2", "ab:cd:ef", "07:08:09+01"):
        with pytest.raises(ValueError, match="1"):
            nanoseconds(np.array(["07:08:09", wrong]), True)


@pytest.mark.parametrize("time", [[], ["a"], ["a", "b", "c"], 5])
def test_one_column_or_two_are_named(time, tmp_path):
    config = tmp_path / "a.toml"
    config.write_text(f"[paths]\ndata = 'a.csv'\n[source]\ntime = {json.dumps(time)}\n")
    with refused(ConfigError, "source.time"):
        load_config(config)


@pytest.mark.usefixtures("probed_here")
@pytest.mark.parametrize(
    ("header", "forms", "time"),
    [
        ("Datum,Uhrzeit,ax,ay", (DAY, CLOCK), ["Datum", "Uhrzeit"]),
        ("jour,heure,ax,ay", (DAY, CLOCK), ["jour", "heure"]),
        ("Tidpunkt,ax,ay", (CLOCK,), "Tidpunkt"),
    ],
)
def test_init_proposes_times_of_any_language(header, forms, time, tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    for subject in range(3):
        write(tmp_path / f"raw/S0{subject}_walk.csv", header, moments(400), *forms)
        write(tmp_path / f"raw/S0{subject}_run.csv", header, moments(400), *forms)
    output = tmp_path / "a.toml"
    code = main(["init", str(tmp_path / "raw"), "--output", str(output), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0, found
    assert load_config(output).source.time == time
    assert found["gives"]["rate_hz"] == 50


@pytest.mark.usefixtures("probed_here")
@pytest.mark.parametrize("name", ["temps", "czas"])
def test_init_proposes_numbers_that_go_on_evenly_as_times(name, tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    values = np.random.default_rng(0).normal(size=(400, 2)).round(4)
    for label in ("walk", "run"):
        for subject in range(3):
            rows = "".join(f"{n / 50},{x},{y}\n" for n, (x, y) in enumerate(values.tolist()))
            (tmp_path / f"raw/S0{subject}_{label}.csv").write_text(f"{name},ax,ay\n{rows}")
    output = tmp_path / "a.toml"
    code = main(["init", str(tmp_path / "raw"), "--output", str(output), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0, found
    source = load_config(output).source
    assert (source.time, source.time_unit) == (name, "s")
    assert found["gives"]["rate_hz"] == 50
