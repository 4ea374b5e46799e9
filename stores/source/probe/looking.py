"""Looks at the files of a source: all of their names, and what some of them hold.

For the child of `probe`: what it calls parses strangers' files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceContentError, UserError, first_line
from headrace.stores.io.places import Place
from headrace.stores.source.channels import ATTRIBUTES
from headrace.stores.source.files.files import FILE
from headrace.stores.source.files.located import files_of
from headrace.stores.source.formats.opening import format_of, is_zarr, open_file
from headrace.stores.source.formats.text_rules import USUAL, TextRules
from headrace.stores.source.interface import SourceArray
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.found import Contents, FoundArray, FoundFile

MOST_ARRAYS = 500
"""Of one file that are looked at."""
MOST_NAMES = 200_000
MOST_OPENED = 24
"""Files of a folder that are opened."""
LOOKS, LOOK_ROWS = 16, 4096
"""Slices of a column that are looked at, evenly spread, and rows of each."""
WIDE, WIDE_LOOKS = 32, 3
"""Columns of equal length from which on fewer slices are looked at."""
MOST_VALUES = 200
"""Different values of a column that are told."""
FIRST = 4
ROUNDED = 8
"""From which step on whole numbers may be rounded ones of even steps."""
BESIDE = re.compile(r"label|annot|event|activit|interval|class|subject|y_|meta|info", re.IGNORECASE)
"""In names of files that say something of the others."""


def look(path: Place) -> Contents:
    """What a file holds, or some files of those that a folder, a glob or a table names.

    Raises:
        UserError: the file cannot be read, or there is none.
    """
    alone = path.is_file() or is_zarr(path)
    files = files_of(path, SourceOptions(files=[] if alone else ["**/*"]))
    if files is None:
        return Contents((_look_into(path, ""),))
    names = [each for each, *_ in files.names]
    named = [name for name in names if name.isprintable()]
    found = []
    for name in chosen(named):
        try:
            found.append(_look_into(files.folder / name, name))
        except UserError as error:
            kind = format_of(files.folder / name)
            found.append(FoundFile(name, kind, error=first_line(error)))
    columns = {
        name: list(values[:MOST_NAMES]) for name, values in files.columns.items() if name != FILE
    }
    return Contents(tuple(found), tuple(named[:MOST_NAMES]), len(names) - len(named), columns)


def chosen(names: Sequence[str], most: int = MOST_OPENED) -> list[str]:
    """Names of files to open: of each kind of name the first, the last and one between.

    Kinds differ in more than numbers. What may say something of the others comes first.
    """
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    endings: dict[tuple[int, str], list[str]] = {}
    for kind in sorted(kinds, key=lambda each: -len(kinds[each])):
        base = kind.rpartition("/")[2]
        endings.setdefault((kind.count("/"), base.partition(".")[2]), []).append(kind)
    beside = [kind for kind in kinds if BESIDE.search(kind.rpartition("/")[2])]
    order = list(dict.fromkeys([*_in_turn(endings.values()), *beside]))[: 4 * most]
    turns = [
        [kinds[kind][0], kinds[kind][-1], kinds[kind][len(kinds[kind]) // 2]] for kind in order
    ]
    # One of each kind first, from all of the kinds if there are too many.
    firsts = [turn[0] for turn in turns]
    first_beside = [kinds[kind][0] for kind in beside][: most // 3]
    spread = np.unique(np.linspace(0, len(firsts) - 1, min(len(firsts), most)).astype(int))
    others = [turn[n] for n in (1, 2) for turn in turns]
    picked = [*first_beside, *(firsts[place] for place in spread.tolist()), *others]
    return sorted(list(dict.fromkeys(picked))[:most])


def _in_turn(groups: Iterable[list[str]]) -> Iterator[str]:
    waiting = [iter(group) for group in groups]
    while waiting:
        for each in list(waiting):
            found = next(each, None)
            if found is None:
                waiting.remove(each)
            else:
                yield found


def _look_into(path: Place, name: str) -> FoundFile:
    """What one file holds, by the encoding that it seems to have.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return _held_by(path, name, USUAL)
    except SourceContentError as error:
        if error.encoding is None:
            raise
        found = _held_by(path, name, TextRules(encoding=error.encoding))
        return replace(found, encoding=error.encoding)


def _held_by(path: Place, name: str, rules: TextRules) -> FoundFile:
    """Raises UserError: it cannot be read."""
    kind = format_of(path)
    with closing(open_file(path, rules)) as file:
        arrays: dict[str, SourceArray] = {}
        found: dict[str, FoundArray] = {}
        for each in islice(file.names(), MOST_ARRAYS):
            try:
                array = file.array(each)
            except UserError:  # It cannot be used, and is not proposed.
                continue
            if array is not None and array.shape is not None:
                arrays[each] = array
                found[each] = FoundArray(
                    each, tuple(map(int, array.shape)), array.dtype.kind, _attributes(array)
                )
        for names in _alike(found):
            for each, values in _samples([(n, arrays[n]) for n in names]):
                found[each] = _with_values(found[each], values)
    return FoundFile(name, kind, tuple(found.values()))


