"""Plain numbers are read to the bits that a whole parser of tables gives."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numba  # noqa: F401 - it is loaded where features are computed
import numpy as np
import pytest

from headrace.stores.source.formats import text_table
from headrace.stores.source.formats.text_model import TextModel
from headrace.stores.source.formats.text_table import open_text_table

VALUES = np.random.default_rng(0).normal(size=(3000, 3)) * [1, 1e-6, 1e6]


def table(separator: str = ",", mark: str = ".", form: str = "{!r}", end: str = "\n") -> str:
    """A header, and rows of a time, a text and three numbers."""
    rows = [
        separator.join([str(at), "walk", *(form.format(float(v)).replace(".", mark) for v in row)])
        for at, row in enumerate(VALUES)
    ]
    return end.join([separator.join(["t", "what", "x", "y", "z"]), *rows, ""])


def model_of(path: Path) -> TextModel:
    """What other files are like."""
    with closing(open_text_table(path)) as file:
        return file.model()


TABLES = {
    "pandas": table(),
    "numpy": table(form="{:.18e}"),
    "German": table(";", ","),
    "tabs, Windows": table("\t", form="{:.4f}", end="\r\n"),
    "blanks": table("  "),
    "cells that lack a number": re.sub(r"(?<=0,walk,)[^,]+", "", table()).replace(
        "\n1,walk", "\nnan,walk"
    ),
    "texts of two words": table().replace("walk", "walk slowly"),
    "blank lines": table().replace("\n10", "\n\n\n10"),
    "minus nothing": table().replace(",walk,0", ",walk,-0").replace(",walk,1", ",walk,-0.0"),
    "a comment": table().replace("\n100,", "\n# a break\n100,"),
    "quotes": table().replace("walk", '"walk, slowly"'),
    "more digits than a double has": table(form="{:.25f}"),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("alike", [False, True])
def test_every_way_to_write_a_table_gives_the_bits_of_the_whole_parser(
    name: str, alike: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.csv"
    path.write_bytes(TABLES[name].encode())
    model = model_of(path) if alike else None

    def read() -> list[bytes]:
        file = open_text_table(path, like=model)
        found = []
        for array in (file.array("table"), file.array("y"), file.array("t")):
            assert array is not None
            assert array.shape is not None
            every = array.shape[0]
            found += [array.read(0, every), array.read(every // 3, every // 3 + 7)]
            odd = np.zeros((2, *array.shape), array.dtype)[:, 1::2]
            array.read_into(odd[1], 1)
            found.append(odd)
        file.close()
        return [each.tobytes() for each in found]

    fast = read()
    monkeypatch.setattr(text_table, "may_be_plain", lambda _: False)
    assert fast == read()


@pytest.mark.parametrize("what", ["walk", "walk slowly", ""])
def test_a_plain_table_needs_no_whole_parser(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.csv"
    path.write_text(table().replace("walk", what, 2999))
    file = open_text_table(path, like=model_of(path))
    monkeypatch.setattr(text_table, "parsed", None)
    with closing(file):
        array = file.array("table")
        assert array is not None
        assert np.array_equal(array.read(0, 3000)[:, 1:], VALUES)


def test_a_text_among_numbers_is_named_with_its_line(tmp_path: Path) -> None:
    path, other = tmp_path / "one.csv", tmp_path / "other.csv"
    path.write_text(table())
    other.write_text(table().replace("\n2000,walk,", "\n2000,walk,oops"))
    file = open_text_table(other, like=model_of(path))
    array = file.array("table")
    assert array is not None
    with closing(file), pytest.raises(Exception, match="line 2,002"):
        array.read(0, 3000)
