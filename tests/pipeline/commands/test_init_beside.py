"""Files beside recordings, and parts of recordings: what `init` proposes for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config

pytestmark = pytest.mark.usefixtures("probed_here")
RNG = np.random.default_rng(3)
Init = Callable[[Path], tuple[int, Config, dict[str, Any]]]


@pytest.fixture
def init(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Init:
    """Run it, and return exit code, configuration and what it printed as JSON."""

    def run(data: Path) -> tuple[int, Config, dict[str, Any]]:
        output = tmp_path / "first.toml"
        code = main(["init", str(data), "--output", str(output), "--json"])
        return code, load_config(output), json.loads(capsys.readouterr().out)

    return run


def csv(path: Path, header: str, rows: int = 600, labels: str = "") -> None:
    """Numbers, and a column of labels behind them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = len(header.split(",")) - bool(labels)

    def label_of(row: int) -> str:
        at = row * len(labels) // rows
        return labels[at : at + 1]

    lines = [
        ",".join([*(f"{x:.4f}" for x in row), *label_of(at)])
        for at, row in enumerate(RNG.normal(size=(rows, columns)))
    ]
    path.write_text("\n".join([header, *lines]) + "\n")


@pytest.mark.parametrize("names", ["{0}_annotations", "notes-{0}"])
def test_files_of_something_else_are_left_out_and_named(
    names: str, tmp_path: Path, init: Init
) -> None:
    for number in (100, 101, 102, 103):
        csv(tmp_path / f"data/{number}.csv", "x,y,z")
        beside = tmp_path / f"data/{names.format(number)}.csv"
        beside.write_text("sample,type\n" + "".join(f"{n},N\n{n + 5},V\n" for n in range(9)))
    _, config, found = init(tmp_path / "data")
    kind = names.format("*")
    assert config.source.files == ["{subject}.csv", f"!{kind}.csv"]
    assert any(names.format(100) in each and "type" in each for each in found["unsure"])


def test_intervals_beside_each_recording_are_proposed(tmp_path: Path, init: Init) -> None:
    for number in range(1, 6):
        (tmp_path / "data").mkdir(exist_ok=True)
        np.save(tmp_path / f"data/rec_{number}.npy", RNG.normal(size=(6000, 3)))
        text = "0.0\t20.0\twalk\n20.0\t38.5\trun\n40.0\t60.0\twalk\n"
        (tmp_path / f"data/rec_{number}.txt").write_text(text)
    _, config, _ = init(tmp_path / "data")
    assert config.source.files == ["rec_{recording}.npy"]
    assert config.source.intervals is not None
    assert config.source.intervals.file == "rec_{recording}.txt"


def test_labels_every_second_beside_each_recording_are_proposed(tmp_path: Path, init: Init) -> None:
    for number in range(1, 6):
        csv(tmp_path / f"data/s{number}_signal.csv", "x,y,z", 1203)
        text = "\n".join(f"{n},{'ab'[n // 12]}" for n in range(24))
        (tmp_path / f"data/s{number}_labels.csv").write_text(f"second,label\n{text}\n")
    _, config, _ = init(tmp_path / "data")
    assert config.source.files == ["s{subject}_signal.csv"]
    assert config.source.labels_file == "s{subject}_labels.csv"
    assert (config.source.labels, config.source.label_every_s) == ("label", 1.0)


