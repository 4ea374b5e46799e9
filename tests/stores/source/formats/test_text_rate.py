"""Empatica E4 writes when a table begins, and its rate, above its rows."""

from contextlib import closing

import numpy as np
import pytest

from headrace.stores.source.formats.opening import open_file
from headrace.stores.source.formats.text_above import stated_rate


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("separator", [", ", ";"])
def test_a_beginning_and_a_rate_above_the_rows_are_no_rows(columns, separator, tmp_path):
    rows = np.arange(5.0 * columns).reshape(5, columns)
    table = [[1544027337.0] * columns, [32.0] * columns, *rows.tolist()]
    text = "\n".join(separator.join(f"{cell:.6f}" for cell in row) for row in table)
    (tmp_path / "ACC.csv").write_text(text + "\n")
    with closing(open_file(tmp_path / "ACC.csv")) as file:
        array = file.array("table")
        assert array.attribute("sampling_rate_hz") == 32
        np.testing.assert_array_equal(array.read(0, 9), rows)


@pytest.mark.parametrize(
    "table",
    [
        "1544027337.0\n1544027337.5\n1544027338.0\n",
        "1544027337.0,1\n32.0,1\n0.5,1\n",
        "1544027337.0,1544027337.0\n32.0,31.0\n0.5,1\n",
        "1.0\n32.0\n0.5\n",
        "1544027337.0\n",
    ],
)
def test_other_tables_keep_all_of_their_rows(table, tmp_path):
    (tmp_path / "t.csv").write_text(table)
    with closing(open_file(tmp_path / "t.csv")) as file:
        array = file.array("table")
        assert array.attribute("sampling_rate_hz") is None
        assert array.shape[0] == table.count("\n")


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        ("Abtastrate: 50 Hz", 50),
        ("Abtastfrequenz (Hz): 50", 50),
        ("Sampling rate: 50 Hz", 50),
        ("# fs=100", 100),
        ("Fréquence d'échantillonnage : 128 Hz", 128),
        ("Frecuencia de muestreo;62,5 Hz", 62.5),
        ("Frequenza di campionamento = 2 kHz", 2000),
        ("Data recorded at a rate of 25Hz", 25),
        ("Hz: 50 Hz", 50),
        ("Tiefpassfilter: Grenzfrequenz 10 Hz", None),
        ("Notch frequency filter 50 Hz", None),
        ("Rate 50 Hz and rate 60 Hz, rate 40 Hz", None),
        ("Recorded at 8:50, rated 3 of 5", None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_rate_is_found_in_other_languages_by_its_unit(line, rate, encoding):
    above = f"Device: 12\nDate: 06.05.2024\n{line}\nx,y,z\n".encode(encoding)
    assert stated_rate(above) == rate
