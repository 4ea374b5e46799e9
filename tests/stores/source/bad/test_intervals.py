"""Tables of labelled intervals that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headrace.stores.errors import SourceContentError, SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused
from tests.stores.source.bad.cases import Refusal, assert_command_refused

ROWS = 60
HEAD = "subject,start,stop,label\n"
RIGHT = "1,0,30,sit\n1,30,60,walk\n2,0,60,sit\n"


def recordings(folder: Path, table: str | bytes) -> Path:
    (folder / "data").mkdir()
    for subject in (1, 2):
        np.savetxt(folder / f"data/s{subject}.csv", np.zeros((ROWS, 2)), "%g", ",", header="x,z",
                   comments="")  # fmt: skip
    content = table.encode() if isinstance(table, str) else table
    (folder / "data/labels.csv").write_bytes(content)
    return folder / "data"


def settings(**intervals: object) -> dict[str, object]:
    return {
        "files": ["s{subject}.csv"],
        "intervals": {"file": "labels.csv"} | intervals,
        "rate_hz": 10,
        "window_samples": 4,
        "step_samples": 4,
    }


WRONG: dict[str, tuple[str | bytes, dict[str, object], Refusal]] = {
    "an end before its start": (HEAD + RIGHT + "2,9,5,a\n", {}, (SourceError, "4", "9", "5")),
    "a start below zero": (HEAD + "1,-1,5,a\n" + RIGHT, {}, (SourceError, "1", "-1", "5")),
    "an end behind the recording": (HEAD + "1,0,61,a\n", {}, (SourceError, "1", "61", "60")),
    "one row too many where the end is in it": (
        HEAD + "1,0,60,a\n", {"inclusive": True}, (SourceError, "1", "61"),
    ),
    "counted from 0 where 1 is said": (HEAD + "1,0,9,a\n", {"first": 1}, (SourceError, "-1")),
    "intervals over each other": (HEAD + RIGHT + "1,29,31,a\n", {}, (SourceError, "1", "4")),
    "an interval twice": (HEAD + RIGHT + "2,0,60,sit\n", {}, (SourceError, "3", "4")),
    "one within another": (HEAD + "1,0,50,a\n1,10,20,b\n", {}, (SourceError, "1", "2")),
    "no start": (HEAD + "1,,30,a\n1,30,60,b\n", {}, (SourceError, "1", "start", "nan")),
    "no end": (HEAD + "1,0,30,a\n1,30,NaN,b\n", {}, (SourceError, "2", "stop", "nan")),
    "no label among texts": (HEAD + "1,0,30,a\n1,30,60,\n", {}, (SourceError, "2", "label")),
    "no label among numbers": (HEAD + "1,0,30,1\n1,30,60,\n", {}, (SourceError, "2", "label")),
    "halves of rows": (HEAD + "1,0,30.5,a\n", {}, (SourceError, "1", "stop", "30.5")),
    "rows beyond all": (HEAD + "1,0,1e300,a\n", {}, (SourceError, "1", "stop", "1e+300")),
    "infinitely late": (HEAD + "1,0,inf,a\n", {"unit": "s"}, (SourceError, "1", "stop", "inf")),
    "seconds that are milliseconds": (
        HEAD + "1,0,6000,a\n", {"unit": "s"}, (SourceError, "60000", "source.intervals.unit"),
    ),
    "a start in words": (
        HEAD + "1,first,30,a\n", {}, (SourceContentError, "line 2", "first", "start"),
    ),
    "a date": (HEAD + "1,2020-01-01,2020-01-02,a\n", {}, (SourceContentError, "line 2")),
    "decimal commas": (
        "subject;start;stop;label\n1;0;1.234,5;a\n", {}, (SourceContentError, "line 2", "1.234,5"),
    ),
    "a subject that is none": (HEAD + RIGHT + "3,0,5,a\n", {}, (SourceError, "4", "subject", "3")),
    "no subject": (HEAD + RIGHT + ",0,5,a\n", {}, (SourceError, "4", "subject")),
    "no column of subjects": ("start,stop,label\n0,5,a\n", {}, (SourceError, "subject")),
    "no column of ends": ("subject,start,end,label\n1,0,5,a\n", {}, (SourceError, "stop", "end")),
    "a column named twice": ("subject,start,start,label\n1,0,5,a\n", {}, (SourceContentError,)),
    "too few names": (HEAD + RIGHT, {"columns": ["start", "stop"]}, (SourceError, "label")),
    "too many names": (
        "1 0 5 a\n2 0 5 b\n",
        {"columns": ["subject", "start", "stop", "label", "by"]},
        (SourceError, "source.intervals.columns", "5"),
    ),
    "a table of nothing": ("", {}, (SourceContentError, "labels.csv")),
    "a header alone": (HEAD, {}, (SourceError,)),
    "labels of another encoding": (
        (HEAD + "1,0,5,caf\xe9\n").encode("latin-1"),
        {},
        (SourceContentError, "line 2", "source.encoding"),
    ),
    "a table outside": (HEAD, {"file": "../labels.csv"}, (SourceError, "../labels.csv")),
    "a table from the root": (HEAD, {"file": "/etc/passwd"}, (SourceError, "/etc/passwd")),
    "a table that is not there": (HEAD, {"file": "no.csv"}, (SourceError, "no.csv")),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_intervals_that_cannot_be_meant_are_refused(name, tmp_path):
    table, intervals, (kind, *named) = WRONG[name]
    folder = recordings(tmp_path, table)
    with refused(kind, *named), open_source(folder, SourceOptions(**settings(**intervals))):
        pass


@pytest.mark.usefixtures("probed_here")
def test_the_command_says_so_in_one_line(tmp_path, capsys):
    folder = recordings(tmp_path, HEAD + "1,0,30.5,sit\n")
    given = (
        'source.files=["s{subject}.csv"]',
        'source.intervals={file="labels.csv"}',
        "source.rate_hz=10",
        "source.window_samples=4",
    )
    case = (SourceError, "1", "30.5", "stop")
    assert_command_refused(tmp_path, folder, case, capsys, given)


def test_intervals_that_are_right_label_their_rows(tmp_path):
    folder = recordings(tmp_path, HEAD + RIGHT)
    with open_source(folder, SourceOptions(**settings())) as source:
        labels = source.read_labels(0, source.windows)
        assert source.classes == ("sit", "walk")
        assert labels.label.tolist() == [0] * 7 + [1] * 7 + [0] * 15
