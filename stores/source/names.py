"""Columns of names (labels, groups, parts), read in slices as codes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError, UserError
from headrace.stores.source.arrays import check_text, distinct, rows_of
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.labels.several_values import several_values

Codes = NDArray[np.int32]
# Names of a slice take 40 bytes a row as integers, about 120 as short strings.
Key = TypeVar("Key", bound=Hashable)
SLICE_ROWS = 1 << 16
SLICE_NAME_BYTES = 128 * SLICE_ROWS
MAX_NAMES = 1 << 20
NOT_A_NUMBER = "nan"
"""What NaN is called among labels of numbers."""
PADDING = " \t\r\n\v\f\0\u00a0\ufeff"
"""What instruments and tables leave around a name."""
UNSEEN = re.compile("[\u00ad\u200b\u200c\u200d\u2060\ufeff]")
"""Letters that have no width: names that differ in them alone look alike."""


class NameColumn:
    """An array of one name per row: strings, or integers that may index a list of names.

    Reading gives codes: each different name gets the next number when it is first met, so codes
    are stable once every row was seen in order. `names[code]` is the name, without blanks and ends
    of lines around it. Names that look alike (in the blanks within them, in letters of no width,
    in how an accent is written) are one, called as the first is. Names that differ in case alone
    are refused, but for labels that are made one class; so are groups that differ in how a number
    is written alone, such as 01 and 1.

    Attributes:
        array: what is read.
        names: of the codes.
        index: the names that integers count into.
        without_number: first row of labels of numbers that is NaN; None: none is.
        meanings: the names that stand in for those found.
        left_out: globs of numbers that no name stands for, and that are their own.
        spellings: how values are written that are not their name itself, and their codes.
    """

    def __init__(
        self,
        array: SourceArray,
        option: str,
        index: Sequence[str] | None = None,
        meanings: Mapping[str, str] | None = None,
    ) -> None:
        """Check type and shape of `array`.

        Args:
            array: (n,).
            option: the key that names it, for errors.
            index: the names that integers count into.
            meanings: the names that stand in for those found.

        Raises:
            UserError: not one-dimensional, or neither strings nor integers.
        """
        self.array = array
        self.names: list[str] = []
        self.without_number: int | None = None
        self.spellings: dict[str, int] = {}
        self._folded: dict[str, str] = {}
        self._numbered: dict[str, str] = {}
        self._cases: list[tuple[str, str]] = []
        self._alike: dict[str, int] = {}
        self.index = index
        self.left_out: Sequence[str] = ()
        self.meanings = meanings or {}
        self._option = option
        self._codes: dict[str, int] = {}
        if array.shape is None or len(array.shape) != 1:
            raise several_values(array, option)
        if array.dtype.kind not in "biufSOU":
            raise self._wrong_type()

    def __len__(self) -> int:
        """Rows of the array."""
        return rows_of(self.array)

    def read(self, start: int, stop: int) -> Codes:
        """Codes of the rows `start` to `stop`, int32.

        Raises:
            UserError: a value is not a whole number, or indexes no name.
        """
        return self._coded(self._values(start, stop))

    def read_runs(self, start: int, stop: int) -> tuple[NDArray[np.int64], Codes] | None:
        """First rows and codes of the runs from `start` to `stop`, as `read`; None: not known."""
        if not hasattr(self.array, "run_values"):
            return None
        rows, values = self.array.run_values(start, stop)
        return (rows, self._coded(values)) if values.dtype.kind in "iuU" else None

    def as_written(self) -> list[int]:
        """Codes of the names that some value is."""
        return [code for code, name in enumerate(self.names) if name in self._codes]

    def require_sure(self, class_of: Callable[[str], str | None]) -> None:
        """Check that labels that are NaN are left out by choice, and cases joined.

        Args:
            class_of: the class of a label; None: it is left out.

        Raises:
            UserError: they are not.
        """
        for one, other in self._cases:
            if class_of(one) != class_of(other) and None not in (class_of(one), class_of(other)):
                raise SourceError(
                    f"{self.array.where} holds {one!r} and {other!r}, which differ in case alone. "
                    "Make them one class with source.class_map, or leave one out with "
                    "source.exclude_labels."
                )
        if self.without_number is not None and class_of(NOT_A_NUMBER) is not None:
            raise SourceError(
                f"{self.array.where} holds {self.array.dtype} with NaN, first in row "
                f"{self.without_number}. Leave them out with source.exclude_labels = "
                f'["{NOT_A_NUMBER}"], or name another dataset with source.labels.'
            )

    def _coded(self, values: NDArray[Any]) -> Codes:
        unique, inverse = distinct(values)
        codes = [self._code(value) for value in unique.tolist()]
        return np.array(codes, dtype=np.int32)[inverse]

    def _values(self, start: int, stop: int) -> NDArray[Any]:
        if self.array.dtype.kind in "SOU":
            try:
                return self.array.texts(start, stop)
            except UnicodeDecodeError as error:
                raise SourceError(
                    f"{self.array.where} holds a name that is not UTF-8 ({error}). Write it "
                    f"anew, or name another dataset with source.{self._option}."
                ) from error
            except TypeError as error:
                raise self._wrong_type() from error
        values = self.array.read(start, stop)
        if values.dtype.kind == "b":
            return values.astype(np.int64)
        return self._whole(values, start) if values.dtype.kind == "f" else values

    def _whole(self, values: NDArray[Any], start: int) -> NDArray[Any]:
        """Whole numbers that are kept as floats; texts where some of the labels are NaN.

        Raises:
            UserError: one is not a whole number, or larger than its type tells apart.
        """
        missing = np.isnan(values) if self._option == "labels" else np.zeros(len(values), bool)
        present = values[~missing]
        broken = np.flatnonzero(~np.isfinite(present) | (present != np.trunc(present)))
        if len(broken):
            value = present[broken[0]]
            row = start + int(np.flatnonzero(~missing)[broken[0]])
            more = ' For values set target.kind = "value".' * (self._option == "labels")
            raise self._wrong_type(f", and {value:g} in row {row}", more)
        # Above it neighbouring whole numbers are one.
        most = 2 ** (np.finfo(values.dtype).nmant + 1)
        if not (np.abs(present) < most).all():
            raise SourceError(
                f"{self.array.where} holds whole numbers of {most:,} and more, which "
                f"{values.dtype} cannot tell apart. Write them as integers or texts, or name "
                f"another dataset with source.{self._option}."
            )
        whole = np.where(missing, 0, values).astype(np.int64)
        if not missing.any():
            return whole
        if self.without_number is None:
            self.without_number = start + int(np.argmax(missing))
        names = whole if self.index is None else np.array([self._at(n) for n in whole.tolist()])
        return np.where(missing, NOT_A_NUMBER, names.astype(np.str_))

    def _code(self, value: int | str) -> int:
        written = str(value) if self.index is None or isinstance(value, str) else self._at(value)
        if self.meanings:
            written = self.meanings.get(plain_number(written.strip(PADDING)), written)
        found = self._codes.get(written)
        if found is None:
            found = self._codes[written] = self._new_code(written)
        return found

    def _new_code(self, written: str) -> int:
        """The code of what is met for the first time: of a new name, or of one written otherwise.

        Raises:
            UserError: it differs from another name in case alone, is no name, or is one too many.
        """
        name = written.strip(PADDING)
        alike = looks(name)
        if alike not in self._alike:
            self._require_own_case(alike, name)
            check_text(name, f"{self.array.where} holds a name", f"source.{self._option}")
            if len(self.names) == MAX_NAMES:
                raise SourceError(
                    f"{self.array.where} holds more than {MAX_NAMES} different values; "
                    f"it names no {self._option}. Name another dataset with "
                    f"source.{self._option}."
                )
            self._alike[alike] = len(self.names)
            self.names.append(name)
        code = self._alike[alike]
        if written != self.names[code]:
            self.spellings[written] = code
        return code

    def _require_own_case(self, alike: str, name: str) -> None:
        """Raises UserError: another name differs in case alone. Labels may make one class."""
        if self._option == "groups":
            self._require_own_number(name)
        other = self._folded.setdefault(alike.casefold(), name)
        if other != name and self._option == "labels":
            self._cases.append((other, name))
        elif other != name:
            raise SourceError(
                f"{self.array.where} holds {other!r} and {name!r}, which differ in case alone. "
                f"Write them alike, or name another dataset with source.{self._option}."
            )

    def _require_own_number(self, name: str) -> None:
        """Raises UserError: another group differs in how a number is written alone."""
        other = self._numbered.setdefault(_with_plain_numbers(name), name)
        if other != name:
            raise SourceError(
                f"{self.array.where} holds {other!r} and {name!r}, one number in two spellings: "
                "one group would be two. Write them alike, in names of files too, or name another "
                f"column with source.{self._option}."
            )

    def _at(self, value: int) -> str:
        assert self.index is not None
        if not 0 <= value < len(self.index):
            if any(fnmatchcase(str(value), pattern) for pattern in self.left_out):
                return str(value)
            raise SourceError(
                f"{self.array.where} holds the label {value}, but there are "
                f"{len(self.index)} classes, counted from 0. Leave it out with "
                f'source.exclude_labels = ["{value}"], correct the file, or set '
                'source.classes = "" to use the numbers as names.'
            )
        return self.index[value]

    def _wrong_type(self, seen: str = "", more: str = "") -> UserError:
        return SourceError(
            f"{self.array.where} holds {self.array.dtype}{seen}; strings or whole numbers are "
            f"needed.{more} Name another dataset with source.{self._option}."
        )


class OneName:
    """In place of a `NameColumn` where the file has none: every row has the same name."""

    def __init__(self, data: SourceArray, name: str) -> None:
        """Rows of `data`, all called `name`."""
        self.array = data
        self.names = [name]

    def __len__(self) -> int:
        """Rows of the data."""
        return rows_of(self.array)

    def require_sure(self, class_of: Callable[[str], str | None]) -> None:
        """Nothing: there is one name."""

    def read(self, start: int, stop: int) -> Codes:
        """Zeros."""
        return np.zeros(stop - start, dtype=np.int32)

    def read_runs(self, start: int, stop: int) -> tuple[NDArray[np.int64], Codes]:
        """One run."""
        return np.array([start]), np.zeros(1, dtype=np.int32)


def looks(name: str) -> str:
    """What a name is to the eye: its letters composed, blanks within it one, none without width."""
    if name.isascii() and "  " not in name and name.isprintable():
        return name
    composed = unicodedata.normalize("NFC", UNSEEN.sub("", name))
    return re.sub(r"[^\S\0-\x1f]+", " ", composed)


def matches(label: str, pattern: str) -> bool:
    """Whether a label is one of a pattern's, as both look: an accent may be written in two ways."""
    return fnmatchcase(looks(label), looks(pattern))


