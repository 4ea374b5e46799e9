"""What a look at a stranger's files finds: names, shapes, attributes, and a few values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class FoundArray:
    """One array.

    Attributes:
        name: its path in the file.
        shape: of it.
        kind: NumPy's: "f", "i", "u", "b", "S", or "O" for strings of any length.
        attributes: small ones by name: its own, then its groups', then its file's.
        values: of one value a row: different ones in a sample, in order; None: more than 200.
        first: the first few, of numbers and of texts.
        least, most: of numbers in the sample that are finite; None: there are none.
        rises: whether no number of the sample is less than the one before.
        step: median difference of two numbers that follow each other and differ.
        even: whether nearly all steps are that one, or whole numbers next to it.
        still: the share of numbers that are the one before.
        whole: whether all numbers are whole.
        empty: whether NaN, or an empty text, is among them.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)
    values: list[Any] | None = None
    first: list[Any] = field(default_factory=list)
    least: float | None = None
    most: float | None = None
    rises: bool = False
    step: float | None = None
    even: bool = False
    still: float = 0.0
    whole: bool = False
    empty: bool = False

    @property
    def rows(self) -> int:
        """Rows, of one value a row; (1, N) are N of them."""
        return self.shape[1] if self.shape[:1] == (1,) and len(self.shape) == 2 else self.shape[0]

    @property
    def is_flat(self) -> bool:
        """Whether it has one value a row, and more than one."""
        shape = self.shape
        flat = len(shape) == 1 or (len(shape) == 2 and 1 in shape)
        return flat and self.rows > 1

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.kind in "fiu"


@dataclass(frozen=True)
class FoundFile:
    """One file that was opened.

    Attributes:
        name: relative to the folder, with slashes; "" of a source that is one file.
        format: a key of `FORMATS`.
        arrays: what it holds.
        error: why it could not be opened.
        encoding: of a table of text that is not UTF-8, as far as it was tried; "" of others.
    """

    name: str
    format: str
    arrays: tuple[FoundArray, ...] = ()
    error: str = ""
    encoding: str = ""

    def named(self, name: str) -> FoundArray | None:
        """The array of that name."""
        return next((each for each in self.arrays if each.name == name), None)


@dataclass(frozen=True)
class Contents:
    """A file, or a folder of which some files were opened.

    Attributes:
        files: those that were opened.
        names: of all files of a folder, in order; () of a file.
        unnamed: how many more have names that no configuration can hold.
        columns: what a table of the files says of each.
    """

    files: tuple[FoundFile, ...]
    names: tuple[str, ...] = ()
    unnamed: int = 0
    columns: dict[str, list[str]] = field(default_factory=dict)

    @property
    def datasets(self) -> tuple[FoundArray, ...]:
        """Of the first file that could be opened."""
        return next((file.arrays for file in self.files if file.arrays), ())

    def named(self, name: str) -> FoundArray | None:
        """The first array of that name."""
        found: Iterator[FoundArray | None] = (file.named(name) for file in self.files)
        return next((each for each in found if each is not None), None)

    def as_json(self) -> str:
        """As `contents_of_json` reads it."""
        return json.dumps(asdict(self))


def contents_of_json(text: str) -> Contents:
    """What `Contents.as_json` wrote."""
    given = json.loads(text)
    files = tuple(
        FoundFile(
            file["name"],
            file["format"],
            tuple(
                FoundArray(**(each | {"shape": tuple(each["shape"])})) for each in file["arrays"]
            ),
            file["error"],
            file["encoding"],
        )
        for file in given["files"]
    )
    return Contents(files, tuple(given["names"]), given["unnamed"], given["columns"])


@dataclass(frozen=True)
class Stretches:
    """How long labels last.

    Attributes:
        quartiles: by class, rows at 25, 50 and 75 % of its stretches.
        counts: by class, stretches.
        rate_hz: of the rows.
    """

    quartiles: dict[str, list[float]]
    counts: dict[str, int]
    rate_hz: float

    def as_json(self) -> str:
        """Its attributes."""
        return json.dumps(asdict(self))
