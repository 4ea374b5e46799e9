"""What the command line's arguments may be: paths, addresses and numbers. Light to import."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.stores.io.places import Place


def file_path(text: str) -> Path:
    """A path, with a name of its own; no address and no control characters."""
    from headrace.stores.io.places import local

    try:
        path = Path(local(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    # Files stand beside a store: "." has to have a name.
    return path if path.name not in ("", "..") else path.resolve()


def place(text: str) -> Place:
    """A path as `file_path` gives it, or the address of an object."""
    from headrace.stores.io.places import place_of

    try:
        found = place_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return found if found.name not in ("", "..") else found.resolve()


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def positive_number(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


class Once(argparse.Action):
    """Takes the one value of an option; argparse would drop the first of two without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep the value, or refuse the second."""
        given = vars(namespace).setdefault("given", {})
        if self.dest in given:
            former = given[self.dest]
            raise argparse.ArgumentError(self, f"given twice, as {former} and {values}: keep one")
        given[self.dest] = values
        setattr(namespace, self.dest, values)