def plain_number(text: str) -> str:
    """A number without what files write before or after it: 01, 1 and 1.0 are one."""
    number = text.removesuffix(".0")
    return str(int(number)) if number.isascii() and number.isdecimal() else text


def _with_plain_numbers(name: str) -> str:
    """A name without zeros before its numbers, but for those behind a point."""
    return re.sub(r"(?<![0-9.])0+(?=[0-9])", "", plain_number(name))


def natural_order(names: Sequence[str]) -> list[int]:
    """Positions that sort `names` with numbers by value: "2" before "10", "s2" before "s10"."""
    return sorted(range(len(names)), key=lambda position: _natural_key(names[position]))


def first_places(keys: Iterable[Key]) -> tuple[dict[Key, int], tuple[int, int] | None]:
    """Where each key stands; and the places of the first that comes twice, None: none does."""
    place: dict[Key, int] = {}
    for number, key in enumerate(keys):
        if place.setdefault(key, number) != number:
            return place, (place[key], number)
    return place, None


def joined_texts(columns: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Of each row of columns the texts by which tables are joined: 01 is 1."""
    return list(zip(*([plain_number(each) for each in cells] for cells in columns), strict=True))


def slices(stop: int, step: int | None = None) -> Iterator[tuple[int, int]]:
    """`(start, stop)` of consecutive slices of `step` (65,536) rows that cover 0 to `stop`."""
    step = SLICE_ROWS if step is None else step
    for start in range(0, stop, step):
        yield start, min(start + step, stop)


def _number(digits: str) -> tuple[int, int, str]:
    """Sorts by value, however many digits there are."""
    text = digits.lstrip("0")
    return 0, len(text), text


def _natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    # Numbers before text, as in ASCII; the name itself last, so that "01" and "1" have an order.
    key = tuple(_number(piece) if "0" <= piece[0] <= "9" else (1, 0, piece) for piece in pieces)
    return key, name
