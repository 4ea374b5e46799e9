"""Kinds of files from the field: what `init` proposes for them, and whether it can be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config
from headrace.stores.errors import SourceContentError
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place
from headrace.stores.source.source import open_source
from tests.refusals import refused
from tests.stores.source.formats.object_places import as_objects

pytestmark = pytest.mark.usefixtures("probed_here")

RNG = np.random.default_rng(7)
Init = Callable[[Place], tuple[int, Config, dict[str, Any]]]


@pytest.fixture
def init(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Init:
    """Run it, and return exit code, configuration and what it printed as JSON."""

    def run(data: Place) -> tuple[int, Config, dict[str, Any]]:
        output = tmp_path / "first.toml"
        code = main(["init", str(data), "--output", str(output), "--json"])
        return code, load_config(output), json.loads(capsys.readouterr().out)

    return run


def recordings(file: h5py.File, count: int, length: int) -> None:
    file["recordings/start"] = np.arange(count) * length
    file["recordings/length"] = np.full(count, length)
    file["recordings/subject"] = np.arange(count)


@pytest.mark.parametrize("said", ["both", "one", "none"])
def test_signals_of_several_rates_stand_side_by_side(said: str, tmp_path: Path, init: Init) -> None:
    with h5py.File(tmp_path / "sleep.h5", "w") as file:
        for night in range(4):
            for name, rate in (("EEG", 20), ("RESP", 2)):
                path = f"sub{night}/channels/{name}"
                file[path] = RNG.normal(size=rate * 30 * 12).astype("f4")
                if said == "both" or (said == "one" and name == "EEG"):
                    file[path].attrs["sample_rate"] = rate
            file[f"sub{night}/hypnogram"] = np.arange(12) // 3 - 1
    code, config, found = init(tmp_path / "sleep.h5")
    assert config.source.signals == ["sub{subject}/channels/EEG", "sub{subject}/channels/RESP"]
    if said == "none":
        assert code == 2
        assert config.source.rates_hz == []
        assert "# rates_hz = ???" in (tmp_path / "first.toml").read_text()
        return
    assert code == 0, found
    assert config.source.rates_hz == [20, 2]
    assert ("??? Hz" in (tmp_path / "first.toml").read_text()) == (said == "one")
    assert config.source.labels == "sub{subject}/hypnogram"
    assert config.source.label_every_s == 30
    assert "# exclude_labels = ???" in (tmp_path / "first.toml").read_text()
    assert found["gives"]["shape"][1] == 2
    assert found["gives"]["rate_hz"] == 20


def test_a_label_that_a_list_of_classes_lacks_is_left_out_and_marked(
    tmp_path: Path, init: Init
) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["X"] = RNG.normal(size=(60, 64, 2)).astype("f4")
        file["y"] = np.arange(60) % 4 - 1
        file["groups"] = np.arange(60) // 12
        file["classes"] = ["W", "N", "R"]
        file.attrs["sampling_rate_hz"] = 20.0
    code, config, found = init(tmp_path / "w.h5")
    assert code == 0, found
    assert config.source.exclude_labels == ["-1"]
    assert found["gives"]["classes"] == 3
    assert "???" in (tmp_path / "first.toml").read_text().partition("exclude_labels")[2]


@pytest.mark.parametrize(
    ("shape", "names", "axes", "asked"),
    [
        ((40, 5, 14), 0, None, True),
        ((40, 5, 14), 14, None, False),
        ((40, 14, 64), 14, ["window", "channel", "time"], False),
        ((40, 30, 64), 30, ["window", "channel", "time"], False),
        ((40, 30, 64), 0, None, True),
        ((40, 6, 64), 0, ["window", "channel", "time"], False),
        ((40, 64, 6), 0, None, False),
    ],
)
def test_axes_are_turned_where_names_or_lengths_say_so(
    shape: tuple[int, ...], names: int, axes: list[str] | None, asked: bool,
    tmp_path: Path, init: Init,
) -> None:  # fmt: skip
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["X"] = RNG.normal(size=shape).astype("f4")
        file["y"] = np.arange(40) % 2
        file["groups"] = np.arange(40) // 8
        file.attrs["sampling_rate_hz"] = 1.0
        if names:
            file["X"].attrs["channels"] = [f"s{n}" for n in range(names)]
    code, config, found = init(tmp_path / "w.h5")
    assert code == 0, found
    assert config.source.axes == axes
    assert (config.features.select == ()) == (found["gives"]["shape"][0] < 8)
    assert ("# axes = ???" in (tmp_path / "first.toml").read_text()) == asked


def test_times_that_go_back_are_sorted_and_their_place_is_said(tmp_path: Path, init: Init) -> None:
    times = np.arange(2000) / 50
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["signals"] = RNG.normal(size=(2000, 3)).astype("f4")
        file["labels"] = np.arange(2000) // 250 % 2
        recordings(file, 4, 500)
        # Each recording begins again, which is no disorder.
        file["timestamps"] = 1.6e9 + times % 10
    code, config, found = init(tmp_path / "t.h5")
    assert code == 0, found
    assert config.source.time_order == "error"
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        stamps = file["timestamps"]
        stamps[700], stamps[701] = stamps[701], stamps[700]
    (tmp_path / "first.toml").unlink()
    code, config, found = init(tmp_path / "t.h5")
    assert code == 0, found
    assert config.source.time_order == "sort"
    line = (tmp_path / "first.toml").read_text().partition("time_order")[2].partition("\n")[0]
    assert "???" in line
    assert "row 201" in line


def test_channels_without_values_are_left_out_slow_ones_bridged_and_drop_outs_dropped(
    tmp_path: Path, init: Init
) -> None:
    rows = RNG.normal(size=(4000, 5)).astype("f4")
    rows[:, 0][np.arange(4000) % 9 > 0] = np.nan
    rows[:, 4] = np.nan
    rows[500:504, 1:4] = np.nan
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["signals"] = rows
        file["signals"].attrs["channels"] = ["heart[rate]", "acc_x", "acc_y", "acc_z", "broken"]
        file["labels"] = np.arange(4000) // 250 % 2
        file.attrs["sampling_rate_hz"] = 50.0
        recordings(file, 4, 1000)
    code, config, found = init(tmp_path / "b.h5")
    assert code == 0, found
    assert config.source.use_channels == ["!broken"]
    assert config.source.slow_channels == ["heart[[]rate]"]
    assert config.source.non_finite == "drop"
    assert found["gives"]["shape"][1] == 4
    assert set(config.features.triads) == {"acc"}
    for key in ("use_channels", "slow_channels", "non_finite"):
        text = (tmp_path / "first.toml").read_text()
        assert "???" in text.partition(f"{key} =")[2].partition("\n")[0]


def test_a_broken_channel_of_windows_is_left_out_with_its_triad(tmp_path: Path, init: Init) -> None:
    windows = RNG.normal(size=(60, 64, 4)).astype("f4")
    windows[:, :, 2] = np.nan
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["X"] = windows
        file["X"].attrs["ch_names"] = ["acc_x", "acc_y", "acc_z", "temp"]
        file["X"].attrs["unit"] = ["g", "g", "g", "C"]
        file["y"] = np.arange(60) % 2
        file["groups"] = np.arange(60) // 12
        file.attrs["sampling_rate_hz"] = 20.0
    code, config, found = init(tmp_path / "w.h5")
    assert code == 0, found
    assert config.source.use_channels == ["!acc_z"]
    assert config.source.non_finite == "error"
    assert config.source.units == ["g", "g", "C"]
    assert not config.features.triads
    assert not config.features.accelerometers


def test_windows_that_all_hold_nan_cannot_be_used(tmp_path: Path, init: Init) -> None:
    windows = RNG.normal(size=(60, 64, 2)).astype("f4")
    windows[:, 7] = np.nan
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["X"] = windows
        file["y"] = np.arange(60) % 2
        file["groups"] = np.arange(60) // 12
        file.attrs["sampling_rate_hz"] = 20.0
    code, _, found = init(tmp_path / "w.h5")
    assert code == 2
    assert "NaN" in found["problem"]


def test_an_address_is_looked_at_as_a_path_is(
    tmp_path: Path, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    for subject in range(3):
        rows = np.c_[RNG.normal(size=(600, 3)), np.arange(600) // 200 % 2]
        (tmp_path / "watch").mkdir(exist_ok=True)
        np.savetxt(tmp_path / "watch" / f"s{subject}_50Hz.csv", rows, "%.4f,%.4f,%.4f,%d",
                   header="acc_x,acc_y,acc_z,label", comments="")  # fmt: skip
    with as_objects(tmp_path / "watch", monkeypatch) as place:
        assert isinstance(place, ObjectPath)
        assert place.options.endpoint is not None
        monkeypatch.setenv("AWS_ENDPOINT_URL", place.options.endpoint)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        code, config, found = init(place)
        assert code == 0, found
        assert str(config.paths.data) == str(place)
        assert config.source.files == ["s{subject}_50Hz.csv"]
        assert found["gives"]["groups"] == 3
    with pytest.raises(SystemExit) as stopped:
        main(["init", "http://127.0.0.1/watch.h5"])
    assert stopped.value.code == 2


def test_intervals_without_names_that_follow_each_other_include_their_stop(
    tmp_path: Path, init: Init
) -> None:
    rows = []
    for subject in range(1, 6):
        np.savetxt(tmp_path / f"acc_user{subject:02}_50Hz.txt", RNG.normal(size=(600, 3)), "%.4f")
        rows += [(subject, 4 + k % 2, 1 + 200 * k, 200 * (k + 1)) for k in range(3)]
    np.savetxt(tmp_path / "labels.txt", np.array(rows), "%d")
    code, config, found = init(tmp_path)
    assert code == 0, found
    assert config.source.intervals is not None
    assert config.source.intervals.columns == ["subject", "label", "start", "stop"]
    assert (config.source.intervals.first, config.source.intervals.inclusive) == (1, True)
    # Stretches of 200 rows: two windows of 128 rows each would need 192.
    assert found["gives"]["windows"] == 5 * 3 * 2


def test_recordings_of_different_rates_are_not_made_alike(tmp_path: Path, init: Init) -> None:
    with h5py.File(tmp_path / "emg.h5", "w") as file:
        for person in range(4):
            file[f"s{person}/emg"] = RNG.normal(size=(600, 3)).astype("f4")
            file[f"s{person}/emg"].attrs["fs"] = 200 if person < 3 else 100
            file[f"s{person}/label"] = np.arange(600) // 300
    code, config, found = init(tmp_path / "emg.h5")
    assert code == 2
    assert config.source.rate_hz is None
    assert "s3/emg" in found["problem"]


def test_dates_are_no_labels_and_rows_without_one_are_of_no_class(
    tmp_path: Path, init: Init
) -> None:
    (tmp_path / "in").mkdir()
    for person in range(4):
        days = np.where(np.arange(400) < 200, "05/06/2024", "06/06/2024")
        stage = np.array(["N", "W", "", "W"])[np.arange(400) // 100]
        rows = zip(days, RNG.normal(size=400).round(3), stage, strict=True)
        text = "".join(f"{day},{value},{name}\n" for day, value, name in rows)
        (tmp_path / f"in/p{person}_20Hz.csv").write_text(f"Day,x,sleep\n{text}")
    _, config, _ = init(tmp_path / "in")
    assert config.source.labels == "sleep"
    assert config.source.exclude_labels == [""]


def test_intervals_that_end_with_the_recording_in_seconds_count_seconds(
    tmp_path: Path, init: Init
) -> None:
    (tmp_path / "in").mkdir()
    events = ["subject,start,end,activity"]
    for person in range(1, 5):
        rows = np.column_stack([np.arange(3000) / 50, RNG.normal(size=(3000, 2))])
        path = tmp_path / f"in/subject_{person}.csv"
        np.savetxt(path, rows, "%.3f", ",", header="t,x,y", comments="")
        events += [f"{person},0,25,sit", f"{person},25,60,walk"]
    (tmp_path / "in/events.csv").write_text("\n".join(events) + "\n")
    code, config, found = init(tmp_path / "in")
    assert code == 0, found
    assert config.source.intervals is not None
    assert config.source.intervals.unit == "s"


def test_times_in_another_language_and_the_index_of_pandas_are_no_channels(
    tmp_path: Path, init: Init
) -> None:
    (tmp_path / "in").mkdir()
    for person in range(4):
        frame = pd.DataFrame({"Zeit (s)": np.arange(600) / 50, "x": RNG.normal(size=600)})
        frame["activity"] = np.where(np.arange(600) < 300, "a", "b")
        frame.index = pd.Index(np.arange(600)[::-1])
        frame.to_parquet(tmp_path / f"in/s{person}.parquet")
    code, config, found = init(tmp_path / "in")
    assert code == 0, found
    assert config.source.time == "Zeit (s)"
    assert found["gives"]["shape"][1] == 1


def people(**extra: Callable[[Any, Any, Any], Any]) -> pd.DataFrame:
    """A table of four people who sit and walk: columns of (row, person, label)."""
    row = np.arange(4 * 1200)
    person, label = row // 1200, row // 600 % 2
    values = RNG.normal(size=(len(row), 3)).round(4)
    table = pd.DataFrame(values, columns=["ax", "ay", "az"]).assign(t=row % 1200 / 50)
    for name, made in extra.items():
        table[name] = made(row, person, label)
    return table.assign(subject=person, activity=np.array(["sit", "walk"])[label])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_that_measure_nothing_are_left_out_and_named(
    ending: str, tmp_path: Path, init: Init
) -> None:
    table = people(
        age=lambda row, person, label: 20 + person,
        code=lambda row, person, label: 5 + 2 * label,
        trial=lambda row, person, label: row // 600,
        tick=lambda row, person, label: row % 1200,
    )
    path = tmp_path / f"all.{ending}"
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    code, config, found = init(path)
    assert code == 0, found
    assert sorted(config.source.use_channels) == ["!age", "!code", "!tick", "!trial"]
    assert found["gives"]["shape"][1] == 3
    said = " ".join(found["unsure"])
    assert all(name in said for name in ("age", "code", "tick", "trial", "use_channels"))


def test_labels_of_one_column_a_class_are_no_channels(tmp_path: Path, init: Init) -> None:
    table = people(walk=lambda row, person, label: label, sit=lambda row, person, label: 1 - label)
    table.drop(columns="activity").to_csv(tmp_path / "all.csv", index=False)
    code, config, found = init(tmp_path / "all.csv")
    assert code == 2
    assert sorted(config.source.use_channels) == ["!sit", "!walk"]
    assert any("one-hot" in doubt and "source.labels" in doubt for doubt in found["unsure"])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("rates", [(100.0,), (100.0, 50.0)])
def test_structs_of_trials_say_whose_they_are(
    turned: bool, rates: tuple[float, ...], tmp_path: Path, init: Init
) -> None:
    fields = ("acc", "label", "subject", "session", "fs")
    data = np.zeros((1, 12), dtype=[(each, object) for each in fields])
    for n in range(12):
        values = RNG.normal(size=(700 + 7 * n, 3))
        label = ["rest", "move"][n % 2]
        data[0, n] = (values.T if turned else values, label, n // 2 + 1.0, n % 3, rates[n // 6 % 2 % len(rates)])  # fmt: skip # noqa: E501
    savemat(tmp_path / "trials.mat", {"data": data})
    code, config, found = init(tmp_path / "trials.mat")
    assert config.source.signals == "data/{trial}/acc"
    assert config.source.groups == "data/{trial}/subject"
    assert config.source.labels == "data/{trial}/label"
    assert config.source.axes == (["channel", "row"] if turned else None)
    assert (code, config.source.rate_hz) == ((0, 100.0) if len(rates) == 1 else (2, None))
    if code == 0:
        assert (found["gives"]["groups"], found["gives"]["classes"]) == (6, 2)


@pytest.mark.parametrize(
    ("labels", "null"),
    [
        ((0, 3, 0, 5, 0, 7), "0"),
        ((0, 1, 0, 2, 0, 1), "0"),
        ((-1, 0, 1, 2, 1, 0), "-1"),
        ((0, 1, 2, 2, 1, 0), None),
        ((0, 1, 0, 1, 0, 1), None),
    ],
)
def test_numbers_that_may_be_no_class_are_told_with_their_stretches(
    labels: tuple[int, ...], null: str | None, tmp_path: Path, init: Init
) -> None:
    table = people().drop(columns="activity")
    table["label"] = np.tile(np.repeat(labels, 200), 4)
    table.to_csv(tmp_path / "all.csv", index=False)
    _, _, found = init(tmp_path / "all.csv")
    said = [each for each in found["unsure"] if "exclude_labels" in each]
    text = (tmp_path / "first.toml").read_text()
    if null is None:
        assert (said, "exclude_labels" in text) == ([], False)
        return
    assert f'["{null}"]' in text.partition("# exclude_labels = ???")[2]
    count = 4 * labels.count(int(null))
    assert f"{null}: {count} of 24" in said[0]


@pytest.mark.parametrize(
    "line", ["Abtastrate: 50 Hz", "Sampling rate: 50 Hz", "# fs=50", "Cadence (fréquence) : 50 Hz"]
)
def test_a_rate_above_the_headers_is_proposed(line: str, tmp_path: Path, init: Init) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for person, table in people().drop(columns="t").groupby("subject"):
        rows = table.drop(columns="subject").to_csv(index=False)
        above = f"Device: Sensor 12\nDate: 06.05.2024\n{line}\n"
        (folder / f"subject{person}.csv").write_text(above + rows)
    code, config, found = init(folder)
    assert (code, config.source.rate_hz) == (0, 50), found


@pytest.mark.parametrize(
    ("column", "values", "alternating"),
    [
        ("sensor", ("a", "b"), True),
        ("signal", (1, 2), False),
        pytest.param("sensor", ("a", "b"), False, marks=pytest.mark.cases),
        pytest.param("what", ("acc", "gyr"), False, marks=pytest.mark.cases),
        pytest.param("what", ("acc", "gyr"), True, marks=pytest.mark.cases),
        pytest.param("signal", (1, 2), True, marks=pytest.mark.cases),
    ],
)
def test_a_long_table_is_told_with_a_way_out_that_works(
    column: str, values: tuple[Any, Any], alternating: bool, tmp_path: Path, init: Init
) -> None:
    table = people()
    long = pd.concat([table.assign(**{column: value}) for value in values])
    keys = ["subject", "activity", "t"]
    order = keys if alternating else [*keys[:2], column, "t"]
    long = long.sort_values(order, kind="stable")
    long.to_csv(tmp_path / "long.csv", index=False)
    code, config, found = init(tmp_path / "long.csv")
    assert code == 2
    assert column in found["problem"]
    assert "pivot(" in found["problem"]
    if alternating and isinstance(values[0], str):
        with refused(SourceContentError, column, *values, "pivot"):
            open_source(tmp_path / "long.csv", config.source)
    wide = long.pivot(index=keys, columns=column, values=["ax", "ay", "az"])
    wide.columns = [f"s{sensor}_{axis}" for axis, sensor in wide.columns]
    wide.reset_index().to_csv(tmp_path / "wide.csv", index=False)
    (tmp_path / "first.toml").unlink()
    code, _, found = init(tmp_path / "wide.csv")
    assert (code, found["gives"]["shape"][1]) == (0, 6), found


def test_a_column_of_sensors_beside_times_that_go_on_is_not_a_long_table(
    tmp_path: Path, init: Init
) -> None:
    table = people()
    table["t"] = np.arange(len(table)) / 50
    table["sensor"] = np.array(["acc", "gyr"])[table["subject"] % 2]
    table.to_csv(tmp_path / "all.csv", index=False)
    assert init(tmp_path / "all.csv")[0] == 0


@pytest.mark.parametrize("layout", ["windows", "signals"])
def test_labels_of_several_numbers_a_row_are_told(layout: str, tmp_path: Path, init: Init) -> None:
    code, shape = np.arange(1200) // 100 % 3, (1200, 3) if layout == "signals" else (1200, 20, 3)
    arrays: dict[str, Any] = {"X": RNG.normal(size=shape), "subject": np.arange(1200) // 300}
    np.savez(tmp_path / "one.npz", **arrays, Y=np.eye(4)[code], fs=50)
    done, _, found = init(tmp_path / "one.npz")
    assert done == 2
    assert any("Y.argmax" in doubt and "one-hot" in doubt for doubt in found["unsure"])


def test_a_number_of_each_row_is_neither_a_channel_nor_a_group(tmp_path: Path, init: Init) -> None:
    data = tmp_path / "data"
    for person in range(1, 4):
        for sensor in ("acc", "gyr"):
            folder = data / f"person_{person}"
            folder.mkdir(parents=True, exist_ok=True)
            frame = pd.DataFrame(RNG.normal(size=(400, 3)), columns=["x", "y", "z"])
            frame.insert(0, "id", np.arange(1, 401))
            frame.insert(1, "time", np.arange(400) / 50 + (0.007 if sensor == "gyr" else 0))
            frame.to_csv(folder / f"{sensor}_walk.csv", index=False)
    _, config, _ = init(data)
    assert config.source.channels == [f"{s}_{axis}" for s in ("acc", "gyr") for axis in "xyz"]
    assert config.source.groups == "subject"


def test_columns_of_labels_that_may_hold_together_are_no_channels(
    tmp_path: Path, init: Init
) -> None:
    for person in ("ann", "bob", "cy"):
        frame = pd.DataFrame(RNG.normal(size=(400, 3)), columns=["ax", "ay", "az"])
        frame["label:SITTING"] = np.arange(400) // 100 % 2
        frame["label:AT_HOME"] = np.where(np.arange(400) < 9, np.nan, np.arange(400) // 200 % 2)
        frame["label_source"] = 2
        (tmp_path / "data").mkdir(exist_ok=True)
        frame.to_csv(tmp_path / f"data/{person}.csv", index=False)
    _, config, told = init(tmp_path / "data")
    assert config.source.signals == ["ax", "ay", "az"]
    assert config.source.groups == "subject"
    assert config.source.labels == "label:SITTING"
    assert any("1 " in each and "label:SITTING" in each for each in told["unsure"])


@pytest.mark.parametrize(("rates", "found"), [((48828, 48828), 48828), ((97656, 48828), None)])
def test_a_number_that_names_sampling_wins_and_files_have_to_agree(
    rates: tuple[int, int], found: float | None, tmp_path: Path, init: Init
) -> None:
    for number, rate in enumerate([rates[0], rates[1], rates[1]], start=1):
        own = {"sr": float(rate), "gs": RNG.normal(size=(4000, 1)), "rate": 25.0, "load": 270.0}
        savemat(tmp_path / f"bearing_{number}.mat", {"bearing": own})
    _, config, told = init(tmp_path)
    assert config.source.rate_hz == found
    if found is None:
        assert any("97656" in each and "48828" in each for each in told["unsure"])


def test_times_without_a_name_in_rounded_ms_are_no_channel(tmp_path: Path, init: Init) -> None:
    for person in (1, 2, 3):
        stamps = np.floor(np.arange(600) * 1000 / 64) + 15
        table = np.column_stack([stamps, RNG.integers(-900, 900, (600, 3)), np.arange(600) // 200])
        np.savetxt(tmp_path / f"S{person:02}R01.txt", table, "%d")
    _, config, _ = init(tmp_path)
    assert (config.source.time, config.source.time_unit) == ("0", "ms")
    assert config.source.signals == ["1", "2", "3"]


def test_rows_of_matlab_in_structs_that_are_called_as_their_files_are_read(
    tmp_path: Path, init: Init
) -> None:
    for code in ("K001", "KA01", "KI01"):
        for trial in (1, 2):
            name = f"N09_{code}_{trial}"
            held = {"force": RNG.normal(size=(1, 4000)), "vibration": RNG.normal(size=(1, 4000))}
            (tmp_path / code).mkdir(exist_ok=True)
            savemat(tmp_path / code / f"{name}.mat", {name: {**held, "fs": 500.0}})
    _, config, _ = init(tmp_path)
    signals = [f"N09_{{activity}}_{{trial}}/{each}" for each in ("force", "vibration")]
    assert config.source.signals == signals
    options = config.source.model_copy(update={"groups": "file"})
    with open_source(tmp_path, options) as source:
        assert source.spec.channels == ("force", "vibration")
        assert source.windows > 6
        assert source.spec.rate_hz == 500
