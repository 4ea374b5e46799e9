"""Decimal commas between quotes or tabs, and measurements of LabVIEW: as the same with points."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.load import load_config
from headrace.stores.errors import SourceContentError
from headrace.stores.source.formats.text_table import open_text_table
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused

VALUES = np.random.default_rng(0).normal(size=(60, 3)).round(3) * [1, 0.1, 100]
LVM = """LabVIEW Measurement\t
Writer_Version\t2
Separator\tTab
Decimal_Separator\t.
Multi_Headings\tNo
X_Columns\tOne
Time_Pref\tRelative
***End_of_Header***\t
\t
Channels\t2\t\t
Samples\t600\t600\t
Y_Unit_Label\tVolts\tVolts\t
X_Dimension\tTime\tTime\t
X0\t0.0E+0\t0.0E+0\t
Delta_X\t0.010000\t0.010000\t
***End_of_Header***\t\t\t
X_Value\tVoltage\tVoltage 1\tComment
"""


def table(path: Path, separator: str, decimal: str, quote: str, header: bool = True) -> Path:
    lines = [separator.join("xyz")] if header else []
    for row in VALUES.tolist():
        cells = [f"{value:.4f}".replace(".", decimal) for value in row]
        lines.append(separator.join(f"{quote}{cell}{quote}" for cell in cells))
    path.write_text("\n".join(lines) + "\n")
    return path


def numbers(path: Path) -> bytes:
    with closing(open_text_table(path)) as opened:
        found = opened.array("table")
        assert found is not None
        assert found.shape == VALUES.shape, opened.contents()
        return found.whole().tobytes()


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(("separator", "quote"), [(";", '"'), (",", '"'), ("\t", '"'), ("\t", "")])
def test_decimal_commas_are_read_as_points_are(separator, quote, header, tmp_path):
    expected = numbers(table(tmp_path / "a.csv", ",", ".", "", header))
    assert numbers(table(tmp_path / "b.csv", separator, ",", quote, header)) == expected


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b'x,y\n"1,234",1\n"2,345",2\n', ("line 2", "1,234", "thousands")),
        (b'x,y\n"1,25",0.5\n"2,5",2.5\n', ("line 2", "1,25")),
        (b'x,y\n"1,234.5",1\n"2,345.5",2\n', ("line 2", "1,234.5")),
        (b"x\ty\n1,25\t0.5\n2,5\t2.5\n", ("line 2", "1,25")),
        (b'x,y\n"1,2,3",1\n"2,5,6",2\n', ("line 2",)),
    ],
)
def test_commas_that_may_be_another_mark_are_refused_with_the_line(content, named, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    options = SourceOptions.model_validate({"rate_hz": 50, "labels": "", "split_by_window": True})
    with refused(SourceContentError, "a.csv", *named):
        open_source(tmp_path / "a.csv", options)


def test_texts_with_commas_beside_points_are_texts(tmp_path):
    (tmp_path / "a.csv").write_text("x\ty\tl\n0.5\t1\t1,2 and 3\n1.5\t2\t3,4\n")
    with closing(open_text_table(tmp_path / "a.csv")) as opened:
        assert opened.array("table").whole().tolist() == [[0.5, 1], [1.5, 2]]
        assert opened.array("l").whole().tolist() == ["1,2 and 3", "3,4"]


def measurement(path: Path, decimal: str, end: str, header: str = LVM) -> Path:
    values = np.random.default_rng(1).normal(size=(600, 2)).round(4).tolist()
    rows = "".join(f"{n / 100:.6f}\t{x:.6f}\t{y:.6f}{end}\n" for n, (x, y) in enumerate(values))
    text = rows if decimal == "." else rows.replace(".", ",")
    path.write_text(header.replace("r\t.", f"r\t{decimal}") + text)
    return path


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("end", ["", "\t"])
def test_measurements_of_labview_are_read_as_tables_are(decimal, end, tmp_path):
    plain = measurement(tmp_path / "a.csv", ".", "", "time\tVoltage\tVoltage 1\n")
    options = {"window_samples": 16, "labels": "", "split_by_window": True}
    found = []
    for path in (plain, measurement(tmp_path / "a.lvm", decimal, end)):
        with open_source(path, SourceOptions.model_validate(options)) as source:
            windows = source.read_windows(0, source.windows).tobytes()
            found.append((source.spec.rate_hz, list(source.spec.channels), windows))
    assert found[0] == found[1]


def test_a_measurement_that_ends_in_its_header_is_refused(tmp_path):
    (tmp_path / "a.lvm").write_text(LVM[: LVM.index("Channels")])
    with refused(SourceContentError, "a.lvm", "1", "source.skip_lines"):
        numbers(tmp_path / "a.lvm")


@pytest.mark.usefixtures("probed_here")
def test_init_reads_a_folder_of_measurements(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    for subject in range(3):
        for label in ("walk", "run"):
            measurement(tmp_path / f"raw/S0{subject}_{label}.lvm", ",", "\t")
    output = tmp_path / "a.toml"
    code = main(["init", str(tmp_path / "raw"), "--output", str(output), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0, found
    assert load_config(output).source.time == "X_Value"
    assert found["gives"]["rate_hz"] == 100
