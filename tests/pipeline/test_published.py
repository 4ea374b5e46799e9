"""Configurations of public data sets, on small trees in the layouts that these have.

The trees are written here, with generated values; what the real files hold is not tried.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from headrace.pipeline.commands.plan import run_plan
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import load_config
from headrace.stores.source.source import open_source
from headrace.stores.store import open_store
from tests.conftest import ROOT, request_for
from tests.in_process import store_here

PUBLISHED = ROOT / "configs/published"
pytestmark = pytest.mark.usefixtures("probed_here")


@dataclass(frozen=True)
class Expected:
    """What a configuration makes of a small tree."""

    windows: int
    classes: Sequence[str]
    groups: Sequence[str]
    rate_hz: float
    shape: tuple[int, int]
    first: Callable[[Path], NDArray[np.float64]] | None = None
    """Channel 0 of the first window, out of the file by other means."""


def values(rows: int, columns: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(rows, columns)).round(4)


def blocks(labels: Sequence[int], rows: int) -> NDArray[np.int64]:
    return np.repeat(labels, rows)


def save_text(path: Path, rows: NDArray[np.float64], **options: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, rows, fmt="%.6g", **options)


PAMAP2_USED = [first + n for first in (4, 10, 21, 27, 38, 44) for n in range(3)]
ACTIVITIES = (1, 2, 3, 4, 5, 6, 7, 12, 13, 16, 17, 24)


def pamap2(folder: Path) -> Expected:
    """54 columns, NaN between the beats of a heart, lost packets, transient stretches."""
    labels = np.repeat([0, *ACTIVITIES], [300, 1024, *[520] * 11])
    for subject in (101, 102, 103):
        table = np.zeros((len(labels), 54))
        table[:, PAMAP2_USED] = values(len(labels), len(PAMAP2_USED), subject)
        table[:, 0] = np.arange(len(labels)) / 100 + 5.67
        table[:, 1] = labels
        table[:, 2] = np.where(np.arange(len(labels)) % 11, np.nan, 80 + subject % 10)
        table[310:312, 4:7] = np.nan
        save_text(folder / f"Protocol/subject{subject}.dat", table)
    (folder / "Optional").mkdir()
    save_text(folder / "Optional/subject101.dat", values(9, 54))
    # Lying has 3 windows of 512 every 256 rows, of which the first has lost packets; the others 1.
    names = tuple(load_config(PUBLISHED / "pamap2.toml").source.class_map)
    return Expected(3 * 13, names, ("101", "102", "103"), 100.0, (512, 19))


def wisdm(folder: Path) -> Expected:
    """Semicolons end rows, some of which are empty, cut, or two in a line; users in runs."""
    lines = []
    for user, activity in ((33, "Jogging"), (33, "Walking"), (17, "Jogging"), (6, "Walking")):
        rows = values(400, 3, user)
        lines += [
            f"{user},{activity},{0 if n % 7 else 49105962326000 + n},{x},{y},{z};"
            for n, (x, y, z) in enumerate(rows)
        ]
    lines[900:900] = ["", "17,Jogging,4910", "17,Jogging,0,0.5,0.25,;", "17,Jogging,1,2,3,4,;"]
    lines[50] += lines.pop(51)
    (folder / "WISDM_ar_v1.1_raw.txt").write_text("\n".join(lines) + "\n")
    (folder / "readme.txt").write_text("About this data.\n")
    # A row without its z has five numbers and is not finite: of its 3 windows 2 go.
    return Expected(4 * 3 - 2, ("Jogging", "Walking"), ("6", "17", "33"), 20.0, (200, 3))


def uci_har(folder: Path) -> Expected:
    """Windows as lines, a file a channel; labels, subjects and names in files of their own."""
    for part, subjects in (("train", (1, 3, 5)), ("test", (2, 4))):
        count = 6 * len(subjects)
        for sensor in ("body_acc", "body_gyro", "total_acc"):
            for axis in "xyz":
                name = f"{part}/Inertial Signals/{sensor}_{axis}_{part}.txt"
                save_text(folder / name, values(count, 128, len(sensor)))
        save_text(folder / f"{part}/y_{part}.txt", np.tile([5, 1, 6, 2, 4, 3], len(subjects)))
        save_text(folder / f"{part}/subject_{part}.txt", np.repeat(subjects, 6))
        save_text(folder / f"{part}/X_{part}.txt", values(count, 561))
    names = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
    listed = "".join(f"{number} {name}\n" for number, name in enumerate(names, 1))
    (folder / "activity_labels.txt").write_text(listed)
    return Expected(
        30,
        names,
        ("1", "2", "3", "4", "5"),
        50.0,
        (128, 9),
        lambda root: np.loadtxt(root / "test/Inertial Signals/total_acc_x_test.txt")[0],
    )


MOTION = ",".join(
    f"{sensor}.{axis}"
    for sensor, axes in (
        ("attitude", ("roll", "pitch", "yaw")),
        ("gravity", "xyz"),
        ("rotationRate", "xyz"),
        ("userAcceleration", "xyz"),
    )
    for axis in axes
)


def motionsense(folder: Path) -> Expected:
    """A folder a trial, whose name is the label; a first column without a name."""
    for trial in ("dws_1", "dws_2", "ups_3", "wlk_7", "jog_9", "std_6", "sit_5"):
        for subject in (1, 2, 10):
            rows = np.column_stack([np.arange(200), values(200, 12, subject)])
            name = f"A_DeviceMotion_data/{trial}/sub_{subject}.csv"
            save_text(folder / name, rows, delimiter=",", header=f",{MOTION}", comments="")
    (folder / "data_subjects_info.csv").write_text("code,weight\n1,102\n2,72\n10,54\n")
    return Expected(
        21 * 2,
        ("downstairs", "upstairs", "walking", "jogging", "standing", "sitting"),
        ("1", "2", "10"),
        50.0,
        (128, 9),
    )


def capture24(folder: Path) -> Expected:
    """Packed tables with dates, long annotations, rows without one, and a dictionary of them."""
    dictionary = {
        "7030 sleeping;MET 0.95": "sleep",
        "home activity;household chores;11580 office work, writing;MET 1.5": "sit-stand",
        "transportation;walking;17250 walking as the only means;MET 3.0": "walking",
    }
    (folder / "annotation-label-dictionary.csv").write_text(
        "annotation,label:Walmsley2020,label:Willetts2018\n"
        + "".join(f'"{text}",other,{name}\n' for text, name in dictionary.items())
    )
    (folder / "metadata.csv").write_text("pid,age,sex\nP001,38-52,F\n")
    for subject in (1, 2, 3):
        texts = ["", *dictionary]
        begin = np.datetime64("2016-11-13T02:18:00.000000")
        lines = ["time,x,y,z,annotation"]
        for n, (x, y, z) in enumerate(values(8400, 3, subject)):
            moment = str(begin + np.timedelta64(10_000 * n, "us")).replace("T", " ")
            text = texts[n // 2100]
            lines.append(f"{moment},{x},{y},{z}," + (f'"{text}"' if "," in text else text))
        packed = gzip.compress("\n".join(lines).encode(), mtime=0)
        (folder / f"P{subject:03d}.csv.gz").write_bytes(packed)
    return Expected(
        3 * 6, ("sleep", "sit-stand", "walking"), ("001", "002", "003"), 100.0, (1000, 3)
    )


def harth(folder: Path) -> Expected:
    """Columns in another order in some files, and one more; a gap."""
    columns = ["back_x", "back_y", "back_z", "thigh_x", "thigh_y", "thigh_z"]
    labels = blocks([1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 130, 140], 400)
    for subject in (6, 15, 23):
        begin = np.datetime64("2019-01-12T00:00:00.000")
        more = {15: ["index"], 23: [""]}.get(subject, [])
        lines = [",".join([*more, "timestamp", *columns, "label"])]
        for n, row in enumerate(values(len(labels), 6, subject)):
            moment = begin + np.timedelta64(20 * n + (600_000 if n >= 2400 else 0), "ms")
            cells = [str(moment).replace("T", " "), *map(str, row), str(labels[n])]
            lines.append(",".join([str(n)] * len(more) + cells))
        (folder / f"S{subject:03d}.csv").write_text("\n".join(lines) + "\n")
    # No window joins the two halves.
    windows = 2 * ((2400 - 256) // 128 + 1)
    names = tuple(load_config(PUBLISHED / "harth.toml").source.class_map)
    return Expected(3 * windows, names, ("006", "015", "023"), 50.0, (256, 6))


def cwru(folder: Path) -> Expected:
    """MATLAB files by number: variables carry it, or another, or another's stand beside them."""
    header, *rows = (PUBLISHED / "cwru.csv").read_text().splitlines(keepends=True)
    listed = [row for row in rows if int(row.split(".")[0]) in (97, 98, 99, 174, 175, 176)]
    (folder / "cwru.csv").write_text(header + "".join(listed))
    for number in (97, 98, 99, 174, 175, 176):
        name = {174: "X173"}.get(number, f"X{number:03d}")
        held = {
            f"{name}_DE_time": values(5000, 1, number),
            f"{name}_FE_time": values(5000, 1, number + 1),
            f"{name}RPM": np.array([[1797]]),
        }
        if number == 99:
            held |= {"X098_DE_time": values(5000, 1), "X098_FE_time": values(5000, 1)}
        if number == 175:
            held |= {"X217_DE_time": values(6000, 1)}
        scipy.io.savemat(folder / f"{number}.mat", held)
    return Expected(
        6 * 2,
        ("inner", "normal"),
        ("0", "1", "2"),
        48000.0,
        (2048, 2),
        lambda root: scipy.io.loadmat(root / "97.mat")["X097_DE_time"][:2048, 0],
    )


