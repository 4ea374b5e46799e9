"""Small inputs as people have them, each of a kind that is met often, through `headrace plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.pipeline.cli.main import main
from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import assert_refused

RNG = np.random.default_rng(7)
PEOPLE, EACH, T = 6, 8, 20


def opened(path: Path, **options: Any) -> Any:
    return open_source(path, SourceOptions.model_validate(options))


def planned(path: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> int:
    """Windows of the source, once `plan` has said that a store of it can be made."""
    target = options.get("target", {})
    given = [f"target.{name}={json.dumps(value)}" for name, value in target.items()]
    given += [f"source.{n}={json.dumps(value)}" for n, value in options.items() if n != "target"]
    code = main(["plan", "--data", str(path), *(p for each in given for p in ("--set", each))])
    assert code == 0, capsys.readouterr().err
    with opened(path, **options) as source:
        windows: int = source.windows
    return windows


def write(path: Path, rate: float | None = 20.0, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
        if rate is not None:
            file.attrs["sampling_rate_hz"] = rate
    return path


def windows(channels: int = 3) -> dict[str, Any]:
    n = PEOPLE * EACH
    y = np.arange(n) % 3
    x = RNG.normal(size=(n, T, channels)).astype("f4") + y[:, None, None].astype("f4")
    return {"X": x, "y": y, "groups": np.arange(n) // EACH}


def test_channels_first_with_lying_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = windows(5)
    path = write(
        tmp_path / "eeg.h5",
        X=held["X"].transpose(0, 2, 1),
        y=held["y"][None],
        groups=held["groups"][:, None],
    )
    axes = ["window", "channel", "time"]
    assert planned(path, capsys, axes=axes) == PEOPLE * EACH
    with opened(path, axes=axes) as source:
        assert source.spec.shape == (T, 5)
        np.testing.assert_array_equal(source.read_windows(0, 9), held["X"][:9])
        assert len(source.groups) == PEOPLE


@pytest.mark.parametrize("lost", [False, True])
def test_a_file_a_subject_joined_by_virtual_datasets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: bool
) -> None:
    held = windows()
    (tmp_path / "parts").mkdir()
    for person in range(PEOPLE):
        mine = held["groups"] == person
        write(tmp_path / f"parts/p{person}.h5", **{k: v[mine] for k, v in held.items()})
    with h5py.File(tmp_path / "all.h5", "w") as file:
        for name, values in held.items():
            layout = h5py.VirtualLayout(values.shape, values.dtype)
            for person in range(PEOPLE):
                place = slice(EACH * person, EACH * (person + 1))
                part = h5py.VirtualSource(f"parts/p{person}.h5", name, (EACH, *values.shape[1:]))
                layout[place] = part
            file.create_virtual_dataset(name, layout)
        file.attrs["sampling_rate_hz"] = 20.0
    if lost:
        (tmp_path / "parts/p2.h5").unlink()
        assert main(["plan", "--data", str(tmp_path / "all.h5")]) == 2
        assert_refused(capsys.readouterr().err, SourceError, "p2.h5")
        return
    for path in ("all.h5", "parts"):
        assert planned(tmp_path / path, capsys) == PEOPLE * EACH
    with opened(tmp_path / "all.h5") as one, opened(tmp_path / "parts") as many:
        np.testing.assert_array_equal(one.read_windows(0, 40), many.read_windows(0, 40))
        assert one.groups == many.groups


def test_a_stage_for_each_30_s_with_some_not_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs, rate = 6, 10
    stages = np.tile([0, 1, 2, 1, 0, -1], PEOPLE)
    rows = np.repeat(stages, 30 * rate)
    starts = np.arange(PEOPLE) * epochs * 30 * rate
    path = write(
        tmp_path / "sleep.h5",
        rate=10.0,
        signals=RNG.normal(size=(len(rows), 2)),
        labels=stages,
        **{
            "recordings/start": starts,
            "recordings/length": np.full(PEOPLE, epochs * 30 * rate),
            "recordings/subject": np.arange(PEOPLE),
        },
    )
    options = {"label_every_s": 30, "window_s": 30, "exclude_labels": ["-1"], "overlap": 0}
    assert planned(path, capsys, **options) == PEOPLE * (epochs - 1)
    with opened(path, **options) as source:
        assert source.classes == ("0", "1", "2")


def test_windows_of_a_stage_each_of_which_some_are_not_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = windows()
    held["y"] = np.where(np.arange(len(held["y"])) % 6 == 5, -1, held["y"])
    path = write(tmp_path / "sleep.h5", **held, classes=[b"W", b"N", b"R"])
    scored = int((held["y"] >= 0).sum())
    assert planned(path, capsys, exclude_labels=["-1"]) == scored
    with opened(path, exclude_labels=["-1"]) as source:
        assert source.classes == ("W", "N", "R")


def test_upright_columns_of_a_table_that_counts_its_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = np.repeat(np.arange(8), 100)
    path = write(
        tmp_path / "matlab.h5",
        rate=50.0,
        data=RNG.normal(size=(800, 3)).astype("f4"),
        label=(clip % 2)[:, None].astype("f4"),
        clip=clip[:, None].astype("f4"),
    )
    options = {"signals": "data", "groups": "clip", "window_samples": 50, "overlap": 0}
    assert planned(path, capsys, **options) == 16
    with opened(path, **options) as source:
        assert len(source.groups) == 8
        assert source.classes == ("0", "1")


@pytest.mark.parametrize("flat", [False, True])
def test_one_channel_ten_minutes_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flat: bool
) -> None:
    held = windows(1)
    x = held["X"][..., 0] if flat else held["X"]
    path = write(tmp_path / "tank.h5", rate=1 / 600, X=x, y=held["y"] > 1, groups=held["groups"])
    assert planned(path, capsys) == PEOPLE * EACH
    with opened(path) as source:
        assert source.spec.shape == (T, 1)
        assert source.classes == ("0", "1")


def test_counts_of_a_converter_around_its_middle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = windows()
    step = 1 / 2048
    path = write(tmp_path / "counts.h5", **held)
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = (np.round(held["X"] / step) + 32768).astype("u2")
        file["X"].attrs.update(scale_to_units=step, add_offset=-16.0)
    options = {"offset": [-16.0] * 3}
    planned(path, capsys, **options)
    with opened(path, **options) as source:
        found = source.read_windows(0, 9) * np.array(source.spec.scale)
        np.testing.assert_allclose(found, held["X"][:9], atol=step)


@pytest.mark.parametrize("ids", ["padded", "returns", "large", "numbers"])
def test_people_whose_ids_are_written_in_several_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: str
) -> None:
    held = windows()
    who, second = held["groups"], np.arange(len(held["y"])) % 2 == 1
    written: Any
    if ids == "large":
        written = np.uint64(2**63 + 5) + who.astype("u8")
    elif ids == "numbers":
        written = (30_000_001 + who).astype("f4")
    else:
        end = "   " if ids == "padded" else "\r"
        written = np.array([f"P{w}" + end * int(s) for w, s in zip(who, second, strict=True)], "S8")
    path = write(tmp_path / "ids.h5", **{**held, "groups": written})
    if ids == "numbers":
        assert main(["plan", "--data", str(path)]) == 2
        assert_refused(capsys.readouterr().err, SourceError, "ids.h5:/groups", "source.groups")
        return
    planned(path, capsys)
    with opened(path) as source:
        assert len(source.groups) == PEOPLE


def test_several_diagnoses_of_a_tracing_and_some_with_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n, names = 60, ["1dAVb", "RBBB", "LBBB", "SB", "AF", "ST"]
    tracings = RNG.normal(size=(n, 64, 12)).astype("f4")
    tracings[:, :9] = 0
    marks = (RNG.random((n, 6)) < 0.3).astype("u1")
    marks[::7] = 0
    path = write(tmp_path / "ecg.h5", 400.0, tracings=tracings, patient_id=np.arange(n) // 3 + 500,
                 exam_id=np.arange(n) + 1_000_000, labels=marks)  # fmt: skip
    with h5py.File(path, "a") as file:
        file["labels"].attrs["names"] = names
    options = {"windows": "tracings", "groups": "patient_id"}
    assert planned(path, capsys, **options) == n
    with opened(path, **options) as source:
        assert (source.target.kind, source.classes) == ("labels", tuple(names))
        np.testing.assert_array_equal(source.read_labels(0, n).label, marks)


@pytest.mark.parametrize("form", ["rows", "windows", "halves"])
def test_flights_that_are_left_of_an_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    units, flights, each = 4, 20, 30
    unit = np.repeat(np.arange(1, units + 1), flights * each)
    flight = np.tile(np.repeat(np.arange(1, flights + 1), each), units)
    left = (flights - flight).astype("f8")
    sensors = RNG.normal(size=(len(unit), 5)) + left[:, None]
    options: dict[str, Any]
    if form == "rows":
        about = np.stack([unit, flight, np.ones(len(unit)), left > 10], axis=1).astype("f8")
        names = np.array(["unit", "cycle", "Fc", "hs"], "S20")
        held = {"X_s_dev": sensors, "A_dev": about, "A_var": names, "Y_dev": left[:, None]}
        path = write(tmp_path / "engines.h5", None, **held)
        options = {"signals": "X_s_dev", "labels": "Y_dev", "groups": "A_dev[:, 0]"}
        options |= {"rate_hz": 1.0, "window_samples": 10, "step_samples": 10}
    else:
        m = len(left) // 10
        y = left.reshape(m, 10)[:, -1] + (0.5 if form == "halves" else 0)
        groups = unit.reshape(m, 10)[:, 0]
        path = write(tmp_path / "engines.h5", 1.0, X=sensors.reshape(m, 10, 5), y=y, groups=groups)
        options = {}
    if form != "halves":
        given = [
            part for n, v in options.items() for part in ("--set", f"source.{n}={json.dumps(v)}")
        ]
        assert main(["plan", "--data", str(path), *given]) == 2
        assert_refused(capsys.readouterr().err, SourceError, "target.kind", '"value"', '"class"')
        options["target"] = {"kind": "value", "cap": 15.0}
    count = len(left) // 10
    assert planned(path, capsys, **options) == count
    with opened(path, **options) as source:
        wanted = left[9::10] + 0.5 if form == "halves" else np.minimum(left[9::10], 15)
        np.testing.assert_array_equal(source.read_labels(0, count).label[:, 0], wanted)
        assert len(source.groups) == units
