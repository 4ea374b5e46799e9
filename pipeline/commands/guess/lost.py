"""Recordings that lack the file of a sensor, or whose files are not quite as long."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.pipeline.commands.guess.companions import Companions
from headrace.pipeline.commands.guess.data import Data
from headrace.pipeline.commands.guess.facts import Guess, few
from headrace.pipeline.commands.guess.names import Proposal
from headrace.stores.source.derived.chosen import literal_glob
from headrace.stores.source.file_patterns import FIELD, compiled
from headrace.stores.source.probe.found import FoundFile
from headrace.stores.source.rows.rates import NEARLY


@dataclass(frozen=True)
class Lost:
    """What is left out, as it lacks a part.

    Attributes:
        parts: names of the files that are missing.
        names: of files of the same recordings, that are there.
    """

    parts: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()


def nearly(rows: int, others: int) -> bool:
    """Whether two files are as long, but for a few rows at the end."""
    return abs(rows - others) <= NEARLY * max(rows, others)


def complete(proposal: Proposal, names: Sequence[str]) -> tuple[Proposal, Lost]:
    """The recordings that have a file of each pattern among all names, and what others lack."""
    fields = list(dict.fromkeys(FIELD.findall(proposal.patterns[0])))
    if len(proposal.patterns) < 2 or not fields:
        return proposal, Lost()
    found: list[dict[tuple[str, ...], str]] = []
    for pattern in proposal.patterns:
        matches = [(name, compiled(pattern).fullmatch(name)) for name in names]
        found.append({tuple(m[f] for f in fields): name for name, m in matches if m})
    every = list(dict.fromkeys(key for each in found for key in each))
    whole = [key for key in found[0] if all(key in each for each in found)]
    if len(whole) == len(every) or not whole:
        return proposal, Lost()
    parts, names_left = [], set()
    for key in every:
        values = dict(zip(fields, key, strict=True))
        for pattern, each in zip(proposal.patterns, found, strict=True):
            if key not in each:
                parts.append(_filled(pattern, values))
                names_left |= {other[key] for other in found if key in other}
    kept = replace(
        proposal,
        columns={field: [key[n] for key in whole] for n, field in enumerate(fields)},
        names=tuple(tuple(each[key] for key in whole) for each in found),
    )
    return kept, Lost(tuple(parts), frozenset(names_left))


def _filled(pattern: str, values: Mapping[str, str]) -> str:
    for field, value in values.items():
        pattern = pattern.replace(f"{{{field}}}", value)
    return pattern


def widened(proposal: Proposal, beside: Sequence[FoundFile]) -> Proposal:
    """Fields with the letters before them, where a table beside the files has both: S01."""
    columns = [each for file in beside for each in file.arrays if each.kind in "SOU"]
    for field, own in proposal.columns.items():
        before = {
            each[1] if (each := re.search(rf"(?<![^\W_])([^\W\d_]+)\{{{field}\}}", p)) else ""
            for p in proposal.patterns
        }
        letters = next(iter(before))
        values = [letters + value for value in own]
        if len(before) == 1 and any(c.values and set(c.values) <= set(values) for c in columns):
            written = (letters + f"{{{field}}}", f"{{{field}}}")
            patterns = tuple(p.replace(*written) for p in proposal.patterns)
            return replace(proposal, patterns=patterns, columns={**proposal.columns, field: values})
    return proposal


def leave_out(guess: Guess, proposal: Proposal, lost: Lost, beside: Sequence[Companions]) -> None:
    """Add patterns of what is left out to those of the files, and say why."""
    patterns, comment = guess.source.get("files", (list(proposal.patterns), ""))
    taken = [compiled(pattern) for pattern in patterns]
    kinds = [
        kind.pattern
        for kind in beside
        if any(each.fullmatch(name) for each in taken for name in kind.names)
    ]
    out = [f"!{each}" for each in (*kinds, *map(literal_glob, sorted(lost.names)))]
    if out:
        guess.source["files"] = ([*patterns, *out], comment)
    if lost.parts:
        guess.unsure.append(
            f"what became of {few(list(lost.parts), 4)}: the recordings that lack them are left "
            "out (files, with !). Restore the files, or leave out the sensor's pattern."
        )


def tell_uneven(guess: Guess, data: Sequence[Data]) -> None:
    """Write down how many rows may be cut, where files without times end some rows apart."""
    rows = [each.rows for each in data if nearly(each.rows, data[0].rows)]
    more = max(rows) - min(rows)
    if more and data[0].key == "signals" and any(each.times is None for each in data):
        guess.source["max_cut_rows"] = (more, f"??? files side by side differ by {more} rows")
        guess.unsure.append(
            f"that files side by side begin together: they differ by {more} rows (max_cut_rows)."
        )