def cmapss(folder: Path) -> Expected:
    """Blanks between and at the end of lines; engines one after another."""
    lines = []
    for engine, cycles in ((1, 130), (2, 110), (3, 29), (4, 120)):
        for cycle, row in enumerate(values(cycles, 24, engine), 1):
            lines.append(f"{engine} {cycle} " + " ".join(map(str, row)) + "  ")
    (folder / "train_FD001.txt").write_text("\n".join(lines) + "\n")
    (folder / "RUL_FD001.txt").write_text("112 \n98 \n")
    return Expected(21 + 17 + 19, ("to_99", "from_100"), ("1", "2", "4"), 1.0, (30, 16))


def opportunity(folder: Path) -> Expected:
    """250 columns, milliseconds, NaN of wireless sensors, several columns of labels."""
    for subject in (1, 2, 3):
        table = np.zeros((600, 250))
        table[:, 37:95] = values(600, 58, subject)
        table[:, 0] = (np.arange(600) * 1000 / 30).round()
        table[:, 243] = blocks([0, 1, 2, 4, 5], 120)
        table[:, 244:] = blocks([0, 101, 102], 200)[:, None]
        table[::3, 1:10] = np.nan
        table[250:252, 37] = np.nan
        save_text(folder / f"dataset/S{subject}-ADL1.dat", table)
    (folder / "dataset/label_legend.txt").write_text("Unique index   -   Track name\n")
    # 19 windows of 60 every 30 rows, of which 3 are of none of the classes and 2 hold NaN.
    return Expected(3 * 14, ("stand", "walk", "sit", "lie"), ("1", "2", "3"), 30.0, (60, 30))