def test_folders_of_sensors_are_recordings_with_their_rates(tmp_path: Path, init: Init) -> None:
    for subject in range(1, 5):
        folder = tmp_path / f"data/S{subject:02}"
        folder.mkdir(parents=True)
        for name, rate, channels in (("ACC", 32, 3), ("BVP", 64, 1), ("EDA", 4, 1)):
            head = "\n".join(
                ", ".join([value] * channels) for value in ("1544027337.0", f"{rate}.0")
            )
            rows = "\n".join(
                ",".join(f"{x:.3f}" for x in row) for row in RNG.normal(size=(rate * 60, channels))
            )
            (folder / f"{name}.csv").write_text(f"{head}\n{rows}\n")
        (folder / "tags.csv").write_text("1544027347.0\n1544027350.0\n")
        (folder / "info.txt").write_text("ACC: 32 Hz\n")
    rows = "".join(f"S{n:02},0,30,rest\nS{n:02},30,60,stress\n" for n in range(1, 5))
    (tmp_path / "data/labels.csv").write_text(f"subject,start,stop,label\n{rows}")
    code, config, found = init(tmp_path / "data")
    assert code == 0, found
    assert config.source.files == [f"{{subject}}/{name}.csv" for name in ("ACC", "BVP", "EDA")]
    assert config.source.rates_hz == [32, 64, 4]
    assert found["gives"]["groups"] == 4
    assert found["gives"]["shape"][1] == 5


def test_a_recording_that_lacks_a_sensor_is_left_out_and_the_part_is_named(
    tmp_path: Path, init: Init
) -> None:
    for subject in range(1, 6):
        for sensor in ("acc", "gyro"):
            if (subject, sensor) not in ((3, "gyro"), (5, "acc")):
                csv(tmp_path / f"data/{sensor}_s{subject}_50Hz.csv", "x,y,label", labels="ab")
    code, config, found = init(tmp_path / "data")
    assert code == 0, found
    assert config.source.files == [
        "acc_s{subject}_50Hz.csv",
        "gyro_s{subject}_50Hz.csv",
        "!acc_s3_50Hz.csv",
        "!gyro_s5_50Hz.csv",
    ]
    lost = next(each for each in found["unsure"] if "gyro_s3_50Hz.csv" in each)
    assert "acc_s5_50Hz.csv" in lost
    assert found["gives"]["groups"] == 3


def test_sensors_that_end_some_rows_apart_are_cut_and_marked(tmp_path: Path, init: Init) -> None:
    for subject in range(1, 5):
        csv(tmp_path / f"data/acc_s{subject}_50Hz.csv", "x,y,label", 600, "ab")
        csv(tmp_path / f"data/gyro_s{subject}_50Hz.csv", "x,y,label", 598, "ab")
    code, config, found = init(tmp_path / "data")
    assert code == 0, found
    assert config.source.max_cut_rows == 2
    assert found["gives"]["shape"][1] == 4
    assert any("max_cut_rows" in each for each in found["unsure"])


@pytest.mark.parametrize("rates", [(50, 50), (50, 25)])
def test_rates_in_a_table_of_files_are_the_source_s(
    rates: tuple[int, int], tmp_path: Path, init: Init
) -> None:
    lines = []
    for number in range(6):
        csv(tmp_path / f"data/wavs/r{number}.csv", "x,y")
        lines.append(f"wavs/r{number}.csv,{'ab'[number % 2]},p{number // 2},{rates[number // 3]}")
    table = tmp_path / "data/index.csv"
    table.write_text("\n".join(["filename,label,subject,fs", *lines]) + "\n")
    code, config, found = init(table)
    assert config.source.rate_hz is None
    if rates[0] == rates[1]:
        assert code == 0, found
        assert found["gives"]["rate_hz"] == 50
    else:
        assert code == 2
        assert "column fs" in found["problem"]


def test_a_table_of_the_recordings_says_whose_they_are(tmp_path: Path, init: Init) -> None:
    rows = ["ecg_id,patient_id,sex,diagnostic"]
    for number in range(1, 13):
        csv(tmp_path / f"data/records/{number:05}_lr.csv", "time,I,II")
        rows.append(f"{number},{70 + number // 2}.0,{number % 2},{'NORM' if number % 3 else 'MI'}")
    (tmp_path / "data/database.csv").write_text("\n".join(rows) + "\n")
    code, config, told = init(tmp_path / "data")
    assert config.source.table == "database.csv"
    assert config.source.files == ["records/{ecg_id}_lr.csv"]
    assert config.source.groups == "patient_id"
    assert code == 2
    assert any("diagnostic" in each and "database.csv" in each for each in told["unsure"])


