"""Files that stand beside recordings, and are none: labels, annotations, notes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.pipeline.commands.guess.beside import as_pattern, tell_intervals
from headrace.pipeline.commands.guess.data import Data
from headrace.pipeline.commands.guess.facts import Guess, few, values_of
from headrace.pipeline.commands.guess.names import Proposal
from headrace.pipeline.commands.guess.rate import known_rate_of
from headrace.pipeline.commands.guess.time_columns import times_among
from headrace.pipeline.commands.guess.words import LABEL_WORDS, SENSORS, joined
from headrace.stores.source.probe.found import Contents, FoundFile

BESIDE = re.compile(
    r"labels?|lbls?|annotations?|annot|ann|events?|notes?|markers?|marks?|tags?|meta(data)?|info|"
    r"activit(y|ies)|intervals?|class(es)?|reference|truth|groundtruth|gt|hypnograms?|stages?|"
    r"targets?|comments?|log|header|scores?|scoring|segments?|description|questionnaires?",
    re.IGNORECASE,
)
"""Words of names that say something of other files."""
FEWER = 4
"""As many times fewer rows has a file that says something of another."""


@dataclass(frozen=True)
class Companions:
    """Files of one kind that stand beside recordings.

    Attributes:
        pattern: that leaves them out; "" where their ending does.
        names: of them.
        columns: what one of them holds; () if it could not be read.
    """

    pattern: str
    names: tuple[str, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Role:
    """What a name says beside the recording: a word at its end, or at its beginning."""

    word: str
    pattern: str
    ending: str


def companions_of(contents: Contents, names: Sequence[str]) -> list[Companions]:
    """The kinds of files among `names` that stand beside others, and hold something else."""
    roles: dict[_Role, dict[str, str]] = {}
    for name in names:
        for key, role in _roles(name):
            roles.setdefault(role, {})[key] = name
    opened = {file.name: file for file in contents.files}
    found = []
    for role, own in roles.items():
        if not role.word or role.word.lower() in SENSORS:
            continue
        others = [
            each
            for each in roles
            if each.ending == role.ending and each != role and not BESIDE.fullmatch(each.word)
        ]
        for other in others:
            shared = own.keys() & roles[other].keys()
            if 2 * len(shared) < len(own) or any(own[k] == roles[other][k] for k in shared):
                continue
            if _says_of(role, own, {k: roles[other][k] for k in shared}, opened):
                files = [opened[each] for each in own.values() if each in opened]
                columns = tuple(columns_of(files[0])) if files else ()
                found.append(Companions(role.pattern, tuple(sorted(own.values())), columns))
                break
    return found + _of_other_endings(roles, opened)


def _of_other_endings(
    roles: Mapping[_Role, Mapping[str, str]], opened: Mapping[str, FoundFile]
) -> list[Companions]:
    """Files that are called as others are, but for their ending, and hold far less."""
    plain = {role.ending: own for role, own in roles.items() if not role.word}
    found = []
    for ending, own in plain.items():
        one = next((opened[name] for name in own.values() if name in opened), None)
        for others in (each for other, each in plain.items() if other != ending):
            shared = own.keys() & others.keys()
            files = [opened[others[key]] for key in sorted(shared) if others[key] in opened]
            if one is None or not files or 2 * len(shared) < len(own):
                continue
            if one.arrays and FEWER * cells(one) <= cells(files[0]):
                names = tuple(sorted(own[key] for key in shared))
                found.append(Companions("", names, tuple(columns_of(one))))
                break
    return found


def tell_companions(
    guess: Guess,
    proposal: Proposal,
    data: Data,
    contents: Contents,
    beside: Sequence[Companions],
) -> bool:
    """Write down what files beside each recording say; True: they hold the labels."""
    found = False
    opened = {file.name: file for file in contents.files}
    for kind in beside:
        files = [opened[name] for name in kind.names if name in opened]
        key = next((used for file in files if (used := _tell(guess, proposal, data, file))), "")
        found = found or key in ("labels_file", "intervals")
        if not key:
            holds = f" They hold {few(list(kind.columns), 6)}." if kind.columns else ""
            guess.unsure.append(
                f"what {few(list(kind.names), 2)} say of the files beside them, which hold "
                f"something else: they are no recordings, and are left out.{holds}"
            )
    return found


def _tell(guess: Guess, proposal: Proposal, data: Data, file: FoundFile) -> str:
    """The key that reads a file beside a recording, written down; "": there is none."""
    pattern = as_pattern(file.name, proposal)
    columns = [each for each in file.arrays if each.shape and len(each.shape) == 1]
    if pattern is None or data.key != "signals" or {"labels_file", "intervals"} & set(guess.source):
        return ""
    if tell_intervals(guess, proposal, data, file):
        table, comment = guess.source["intervals"]
        guess.source["intervals"] = (table | {"file": pattern}, comment)
        return "intervals"
    labels = [each for each in columns if joined(each.name) in LABEL_WORDS]
    texts = [each for each in columns if each.kind in "SOU" and each.values]
    label = next(iter([*labels, *texts]), None)
    if label is None or label.rows < 2:
        return ""
    if label.rows != data.rows:
        count = next((each for each in columns if each is not label and each.even), None)
        if count is None or not count.step or not times_among([count]):
            return ""
        step, rate = count.step, known_rate_of(data.array, data.times)
        if rate and abs(label.rows * step * rate - data.rows) > rate * (1 + step):
            return ""
        guess.source["label_every_s"] = (step, f"??? s, by the column {count.name}")
        guess.unsure.append(f"that {file.name} holds a label every {step:g} s (label_every_s).")
    guess.source["labels_file"] = (pattern, f"beside each recording: {values_of(label)}")
    guess.source["labels"] = (label.name, values_of(label))
    return "labels_file"


def stem_and_ending(name: str) -> tuple[str, str]:
    """A name without its ending, and that, with that of what is packed."""
    folder, slash, base = name.rpartition("/")
    packed = ".gz" if base.lower().endswith(".gz") else ""
    stem, dot, ending = base.removesuffix(base[len(base) - len(packed) :]).rpartition(".")
    return (f"{folder}{slash}{stem or ending}", f"{dot}{ending}{packed}") if dot else (name, "")


def columns_of(file: FoundFile) -> list[str]:
    """Names of what a file holds, but for what stands for all of it."""
    return [each.name for each in file.arrays if each.name != "table"]


def cells(file: FoundFile) -> int:
    """Numbers that a file holds."""
    sizes = [each.rows * max(1, *each.shape[1:]) if each.shape[1:] else each.rows
             for each in file.arrays if each.shape and each.is_number]  # fmt: skip
    return max(sizes, default=0)


def _roles(name: str) -> list[tuple[str, _Role]]:
    """Keys of recordings that a name may be of, and its role beside each."""
    stem, ending = stem_and_ending(name)
    folder, slash, base = stem.rpartition("/")
    found = [(f"{folder}{slash}{base}", _Role("", "", ending))]
    if match := re.fullmatch(r"(.*[^\W_])([_\-. ]+)([^\W\d_]+)", base):
        key, between, word = match.groups()
        found.append((f"{folder}{slash}{key}", _Role(word, f"*{between}{word}{ending}", ending)))
    if match := re.fullmatch(r"([^\W\d_]+)([_\-. ]+)([^\W_].*)", base):
        word, between, key = match.groups()
        found.append((f"{folder}{slash}{key}", _Role(word, f"{word}{between}*{ending}", ending)))
    return found


def _says_of(
    role: _Role, own: Mapping[str, str], others: Mapping[str, str], opened: Mapping[str, FoundFile]
) -> bool:
    """Whether files of a role say something of the others, by their names and what they hold."""
    one = next((opened[name] for name in own.values() if name in opened), None)
    other = next((opened[name] for name in others.values() if name in opened), None)
    named = BESIDE.fullmatch(role.word) is not None
    if one is None or other is None or not other.arrays:
        return named
    if set(columns_of(one)) == set(columns_of(other)) and bool(columns_of(one)):
        return False
    if named or not one.arrays:
        return True
    texts = any(each.kind in "SOU" and each.values for each in one.arrays)
    return texts and FEWER * cells(one) <= cells(other)