def _alike(found: Mapping[str, FoundArray]) -> list[list[str]]:
    """Names of arrays of one value a row, those of equal length together: a table's columns."""
    groups: dict[int, list[str]] = {}
    for name, each in found.items():
        size = int(np.prod(each.shape, dtype=np.int64))
        if each.kind in "iubfSOU" and (size == 1 or each.is_flat):
            groups.setdefault(1 if size == 1 else each.rows, []).append(name)
    return list(groups.values())


def _samples(
    arrays: Sequence[tuple[str, SourceArray]],
) -> Iterator[tuple[str, list[NDArray[Any]]]]:
    """Evenly spread slices of columns of equal length, all columns' slices of one place together:
    of a table of text, what is decoded is then decoded once.
    """
    rows = max((array.shape or (1,))[0] for _, array in arrays) if arrays[0][1].shape else 1
    looks = LOOKS if len(arrays) <= WIDE else WIDE_LOOKS
    starts = np.unique(np.linspace(0, max(0, rows - LOOK_ROWS), looks).astype(np.int64))
    parts: dict[str, list[NDArray[Any]] | None] = {name: [] for name, _ in arrays}
    for start in starts.tolist():
        for name, array in arrays:
            held = parts[name]
            if held is None:
                continue
            try:
                held.append(_slice(array, start))
            except (UserError, OSError, ValueError, TypeError, RuntimeError, MemoryError):
                parts[name] = None
    for name, held in parts.items():
        if held:
            yield name, held


def _slice(array: SourceArray, start: int) -> NDArray[Any]:
    if not array.shape:
        return np.asarray(array.whole()).reshape(-1)
    if array.dtype.kind in "SOU":
        return np.asarray(array.texts(start, start + LOOK_ROWS)).reshape(-1)
    return array.read(start, min(start + LOOK_ROWS, array.shape[0])).reshape(-1)[: 4 * LOOK_ROWS]


def _with_values(found: FoundArray, parts: Sequence[NDArray[Any]]) -> FoundArray:
    seen = np.concatenate([part.astype(np.str_) if part.dtype.kind in "SOU" else part
                           for part in parts])  # fmt: skip
    first = seen[:FIRST].tolist()
    if seen.dtype.kind in "US":
        values = np.unique(seen).tolist()
        told = values if len(values) <= MOST_VALUES else None
        return replace(found, values=told, first=first, empty="" in values[:1])
    finite = np.isfinite(seen)
    empty = not bool(finite.all())
    kept = np.unique(seen[finite])
    if not len(kept):
        return replace(found, empty=True)
    plain = seen.astype(np.float64)
    steps = np.concatenate([np.diff(part.astype(np.float64)) for part in parts])
    moves = steps[np.isfinite(steps) & (steps != 0)]
    step = float(np.median(moves)) if len(moves) else None
    whole = bool((kept == np.trunc(kept)).all())
    # Whole ms of 64 Hz go on by 15 or by 16.
    rounded = whole and abs(step or 0) >= ROUNDED
    near = np.abs(moves - (step or 0)) <= max(0.05 * abs(step or 0), 1.0 * rounded)
    return replace(
        found,
        values=kept.tolist() if len(kept) <= MOST_VALUES and not empty else None,
        first=[each if np.isfinite(each) else None for each in plain[:FIRST].tolist()],
        least=float(kept[0]),
        most=float(kept[-1]),
        rises=bool(len(moves) and (steps[np.isfinite(steps)] >= 0).all()),
        step=step,
        even=bool(len(moves) and near.mean() > 0.9),
        still=float((steps == 0).mean()) if len(steps) else 0.0,
        whole=whole,
        empty=empty,
    )


def _attributes(array: SourceArray) -> dict[str, Any]:
    """Small attributes, the nearest of each name; and what a dialect says under the usual ones."""
    found: dict[str, Any] = {}
    for level in array.attributes():
        for name, value in level.items():
            found.setdefault(name, value)
    for name in ATTRIBUTES.values():
        if name not in found and (value := array.attribute(name)) is not None:
            found[name] = value
    plain = {name: np.asarray(value) for name, value in found.items()}
    return {
        name: json.loads(json.dumps(value.tolist(), default=_text))
        for name, value in plain.items()
        if value.size <= 300 and value.dtype.kind in "iufSOU"
    }


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
