"""Labels and targets that do not fit: one line with the way out, exit code 2, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.pipeline.cli.main import main
from headrace.stores.errors import ConfigError, GroupError, SourceError, UserError
from tests.pipeline.test_bad_input import refuse
from tests.stores.source_files import C, N, T, write_recordings, write_windows

pytestmark = pytest.mark.usefixtures("probed_here")
RNG = np.random.default_rng(0)
MARKS = (RNG.random((N, 4)) < 0.4).astype("i8")
VALUES = RNG.normal(size=N)
CODES = RNG.integers(0, 3, (N, T))
ROWS = {"source.window_samples": 16}
RAGGED = h5py.vlen_dtype(np.dtype("i4"))


def with_value(array: Any, place: Any, value: Any) -> Any:
    """A copy with another value in one place."""
    changed = np.array(array, dtype=np.result_type(array, value))
    changed[place] = value
    return changed


def ragged(path: Path) -> None:
    write_windows(path, y=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("y", (N,), RAGGED)


def without_names(path: Path) -> None:
    write_windows(path, y=MARKS)
    with h5py.File(path, "a") as file:
        file["y"].attrs["names"] = ["a", "a", "b", "c"]


Make = Callable[[Path], Any]
Case = tuple[Make, dict[str, Any], type[UserError], tuple[str, ...]]


def windows(y: Any, **changes: Any) -> Make:
    """A file of windows with these labels."""
    return lambda path: write_windows(path, y=y, **changes)


def rows(labels: Any, **changes: Any) -> Make:
    """A file of recordings with these labels."""
    return lambda path: write_recordings(path, labels=labels, classes=None, **changes)


KIND = "target.kind"
CASES: dict[str, Case] = {
    "a sequence for each window of its own length": (
        ragged, {KIND: "sequence"}, SourceError, ("y",)),
    "values for each window of their own number": (ragged, {KIND: "value"}, SourceError, ("y",)),
    "marks below 0": (
        windows(with_value(MARKS, (7, 2), -1)), {KIND: "labels"}, SourceError, ("-1", "7", "2")),
    "marks above 1": (
        windows(with_value(MARKS, (88, 0), 3)), {KIND: "labels"}, SourceError, ("3", "88")),
    "marks that are probabilities": (
        windows(RNG.random((N, 3))), {KIND: "labels"}, SourceError, ("source.labels", "0")),
    "marks that are NaN": (
        windows(with_value(MARKS, (5, 1), np.nan)), {KIND: "labels"}, SourceError, ("nan", "5")),
    "names in cells that are not declared": (
        windows(["AF;ST", "ST"] * (N // 2)), {KIND: "labels", "target.names": ["AF"]},
        SourceError, ("target.names", "ST")),
    "cells without any name": (
        windows([";"] * N), {KIND: "labels"}, SourceError, ("source.labels",)),
    "marks of texts": (
        windows([["AF", "ST"]] * N), {KIND: "labels"}, SourceError, ("source.labels", KIND)),
    "no column": (windows(np.zeros((N, 0))), {KIND: "labels"}, SourceError, ("(90, 0)",)),
    "no column, unsaid": (windows(np.zeros((N, 0))), {}, SourceError, ("(90, 0)",)),
    "a label that all windows have": (
        windows(np.tile([1, 0, 0], (N, 1))), {KIND: "labels"}, GroupError, ("90", "none")),
    "one column of two is marked, in each row": (
        windows(np.eye(4)[np.arange(N) % 4]), {}, SourceError, (KIND, '"labels"', "4")),
    "whole numbers in several columns": (
        windows(RNG.integers(0, 9, (N, 3))), {}, SourceError, (KIND, '"value"', '"sequence"')),
    "many ordered whole numbers": (
        windows(np.arange(N)), {}, SourceError, (KIND, '"value"', '"class"', "90", "0", "89")),
    "many ordered whole numbers of rows": (
        rows(np.arange(200) // 10), {"source.window_samples": 5}, SourceError,
        (KIND, '"value"', '"class"')),
    "names that do not fit": (
        windows(MARKS), {"target.names": ["a", "b"]}, SourceError, ("target.names", "2", "4")),
    "names that come twice": (
        windows(MARKS), {"target.names": list("aabc")}, ConfigError, ("target",)),
    "names in the file that come twice": (without_names, {}, SourceError, ("target.names", "a")),
    "a name that commands a terminal": (
        windows(VALUES), {"target.names": ["a\x1b[31m"]}, ConfigError, ("target",)),
    "a label with the name of none": (
        windows(MARKS), {"target.names": ["a", "b", "c", "no label"]}, SourceError,
        ("target.names",)),
    "classes that do not fit": (
        windows(MARKS, classes=["a", "b"]), {KIND: "labels"}, SourceError, ("2", "4")),
    "units that do not fit": (
        windows(VALUES), {"target.units": ["m", "s"]}, SourceError, ("target.units", "2", "1")),
    "NaN among values": (
        windows(with_value(VALUES, 11, np.nan)), {}, SourceError, ("source.non_finite", "11")),
    "infinity among values, filled": (
        windows(with_value(VALUES, 4, np.inf)), {"source.non_finite": "fill"}, SourceError,
        ("source.non_finite", "4")),
    "values beyond what is stored": (
        windows(with_value(VALUES, 2, 1e300)), {}, SourceError, ("source.non_finite", "2")),
    "one constant value": (windows(np.full(N, 4)), {KIND: "value"}, GroupError, ("90",)),
    "a value that its cap makes constant": (
        windows(np.arange(N)), {KIND: "value", "target.cap": 0}, GroupError, ("90",)),
    "values of texts": (
        windows(["fast"] * N), {KIND: "value"}, SourceError, (KIND, "source.labels")),
    "values of three axes": (
        windows(RNG.normal(size=(N, 2, 2))), {KIND: "value"}, SourceError, ("(90, 2, 2)",)),
    "fewer values than windows": (
        windows(VALUES[:-1]), {KIND: "value"}, SourceError, ("89", "90", "source.labels")),
    "more marks than windows": (
        windows(np.concatenate([MARKS, MARKS])), {}, SourceError, ("180", "90")),
    "a sequence longer than windows": (
        windows(RNG.integers(0, 3, (N, T + 4))), {KIND: "sequence"}, SourceError,
        ("(90, 20)", "16")),
    "a sequence that does not fit windows": (
        windows(CODES[:, :5]), {KIND: "sequence"}, SourceError, ("(90, 5)", "16")),
    "a sequence of one label a window": (
        windows(np.arange(N) % 3), {KIND: "sequence"}, SourceError, ("(90,)", "16")),
    "every that does not fit": (
        windows(CODES), {KIND: "sequence", "target.every": 5}, SourceError,
        ("target.every", "5", "16")),
    "every above the window": (
        rows(np.arange(200) // 30 % 3), {KIND: "sequence", "target.every": 32, **ROWS},
        SourceError, ("target.every", "32", "16")),
    "a sequence without any label": (
        windows(np.full((N, T), -1)), {KIND: "sequence"}, SourceError, ("source.class_map",)),
    "a sequence of one class": (
        windows(np.full((N, T), 2)), {KIND: "sequence"}, GroupError, ("90", "1")),
    "a code of a sequence that no class has": (
        windows(CODES, classes=["a", "b"]), {KIND: "sequence"}, SourceError, ("2",)),
    "a class that is misspelt": (
        windows(CODES), {KIND: "sequence", "source.exclude_labels": ["walk"]}, SourceError,
        ("source.exclude_labels", "walk")),
    "classes of values": (
        windows(VALUES), {KIND: "value", "source.class_map.a": ["1"]}, SourceError,
        ("source.class_map", KIND)),
    "labels left out of several": (
        windows(MARKS), {KIND: "labels", "source.exclude_labels": ["0"]}, SourceError,
        ("source.exclude_labels", KIND)),
    "what remains of windows": (
        windows(VALUES), {"target.remaining": True}, SourceError, ("target.remaining",)),
    "a choice of rows of windows": (
        windows(VALUES), {"target.at": "mean"}, SourceError, ("target.at",)),
    "a choice of rows of one value a recording": (
        rows(np.array([1.5, 2.5, 3.5])), {"target.at": "mean", **ROWS}, SourceError,
        ("target.at",)),
    "values of every so many seconds": (
        rows(np.arange(33) + 0.5), {KIND: "value", "source.label_every_s": 1, **ROWS},
        SourceError, ("33", "source.label_every_s")),
    "neither a value a row nor a recording": (
        rows(np.arange(20) + 0.5), {KIND: "value", **ROWS}, SourceError, ("(20,)", "200", "3")),
    "values of no labels": (
        windows(None), {KIND: "value"}, SourceError, ("source.labels",)),
    "values, and no labels wanted": (
        rows(None), {KIND: "value", "source.labels": "", **ROWS}, SourceError,
        ("source.labels", KIND)),
    "a column of texts of the table": (
        rows(None, **{"recordings/name": ["a", "b", "c"]}),
        {KIND: "value", "source.label_column": "name", **ROWS}, SourceError, (KIND,)),
    "an unknown kind": (windows(VALUES), {KIND: "regression"}, ConfigError, (KIND, "regression")),
    "an unknown key": (windows(VALUES), {"target.unit": "m"}, ConfigError, ("target.units",)),
    "every of values": (
        windows(VALUES), {KIND: "value", "target.every": 2}, ConfigError, ("target", "every")),
    "a cap of classes": (
        windows(CODES[:, 0]), {KIND: "class", "target.cap": 2}, ConfigError, ("cap",)),
    "names of classes": (
        windows(CODES[:, 0]), {KIND: "class", "target.names": ["a"]}, ConfigError,
        ("source.classes",)),
    "two values that remain": (
        rows(None), {"target.remaining": True, "target.names": ["a", "b"], **ROWS}, ConfigError,
        ("remaining",)),
    "names and units that differ in number": (
        windows(VALUES), {"target.names": ["a"], "target.units": ["m", "s"]}, ConfigError,
        ("1", "2")),
    "a target within the source": (
        windows(VALUES), {"source.target.kind": "value"}, ConfigError, ("source.target",)),
    "classes of several columns": (
        windows(None, a=CODES[:, 0], b=CODES[:, 1]), {KIND: "class", "source.labels": ["a", "b"]},
        SourceError, ("source.labels", "2")),
    "several columns of which one is missing": (
        windows(None, a=VALUES), {KIND: "value", "source.labels": ["a", "b"]}, SourceError,
        ("source.labels", "b")),
    "several columns that differ in length": (
        windows(None, a=VALUES, b=VALUES[:-2]), {KIND: "value", "source.labels": ["a", "b"]},
        SourceError, ("88", "90")),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, keys, kind, named = CASES[case]
    make(tmp_path / "source.h5")
    given = [part for key, value in keys.items() for part in ("--set", f"{key}={toml(value)}")]
    refuse(["plan", "--data", str(tmp_path / "source.h5"), *given], kind, named, tmp_path, capsys)


def toml(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join('"' + each.replace("\x1b", "\\u001b") + '"' for each in value) + "]"
    return str(value)


def test_what_can_be_read_is_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_windows(tmp_path / "source.h5", y=MARKS)
    assert main(["plan", "--data", str(tmp_path / "source.h5")]) == 0
    assert capsys.readouterr().out
    assert MARKS.shape == (N, C + 1)
