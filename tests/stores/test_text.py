"""Numbers and lists as people read them."""

from __future__ import annotations

import pytest

from headrace.stores.text import format_bytes, format_seconds, shortened, shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1536, "1.5 KiB"),
        (3 << 30, "3 GiB"),
        (5 << 40, "5 TiB"),
        (1 << 50, "1024 TiB"),
    ],
)
def test_bytes(count: float, text: str) -> None:
    assert format_bytes(count) == text


def test_of_many_names_the_first_are_shown_and_their_number() -> None:
    names = [str(number) for number in range(13)]
    assert shown(names[:12]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"
    assert shown(names) == shown(names[:12]) + ", ... (13)"


@pytest.mark.parametrize("length", [0, 40, 41, 1000])
def test_a_text_is_shortened_to_40_characters(length: int) -> None:
    text = "x" * length
    assert shortened(text) == (text if length <= 40 else "x" * 37 + "...")
