"""The column of a table of recordings, or the field of their names, that says their rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.stores.source.beside import RATES, letters_of, plain_number

USUAL_RATES = RATES | {"rate"}


def rate_column(columns: Mapping[str, Sequence[str]]) -> tuple[str, list[float]] | None:
    """Its name, and the rate of each recording in Hz; None: no column says rates.

    The first that is called as a rate and holds a number above 0 for each recording.
    """
    for name, texts in columns.items():
        if letters_of(name) not in USUAL_RATES:
            continue
        rates = [plain_number(text) for text in texts]
        if rates and all(isinstance(rate, float) and 0 < rate < float("inf") for rate in rates):
            return name, rates
    return None


def only_called_rate(name: str) -> bool:
    """Whether a name may mean another rate: what files say themselves then wins."""
    return letters_of(name) not in RATES
