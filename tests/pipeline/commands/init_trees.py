"""Small trees of files in layouts that people publish, and what is right for each."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

RATE = 50
ROWS = 400
"""Of a recording."""
RUNS = 100
"""Rows of a stretch of one label."""


@dataclass(frozen=True)
class Tree:
    """A layout.

    Attributes:
        write: writes it into a folder; returns what `init` is to look at, relative to it.
        classes, groups: what the source has to give.
        channels: how many.
        rate: in Hz.
        edits: lines to be added to [source], as a comment of the written file asks.
        windows: candidates; None: any.
        triads: names of those found.
    """

    write: Callable[[Path], str]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    channels: int
    rate: float = RATE
    edits: dict[str, str] = field(default_factory=dict)
    windows: int | None = None
    triads: tuple[str, ...] = ()


def signals(seed: int, rows: int = ROWS, channels: int = 3) -> np.ndarray[Any, Any]:
    """(rows, channels) float64, each of its own."""
    return np.random.default_rng(seed).normal(size=(rows, channels)).round(4)


def labels(names: tuple[str, ...], rows: int = ROWS) -> list[str]:
    """A label a row, in stretches."""
    return [names[row // RUNS % len(names)] for row in range(rows)]


def csv(path: Path, header: str, columns: list[Any], separator: str = ",") -> None:
    """Columns side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header] if header else []
    lines += [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def times(rows: int = ROWS, rate: float = RATE) -> list[float]:
    """Seconds from 0 on."""
    return [round(row / rate, 6) for row in range(rows)]


def hapt(folder: Path) -> str:
    """Two sensors' files of each recording, and a table of intervals beside them."""
    rows = []
    for exp in range(1, 7):
        user = (exp + 1) // 2
        for sensor in ("acc", "gyro"):
            name = f"RawData/{sensor}_exp{exp:02}_user{user:02}.txt"
            csv(folder / name, "", list(signals(exp).T), " ")
        rows += [(exp, user, 1 + k % 2, 1 + 200 * k, 200 * k + 190) for k in range(2)]
    csv(folder / "RawData/labels.txt", "", list(zip(*rows, strict=True)), " ")
    return "RawData"


def logs(folder: Path) -> str:
    """Tables of text that are called .log, tabs between columns, labels in the last; a read-me."""
    for subject in range(1, 5):
        code = [{"rest": 1, "walk": 2}[each] for each in labels(("rest", "walk"))]
        csv(folder / f"mHealth_subject{subject}.log", "", [*signals(subject).T, code], "\t")
    (folder / "README.txt").write_text("Sensors, of people.\n\nColumn 4: the label, by number.\n")
    return "."


def named_by_time(folder: Path) -> str:
    """Tables of text called by the moment that they begin, without an ending."""
    for test in (1, 2, 3):
        for minute in (12, 22, 32):
            name = f"test_{test}/2004.02.12.10.{minute}.39"
            csv(folder / name, "", list(signals(minute).T), "\t")
    return "."


def names_say_all(folder: Path) -> str:
    """Subject, activity and trial in the names; no header of ids, times in ms."""
    for subject in range(1, 5):
        for activity in ("walk", "run"):
            for trial in (1, 2):
                name = f"S{subject:02}_{activity}_{trial}.csv"
                time = [20 * row for row in range(ROWS)]
                csv(folder / name, "time_ms,ax,ay,az", [time, *signals(subject).T])
    return "."


def motion_sense(folder: Path) -> str:
    """A folder an activity, a file a subject, an index without a name in front."""
    names = ["attitude.roll", "attitude.pitch", "attitude.yaw"]
    names += [f"userAcceleration.{axis}" for axis in "xyz"]
    for activity, trial in (("dws", 1), ("ups", 3), ("wlk", 7)):
        for subject in range(1, 5):
            path = folder / f"A_DeviceMotion_data/{activity}_{trial}/sub_{subject}.csv"
            columns = [range(ROWS), *signals(subject, channels=6).T]
            csv(path, "," + ",".join(names), columns)
    return "A_DeviceMotion_data"


def pamap(folder: Path) -> str:
    """Blanks between columns, no header: time, activity, signals."""
    for subject in range(101, 106):
        code = [{"walk": 1, "sit": 2}[each] for each in labels(("walk", "sit"))]
        csv(folder / f"Protocol/subject{subject}.dat", "", [times(), code, *signals(3).T], " ")
    return "Protocol"


def harth(folder: Path) -> str:
    """A file a subject, with dates and a label a row."""
    for subject in range(6, 10):
        dates = [
            f"2019-01-12 00:{row // 3000:02}:{row // RATE % 60:02}.{row % RATE * 20:03}"
            for row in range(ROWS)
        ]
        names = ",".join(f"{place}_{axis}" for place in ("back", "thigh") for axis in "xyz")
        code = [{"walk": 1, "sit": 7}[each] for each in labels(("walk", "sit"))]
        path = folder / f"S{subject:03}.csv"
        csv(path, f"timestamp,{names},label", [dates, *signals(1, channels=6).T, code])
    return "."


def wide_windows(folder: Path) -> str:
    """UCI HAR: a file a channel of each part, (N, T), and y and subject beside."""
    for part, subjects in (("train", (1, 2, 3)), ("test", (4, 5))):
        count = 12 * len(subjects)
        for sensor in ("body_acc", "body_gyro"):
            for axis in "xyz":
                path = folder / part / "Inertial Signals" / f"{sensor}_{axis}_{part}.txt"
                csv(path, "", list(signals(4, count, 64).T), "  ")
        csv(folder / part / f"y_{part}.txt", "", [[1 + n % 3 for n in range(count)]])
        csv(folder / part / f"subject_{part}.txt", "", [np.repeat(subjects, 12).tolist()])
    csv(folder / "activity_labels.txt", "", [[1, 2, 3], ["WALK", "SIT", "LIE"]], " ")
    return "."


def a_class_a_file(folder: Path) -> str:
    """One CSV a class, with a column of subjects."""
    for activity in ("walking", "sitting", "running"):
        who = [f"p{row // 100}" for row in range(ROWS)]
        csv(folder / f"{activity}.csv", "x,y,z,subject", [*signals(2).T, who])
    return "."


def class_folders(folder: Path) -> str:
    """A folder a class, a file a subject."""
    for activity in ("walking", "jogging"):
        for subject in range(1, 5):
            csv(folder / activity / f"{subject}.csv", "x_acc,y_acc,z_acc", list(signals(5).T))
    return "."


def split_folders(folder: Path) -> str:
    """train/ and test/, NumPy files with the subject and activity in their names."""
    for part, subjects in (("train", (1, 2, 3)), ("test", (4, 5))):
        for subject in subjects:
            for activity in ("walk", "sit"):
                path = folder / part / f"subject{subject}_{activity}.npy"
                path.parent.mkdir(exist_ok=True)
                np.save(path, signals(subject))
    return "."


def cwru(folder: Path) -> str:
    """Vibration of a machine at 48 kHz: a MATLAB file a fault."""
    import scipy.io

    for name in ("Normal_0", "Normal_1", "IR007_0", "IR007_1", "B007_0", "B007_1"):
        column = signals(1, 9000, 1)
        scipy.io.savemat(folder / f"{name}.mat", {"DE_time": column, "RPM": 1796.0, "fs": 48828.0})
    return "."


def npz_windows(folder: Path) -> str:
    """Windows, labels, groups and the rate in one archive."""
    count = 60
    np.savez(
        folder / "data.npz",
        X=signals(1, count * 64, 3).reshape(count, 64, 3),
        y=np.arange(count) % 3,
        subjects=np.repeat(np.arange(5), 12),
        fs=20.0,
    )
    return "data.npz"


def mat_windows(folder: Path) -> str:
    """Windows with channels before samples, labels as a column, in a MATLAB file."""
    import scipy.io

    count = 48
    content = {
        "data": signals(1, count * 6, 64).reshape(count, 6, 64),
        "labels": (np.arange(count) % 2)[:, None],
        "subject": np.repeat(np.arange(4), 12)[:, None],
        "srate": 32.0,
    }
    scipy.io.savemat(folder / "eeg.mat", content)
    return "eeg.mat"


def zarr_recordings(folder: Path) -> str:
    """A Zarr group of signals, labels and a table of recordings."""
    import zarr

    group = zarr.open_group(str(folder / "s.zarr"), mode="w")
    group.attrs["sampling_rate"] = RATE
    group.create_array("signals", data=signals(1, 4 * ROWS, 6))
    group["signals"].attrs["channels"] = [f"{s}_{a}" for s in ("acc", "gyr") for a in "xyz"]
    group.create_array("labels", data=np.arange(4 * ROWS) // RUNS % 2)
    for name, values in (
        ("start", ROWS * np.arange(4)),
        ("length", np.full(4, ROWS)),
        ("subject", np.arange(4)),
    ):
        group.create_array(f"recordings/{name}", data=values)
    return "s.zarr"


def one_channel(folder: Path) -> str:
    """(N, T) of one channel, labels and groups as columns."""
    count = 60
    with h5py.File(folder / "w.h5", "w") as file:
        file["X"] = signals(1, count, 128).astype(np.float32)
        file["X"].attrs["Fs"] = 100
        file["y"] = (np.arange(count) % 2)[:, None]
        file["patient"] = np.repeat(np.arange(5), 12)
    return "w.h5"


def parquet_a_subject(folder: Path) -> str:
    """A Parquet file a subject, with times and labels."""
    import pyarrow as pa
    import pyarrow.parquet

    for subject in ("ann", "bob", "cy"):
        x, y, z = signals(1).T
        table = pa.table(
            {"time": times(), "accX": x, "accY": y, "accZ": z, "activity": labels(("a", "b"))}
        )
        pyarrow.parquet.write_table(table, folder / f"{subject}.parquet")
    return "."


def intervals_in_seconds(folder: Path) -> str:
    """A file a subject, and a CSV of labelled intervals in seconds."""
    rows = []
    for subject in range(1, 5):
        csv(folder / f"sub-{subject:02}_50Hz.csv", "x,y,z", list(signals(1).T))
        rows += [(f"{subject:02}", 2.0 * k, 2.0 * k + 1.9, "ab"[k % 2]) for k in range(4)]
    csv(folder / "annotations.csv", "subject,onset,offset,label", list(zip(*rows, strict=True)))
    return "."


def nested(folder: Path) -> str:
    """HDF5: a group a subject and trial, in it two sensors and a label a row."""
    with h5py.File(folder / "n.h5", "w") as file:
        file.attrs["sampling_frequency"] = RATE
        for subject in range(1, 5):
            for trial in (1, 2):
                group = file.create_group(f"subject_{subject:02}/trial_{trial}")
                group["acc"] = signals(subject, ROWS + 10 * trial)
                group["gyro"] = signals(trial, ROWS + 10 * trial)
                group["labels"] = np.arange(ROWS + 10 * trial) // RUNS % 2
    return "n.h5"


def sleep(folder: Path) -> str:
    """HDF5: a group a night, channels of one rate, a stage every 30 s."""
    rate, stages = 16, 40
    with h5py.File(folder / "sleep.h5", "w") as file:
        for night in range(1, 5):
            group = file.create_group(f"sub{night:02}")
            for channel in ("EEG", "EOG"):
                group[f"channels/{channel}"] = signals(night, rate * 30 * stages, 1)[:, 0]
                group[f"channels/{channel}"].attrs["sfreq"] = rate
            group["hypnogram"] = np.arange(stages) // 5 % 3
    return "sleep.h5"


def frames(folder: Path) -> str:
    """pandas' to_hdf, a table a subject."""
    with h5py.File(folder / "f.h5", "w") as file:
        file.attrs["PYTABLES_FORMAT_VERSION"] = np.bytes_("2.1")
        for subject in range(1, 5):
            frame = file.create_group(f"subject{subject}")
            frame.attrs["pandas_type"] = np.bytes_("frame_table")
            kind = [("index", "i8"), ("time", "f8"), ("acc_x", "f4"), ("acc_y", "f4"),
                    ("acc_z", "f4"), ("label", "i8")]  # fmt: skip
            rows = np.zeros(ROWS, kind)
            rows["index"], rows["time"] = np.arange(ROWS), times()
            for axis, column in zip("xyz", signals(subject).T, strict=True):
                rows[f"acc_{axis}"] = column
            rows["label"] = np.arange(ROWS) // RUNS % 2
            table = frame.create_dataset("table", data=rows, chunks=(100,))
            for name, _ in kind[1:]:
                table.attrs[f"{name}_kind"] = np.bytes_(pickle.dumps([name], 0))
    return "f.h5"


def wisdm(folder: Path) -> str:
    """One table of all people: user, activity, time, signals; no header."""
    columns: list[list[Any]] = [[], [], [], [], [], []]
    for user in range(1, 6):
        columns[0] += [user] * ROWS
        columns[1] += labels(("Jogging", "Walking"))
        columns[2] += [1000000 * user + 20 * row for row in range(ROWS)]
        for column, values in zip(columns[3:], signals(user).T, strict=True):
            column += values.tolist()
    csv(folder / "raw.txt", "", columns)
    return "raw.txt"


def cmapss(folder: Path) -> str:
    """C-MAPSS: tables of engines to train and test, and how long those of test last; no header."""
    for part, engines in (("train", 6), ("test", 3)):
        names = np.repeat(np.arange(1, engines + 1), 250)
        cycles = np.tile(np.arange(1, 251), engines)
        columns = [names, cycles, *signals(7, 250 * engines).T]
        csv(folder / f"{part}_FD001.txt", "", columns, " ")
    csv(folder / "RUL_FD001.txt", "", [[112, 98, 69]])
    (folder / "readme.txt").write_text("Data Set: FD001\nTrain trajectories: 6\n")
    return "."


def one_table(folder: Path) -> str:
    """One CSV of all people, with a header."""
    who = [f"p{row // ROWS}" for row in range(4 * ROWS)]
    names = labels(("a", "b"), 4 * ROWS)
    csv(
        folder / "all.csv", "user,x_acc,y_acc,z_acc,activity", [who, *signals(1, 4 * ROWS).T, names]
    )
    return "all.csv"


def table_of_files(folder: Path) -> str:
    """A table that lists files, with what each is."""
    rows = []
    for number in range(8):
        name = f"rec/{number * 7}.csv"
        csv(folder / name, "ax,ay,az", list(signals(number).T))
        rows.append((name, f"P{number // 2}", "walk" if number % 2 else "sit"))
    csv(folder / "files.csv", "file,participant,activity", list(zip(*rows, strict=True)))
    return "files.csv"


def glob(folder: Path) -> str:
    """A glob that takes some files of a folder."""
    for subject in range(1, 5):
        for sensor in ("acc", "gyro"):
            columns = [times(), *signals(subject).T, [n // 100 % 2 for n in range(ROWS)]]
            csv(folder / f"{sensor}_p{subject}.csv", "time,x,y,z,label", columns)
    return "acc_*.csv"


def names_of_their_own(folder: Path) -> str:
    """MATLAB files whose variables are called after the file."""
    import scipy.io

    for number in (97, 98, 105, 118):
        content = {f"X{number:03}_DE_time": signals(number, 9000, 1), f"X{number:03}RPM": 1796.0}
        scipy.io.savemat(folder / f"{number}.mat", content)
    return "."


def empatica(folder: Path) -> str:
    """Empatica E4: start and rate in the first two lines."""
    for subject in range(2, 6):
        for name, rate, channels in (("ACC", 32, 3), ("BVP", 64, 1), ("EDA", 4, 1)):
            rows = signals(subject, rate * 20, channels)
            head = [[f"{1544027337 + subject:.6f}"] * channels, [f"{rate:.6f}"] * channels]
            columns = [[head[0][c], head[1][c], *rows[:, c]] for c in range(channels)]
            csv(folder / f"S{subject}/{name}.csv", "", columns)
    return "."


WALK_RUN = ("run", "walk")
TREES = {
    "HAPT": Tree(
        hapt, ("1", "2"), ("01", "02", "03"), 6, edits={"rate_hz": "50"}, triads=("acc", "gyro")
    ),
    "names that say all": Tree(names_say_all, WALK_RUN, ("01", "02", "03", "04"), 3, triads=("a",)),
    "MotionSense": Tree(
        motion_sense,
        ("dws", "ups", "wlk"),
        ("1", "2", "3", "4"),
        6,
        edits={"rate_hz": "50"},
        triads=("attitude", "userAcceleration"),
    ),
    "PAMAP2": Tree(pamap, ("1", "2"), tuple(map(str, range(101, 106))), 3, edits={"labels": '"1"'}),
    "C-MAPSS": Tree(
        cmapss,
        ("unlabelled",),
        tuple(map(str, range(1, 7))),
        3,
        1,
        edits={"labels": '""'},
    ),
    "HARTH": Tree(harth, ("1", "7"), ("006", "007", "008", "009"), 6, triads=("back", "thigh")),
    "UCI HAR": Tree(
        wide_windows,
        ("WALK", "SIT", "LIE"),
        ("1", "2", "3", "4", "5"),
        6,
        edits={"rate_hz": "50"},
        windows=60,
        triads=("acc", "gyro"),
    ),
    "a class a file": Tree(
        a_class_a_file,
        ("running", "sitting", "walking"),
        ("p0", "p1", "p2", "p3"),
        3,
        edits={"rate_hz": "50"},
        triads=("xyz",),
    ),
    "a class a folder": Tree(
        class_folders,
        ("jogging", "walking"),
        ("1", "2", "3", "4"),
        3,
        edits={"rate_hz": "50"},
        triads=("acc",),
    ),
    "train and test": Tree(
        split_folders,
        ("sit", "walk"),
        ("1", "2", "3", "4", "5"),
        3,
        edits={"rate_hz": "50"},
    ),
    "CWRU": Tree(
        cwru,
        ("B007", "IR007", "Normal"),
        tuple(
            f"{n}.mat" for n in ("B007_0", "B007_1", "IR007_0", "IR007_1", "Normal_0", "Normal_1")
        ),
        1,
        rate=48828,
        edits={"groups": '"file"'},
    ),
    "npz of windows": Tree(npz_windows, ("0", "1", "2"), tuple("01234"), 3, 20, windows=60),
    "MATLAB, channels first": Tree(mat_windows, ("0", "1"), tuple("0123"), 6, 32, windows=48),
    "Zarr of recordings": Tree(
        zarr_recordings, ("0", "1"), tuple("0123"), 6, triads=("acc", "gyr")
    ),
    "one channel": Tree(one_channel, ("0", "1"), tuple("01234"), 1, 100, windows=60),
    "Parquet a subject": Tree(
        parquet_a_subject, ("a", "b"), ("ann", "bob", "cy"), 3, triads=("acc",)
    ),
    "intervals in seconds": Tree(
        intervals_in_seconds, ("a", "b"), ("01", "02", "03", "04"), 3, triads=("xyz",)
    ),
    "nested groups": Tree(nested, ("0", "1"), ("01", "02", "03", "04"), 6, triads=("acc", "gyro")),
    "sleep": Tree(sleep, ("0", "1", "2"), ("01", "02", "03", "04"), 2, 16),
    "pandas": Tree(frames, ("0", "1"), ("1", "2", "3", "4"), 3, triads=("acc",)),
    "WISDM": Tree(wisdm, ("Jogging", "Walking"), ("1", "2", "3", "4", "5"), 3),
    "one table": Tree(
        one_table,
        ("a", "b"),
        ("p0", "p1", "p2", "p3"),
        3,
        edits={"rate_hz": "50"},
        triads=("acc",),
    ),
    "a table of files": Tree(
        table_of_files,
        ("sit", "walk"),
        ("P0", "P1", "P2", "P3"),
        3,
        edits={"rate_hz": "50"},
        triads=("a",),
    ),
    "a glob": Tree(glob, ("0", "1"), ("1", "2", "3", "4"), 3, triads=("xyz",)),
    "variables called after their file": Tree(
        names_of_their_own,
        ("unlabelled",),
        ("97", "98", "105", "118"),
        1,
        48000,
        edits={"rate_hz": "48000", "labels": '""'},
    ),
    "tables called .log": Tree(
        logs,
        ("1", "2"),
        ("1", "2", "3", "4"),
        3,
        edits={"labels": '"3"', "rate_hz": "50"},
    ),
    "tables called by a time": Tree(
        named_by_time,
        ("unlabelled",),
        ("1", "2", "3"),
        3,
        edits={"labels": '""', "rate_hz": "50"},
    ),
    "Empatica E4": Tree(
        empatica,
        ("unlabelled",),
        ("2", "3", "4", "5"),
        5,
        64,
        edits={"labels": '""'},
        triads=("acc",),
    ),
}