def test_a_table_of_the_people_holds_the_labels(tmp_path: Path, init: Init) -> None:
    rows = ["participant_id\tage\tcondition"]
    for number in range(1, 7):
        csv(tmp_path / f"data/sub-{number:02}/sub-{number:02}_50Hz.csv", "x,y,z")
        rows.append(f"sub-{number:02}\t{30 + number}\t{'patient' if number % 2 else 'control'}")
    (tmp_path / "data/participants.tsv").write_text("\n".join(rows) + "\n")
    code, config, told = init(tmp_path / "data")
    assert code == 0
    assert config.source.table == "participants.tsv"
    assert config.source.label_column == "condition"
    assert config.source.groups == "participant_id"
    assert any("condition" in each for each in told["unsure"])


def test_a_table_of_what_labels_mean_is_no_table_of_recordings(tmp_path: Path, init: Init) -> None:
    for number in (1, 2, 3):
        for trial in (1, 2):
            csv(tmp_path / f"data/S{number}_R{trial}.csv", "x,y,z")
    (tmp_path / "data/codes.csv").write_text("code,activity\n1,sit\n2,walk\n3,run\n4,lie\n")
    (tmp_path / "data/people.csv").write_text("subject,age,site\n1,30,a\n2,31,a\n3,32,b\n")
    _, config, _ = init(tmp_path / "data")
    assert config.source.table == "people.csv"
    assert config.source.label_column is None


def test_a_table_of_labels_beside_the_files_of_several_places_is_of_all_of_them(
    tmp_path: Path, init: Init
) -> None:
    for user in (1, 2, 3):
        for day in ("220617", "260617"):
            folder = tmp_path / f"data/User{user}/{day}"
            folder.mkdir(parents=True)
            times = 1498120000000 + np.arange(800) * 10
            label = np.arange(800) // 200 + 1
            for place in ("Hand", "Hips"):
                table = np.column_stack([times, RNG.normal(size=(800, 3))])
                np.savetxt(folder / f"{place}_Motion.txt", table, ["%d", *["%.4f"] * 3])
            kinds = np.column_stack([times, label, 10 * label, np.zeros((800, 2))])
            np.savetxt(folder / "Label.txt", kinds, "%d")
    code, config, told = init(tmp_path / "data")
    assert code == 0
    places = [f"User{{subject}}/{{trial}}/{place}_Motion.txt" for place in ("Hand", "Hips")]
    assert config.source.files == places
    assert config.source.labels_file == "User{subject}/{trial}/Label.txt"
    assert (config.source.labels, config.source.label_column) == ("1", None)
    assert any("Label.txt" in each for each in told["unsure"])


def test_intervals_that_say_their_unit_and_name_files_are_proposed(
    tmp_path: Path, init: Init
) -> None:
    rows = ["filename,start_s,end_s,label"]
    for person in (1, 2, 3):
        for trial in (1, 2):
            name = f"chb{person:02}/chb{person:02}_{trial:02}.csv"
            csv(tmp_path / "data" / name, "F7,T7", rows=3000)
            rows += [f"{name},{4 * trial},{4 * trial + 5},seizure", f"{name},20,28,calm"]
    (tmp_path / "data/seizures.csv").write_text("\n".join(rows) + "\n")
    code, config, _ = init(tmp_path / "data")
    assert code == 2
    intervals = config.source.intervals
    assert intervals is not None
    assert (intervals.file, intervals.unit) == ("seizures.csv", "s")
    assert intervals.columns == ["file", "start", "stop", "label"]
    # The rate is asked for: how many rows a stretch has is not known.
    assert config.source.rate_hz is None
    assert config.source.window_samples == 128
    assert config.source.label_rule == "pure"