def ninapro_db1(folder: Path) -> Expected:
    """MATLAB structs of arrays with one column; rest between movements; folders of people."""
    for subject in (1, 2, 3):
        (folder / f"s{subject}").mkdir()
        restimulus = blocks([0, 1, 0, 2, 0, 12], 100)[:, None].astype(np.int8)
        for exercise in (1, 2):
            held = {
                "emg": values(600, 10, subject).astype(np.float32),
                "stimulus": restimulus,
                "restimulus": restimulus,
                "repetition": restimulus,
                "glove": values(600, 22, subject),
                "subject": np.array([[subject]]),
                "exercise": np.array([[exercise]]),
            }
            scipy.io.savemat(folder / f"s{subject}/S{subject}_A1_E{exercise}.mat", held)
    return Expected(3 * 3 * 7, ("1", "2", "12"), ("1", "2", "3"), 100.0, (40, 10))


TREES = (
    pamap2, wisdm, uci_har, motionsense, capture24, harth, cwru, cmapss, opportunity, ninapro_db1,
)  # fmt: skip


LONGER = ("capture24", "pamap2", "harth")


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(
            write, id=write.__name__, marks=pytest.mark.cases if write.__name__ in LONGER else ()
        )
        for write in TREES
    ],
)
def test_a_published_folder_is_read_as_it_is(
    write: Callable[[Path], Expected], tmp_path: Path
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    expected = write(folder)
    with open_source(data_of(write, folder), configured(write).source) as source:
        # Windows with NaN are among them still.
        assert source.windows >= expected.windows
        assert tuple(source.classes) == tuple(expected.classes)
        assert tuple(source.groups) == tuple(expected.groups)
        assert (source.spec.rate_hz, source.spec.shape) == (expected.rate_hz, expected.shape)
        if expected.first is not None:
            first = source.read_windows(0, 1)[0, :, 0]
            np.testing.assert_array_equal(first, expected.first(folder).astype(np.float32))


@pytest.mark.published
@pytest.mark.parametrize("write", TREES, ids=lambda write: write.__name__)
def test_a_published_folder_becomes_a_store_without_a_script(
    write: Callable[[Path], Expected], tmp_path: Path
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    expected = write(folder)
    request = request_for(configured(write), data_of(write, folder), tmp_path / "s.zarr")
    planned = run_plan(request)
    assert {"features", "train"} <= planned["stages"].keys()
    store_here(request)
    made = open_store(tmp_path / "s.zarr")
    assert made.windows == expected.windows
    assert tuple(made.manifest.classes) == tuple(expected.classes)
    assert made.spec.dtype == np.float32


def configured(write: Callable[[Path], Expected]) -> Config:
    return load_config(PUBLISHED / f"{write.__name__}.toml")


def data_of(write: Callable[[Path], Expected], folder: Path) -> Path:
    return folder / "cwru.csv" if write is cwru else folder


def test_every_published_configuration_has_a_tree() -> None:
    assert {path.stem for path in PUBLISHED.glob("*.toml")} == {tree.__name__ for tree in TREES}


def test_the_table_of_cwru_has_each_fault_at_each_load_once() -> None:
    with (PUBLISHED / "cwru.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    faults = {("normal", "0"), *product(("inner", "ball", "outer"), ("7", "14", "21"))}
    listed = [((row["fault"], row["diameter_mil"]), row["load_hp"]) for row in rows]
    assert sorted(listed) == sorted(product(faults, "0123"))
    assert len({row["file"] for row in rows}) == len({row["number"] for row in rows}) == 40


def test_the_engines_of_cmapss_as_published(shared_data: Path) -> None:
    config = load_config(PUBLISHED / "cmapss.toml")
    with open_source(shared_data / "cmapss", config.source) as source:
        table = np.loadtxt(shared_data / "cmapss/train_FD001.txt")
        lengths = np.bincount(table[:, 0].astype(int))[1:]
        assert source.windows == ((lengths - 30) // 5 + 1).sum()
        assert len(source.groups) == 100
        np.testing.assert_array_equal(
            source.read_windows(0, 1)[0, :, 2], table[:30, 6].astype(np.float32)
        )
