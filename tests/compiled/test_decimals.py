"""Numbers written in decimals are read to the bits that Python reads, or not at all."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from headrace.compiled.decimals import CHECKED, SKIPPED, read_decimals

COUNT = 5_000


def read(text: str, columns: int = 1, separator: str = ",", mark: str = ".") -> np.ndarray:
    """The rows that are plain."""
    raw = np.frombuffer(text.encode(), np.uint8)
    out = np.full((text.count("\n") + 1, columns), np.inf)
    rows = read_decimals(raw, 0, ord(separator), ord(mark), np.arange(columns), out)
    return out[:rows]


def spread(chance: random.Random) -> float:
    """A double of a size that sensors give."""
    return chance.gauss(0, 1) * 10.0 ** chance.randint(-12, 12)


def near_half(chance: random.Random) -> str:
    """19 digits that lie about half-way between two doubles."""
    between = 2 * (chance.getrandbits(52) | 1 << 52) + 1
    digits = str(between * 10**19 >> chance.randint(1, 60))[:19]
    return f"{digits[:1]}.{digits[1:]}"


WRITTEN: dict[str, Callable[[random.Random], str]] = {
    "as numpy.savetxt does": lambda chance: f"{spread(chance):.18e}",
    "as repr does": lambda chance: repr(spread(chance)),
    "to 17 digits": lambda chance: f"{spread(chance):.17g}",
    "to 5 places": lambda chance: f"{chance.gauss(0, 1):.5f}",
    "whole": lambda chance: str(chance.randint(-(10**15), 10**15)),
    "with zeros before and behind": lambda chance: f"000{chance.random():.12f}00000",
    "with an exponent": lambda chance: f"{chance.randint(0, 10**9)}E{chance.randint(-30, 30):+}",
    "half-way between two doubles": near_half,
}


@pytest.mark.parametrize("written", WRITTEN)
def test_every_number_of_up_to_19_digits_has_the_bits_of_the_nearest_double(written: str) -> None:
    chance = random.Random(0)
    texts = [WRITTEN[written](chance) for _ in range(COUNT)]
    found = read("\n".join(texts))[:, 0]
    assert found.tobytes() == np.array([float(text) for text in texts]).tobytes()


def test_what_is_in_doubt_is_left_to_a_whole_parser() -> None:
    exactly_between = str((2 * (1 << 52) + 1) << 9)
    beyond = (
        "1" * 20,
        "1e45",
        "1e-45",
        "inf",
        "+1",
        "1_000",
        "0x1F",
        "--1",
        ".",
        "-",
        "e5",
        "1e",
        "1.2.3",
    )
    for text in (exactly_between, *beyond):
        assert len(read(f"1\n{text}\n2\n")) == 1, text


def test_no_more_than_the_wanted_columns_are_kept_and_all_of_numbers_are_checked() -> None:
    raw = np.frombuffer(b"walk,1,2,x\nrun,3,4,y\nsit,5,six,z\n", np.uint8)
    out = np.zeros((3, 1))
    places = np.array([SKIPPED, 0, CHECKED, SKIPPED])
    assert read_decimals(raw, 0, ord(","), ord("."), places, out) == 2
    assert out[:2, 0].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("text", "separator", "mark"),
    [
        ("1,-2.5\r\n3,4e1\r\n", ",", "."),
        (" 1 , -2.5\n\n3,4e1", ",", "."),
        ("1;-2,5\n3;4e1\n", ";", ","),
        ("  1 \t-2.5  \n3 4e1\n", " ", "."),
        ("1\t-2.5\n3\t40\n", "\t", "."),
    ],
)
def test_cells_are_found_as_tables_are_written(text: str, separator: str, mark: str) -> None:
    assert read(text, 2, separator, mark).tolist() == [[1, -2.5], [3, 40]]


def test_missing_cells_are_nan() -> None:
    assert np.isnan(read("nan,NaN\n,\n1,\n", 2)).tolist() == [
        [True, True],
        [True, True],
        [False, True],
    ]


@pytest.mark.parametrize("row", ["1", "1,2,3", '"1",2', "1,2 3", "1,\xe4", "1;2", "#1,2"])
def test_reading_stops_at_a_row_that_is_not_plain(row: str) -> None:
    assert read(f"1,2\n{row}\n3,4\n", 2).tolist() == [[1, 2]]
