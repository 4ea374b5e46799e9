"""Empatica E4 writes when a table begins, and its rate, above its rows."""

from contextlib import closing

import numpy as np
import pytest

from headrace.stores.source.formats.opening import open_file


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
