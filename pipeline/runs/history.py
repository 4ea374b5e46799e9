"""The epochs of a training, as its log has them."""

from __future__ import annotations

import csv
from pathlib import Path

from headrace.stores.errors import RunError, first_line


def read_history(log: Path) -> list[dict[str, float]]:
    """One row a finished epoch: the columns of log.csv, without the places that are empty.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with log.open(newline="") as stream:
            return [
                {key: float(value) for key, value in row.items() if value}
                for row in csv.DictReader(stream)
            ]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise RunError(
            f"{log} is missing or damaged ({first_line(error)}). Restore it, or train again: "
            "headrace train --new."
        ) from error
