"""What a folder of files seems to be: each is a recording, and names and tables say of whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.pipeline.commands.guess.beside import tell_beside
from headrace.pipeline.commands.guess.channels import tell_channels, titles_of
from headrace.pipeline.commands.guess.columns import (
    NO_GROUPS,
    by_words,
    in_blocks,
    tell_groups,
    tell_labels,
    tell_slow_labels,
)
from headrace.pipeline.commands.guess.companions import companions_of, tell_companions
from headrace.pipeline.commands.guess.data import TABLE, Data, tell_data
from headrace.pipeline.commands.guess.facts import Guess, few, listed_values
from headrace.pipeline.commands.guess.likely import likely_names
from headrace.pipeline.commands.guess.long import tell_long
from headrace.pipeline.commands.guess.lost import complete, leave_out, nearly, tell_uneven, widened
from headrace.pipeline.commands.guess.names import Proposal, propose, training_alone
from headrace.pipeline.commands.guess.rate import tell_rate
from headrace.pipeline.commands.guess.rates import lasting_alike, tell_rate_column, tell_rates
from headrace.pipeline.commands.guess.recording_tables import tell_table
from headrace.pipeline.commands.guess.words import (
    DOUBTED_GROUPS,
    GROUP_WORDS,
    LABEL_WORDS,
    SPLIT_WORDS,
    joined,
)
from headrace.stores.errors import CommandError
from headrace.stores.source.file_patterns import compiled
from headrace.stores.source.files.rate_column import rate_column
from headrace.stores.source.labels.classes import PARTS
from headrace.stores.source.probe.found import Contents, FoundFile
from headrace.stores.text import counted

GROUP_FIELDS = ("subject", "machine", "recording", "session")
DOUBTED_FIELDS = ("recording", "session", *DOUBTED_GROUPS)
"""Fields that may say whom a recording is of, the likeliest first; and those of doubt."""


@dataclass(frozen=True)
class Example:
    """One recording of a folder.

    Attributes:
        file: that was opened, of each pattern.
        data: of each.
        told: what was guessed of the first.
    """

    files: tuple[FoundFile, ...]
    data: tuple[Data, ...]
    told: Guess


def guess_folder(contents: Contents, where: str) -> Guess:
    """What a folder of files seems to be.

    Raises:
        UserError: no file of it can be read, or none holds signals.
    """
    proposal, example = _proposed(contents, where)
    guess = Guess()
    proposal, lost = complete(proposal, contents.names)
    if not contents.columns:
        left = _rest(contents, proposal)
        proposal = widened(proposal, [file for file in contents.files if file.name in left])
    beside_each = [] if contents.columns else companions_of(contents, contents.names)
    if not contents.columns:
        _tell_files(guess, contents, proposal)
        leave_out(guess, proposal, lost, beside_each)
    _tell_data(guess, contents, proposal, example)
    around = _rest(contents, proposal).intersection(training_alone(contents.names))
    of_each = {name for kind in beside_each for name in kind.names}
    rest = [file for file in contents.files if file.name in around and file.name not in of_each]
    beside = tell_beside(guess, proposal, example.data[0], rest)
    beside = tell_companions(guess, proposal, example.data[0], contents, beside_each) or beside
    _tell_labels(guess, proposal, example, beside)
    if guess.value("groups_file") is None:
        _tell_groups(guess, proposal, example)
    _tell_split(guess, proposal)
    if not contents.columns:
        tell_table(guess, proposal, rest)
    _tell_rest(guess, tuple(_rest(contents, proposal) - of_each - lost.names))
    first = example.data[0]
    rows = [data.rows for data in example.data]
    lasting = lasting_alike([data.array for data in example.data], rows)
    tell_uneven(guess, example.data)
    column = rate_column(contents.columns)
    if column is not None:
        rate = tell_rate_column(guess, *column)
    elif lasting.said:
        tell_rates(guess, lasting, proposal.patterns)
        rate, first = lasting.highest, max(example.data, key=lambda each: each.rows)
    else:
        first_of_each = [file for file in contents.files if file.name in proposal.names[0]]
        rate = tell_rate(guess, example.files, first.array, first.times, first_of_each)
    if first.key == "signals" and not beside and "label_column" not in guess.source:
        tell_slow_labels(guess, example.files[0].arrays, first.rows, rate)
    tell_channels(guess, example.data[0], titles_of(proposal, example.data))
    tell_long(guess, example.data[0], example.files[0].arrays)
    if contents.unnamed:
        guess.unsure.append(
            f"what {contents.unnamed:,} files hold whose names are no text: they are left out."
        )
    return guess


def _proposed(contents: Contents, where: str) -> tuple[Proposal, Example]:
    """Patterns of the names, or what a table of files says in their place; and a recording."""
    if contents.columns:
        listed = Proposal(
            ("**/*",), contents.columns, (contents.names,), prefixed=frozenset(contents.columns)
        )
        return _example(contents, listed, where)
    names = likely_names(contents, where)
    proposal = propose(names, labelled=False)
    assert proposal is not None
    proposal, example = _example(contents, proposal, where)
    if _has_labels(example):
        again = propose(names, labelled=True)
        assert again is not None
        proposal, example = _example(contents, again, where)
    return proposal, example


def _example(contents: Contents, proposal: Proposal, where: str) -> tuple[Proposal, Example]:
    """A recording whose files were opened; patterns of other lengths are left out.

    Raises:
        UserError: none of its files holds signals.
    """
    opened = {file.name: file for file in contents.files if file.arrays}
    beside = frozenset(
        each.rows
        for file in contents.files
        if len(file.arrays) <= 2
        for each in file.arrays
        if each.shape and each.is_flat
    )
    files: list[FoundFile] = []
    data: list[Data] = []
    guesses: list[Guess] = []
    kept: list[int] = []
    for number, names in enumerate(proposal.names):
        file = next((opened[name] for name in names if name in opened), None)
        if file is None:
            continue
        guess = Guess()
        try:
            found = tell_data(guess, file, f"{where}/{file.name}", beside)
        except CommandError:
            if number == 0 and len(proposal.names) == 1:
                raise
            continue
        same = not data or (found.key == data[0].key and nearly(found.rows, data[0].rows))
        if (
            same
            or _of_other_rate(found, data[0])
            or names.index(file.name) != proposal.names[kept[0]].index(files[0].name)
        ):
            files.append(file)
            data.append(found)
            guesses.append(guess)
            kept.append(number)
    if not data:
        raise CommandError(f"{where} holds no file with signals: name another folder.")
    proposal = Proposal(
        tuple(proposal.patterns[n] for n in kept),
        proposal.columns,
        tuple(proposal.names[n] for n in kept),
        tuple(proposal.sensors[n] for n in kept),
        proposal.rest + tuple(n for k, each in enumerate(proposal.names) if k not in kept
                              for n in each),
        proposal.prefixed,
    )  # fmt: skip
    return proposal, Example(tuple(files), tuple(data), guesses[0])


def _of_other_rate(found: Data, first: Data) -> bool:
    """Whether signals last as long as others, at another rate that attributes say."""
    both = (found, first)
    if any(each.key != "signals" or each.times is not None for each in both):
        return False
    lasting = lasting_alike([each.array for each in both], [each.rows for each in both])
    return len(lasting.places) == 2 and lasting.said


def _has_labels(example: Example) -> bool:
    return by_words(example.data[0].columns, LABEL_WORDS) is not None


def _rest(contents: Contents, proposal: Proposal) -> set[str]:
    taken = {name for names in proposal.names for name in names}
    return set(contents.names) - taken


def _tell_files(guess: Guess, contents: Contents, proposal: Proposal) -> None:
    rest = sorted(_rest(contents, proposal))
    if not proposal.columns and not rest:
        return
    count = len(proposal.names[0])
    fields = "; ".join(
        f"{name}: {listed_values(list(dict.fromkeys(values)))}"
        for name, values in list(proposal.columns.items())[:6]
    )
    beside = f", {len(proposal.patterns)} files each" if len(proposal.patterns) > 1 else ""
    guess.source["files"] = (
        list(proposal.patterns),
        f"{counted(count, 'recording')}{beside}{'; ' if fields else ''}{fields}",
    )


def _tell_rest(guess: Guess, rest: Sequence[str]) -> None:
    """Files that no key of the source names."""
    used = [guess.value(key) or {} for key in ("intervals", "label_table")]
    names = {guess.value("table"), *(each.get("file") for each in used)}
    patterns = [compiled(p) for key in ("labels_file", "groups_file") if (p := guess.value(key))]
    unused = [
        name
        for name in sorted(rest)
        if name not in names and not any(each.fullmatch(name) for each in patterns)
    ]
    if unused:
        guess.unsure.append(f"what these files are for, which are left out: {few(unused, 4)}.")


def _tell_data(guess: Guess, contents: Contents, proposal: Proposal, example: Example) -> None:
    first = example.data[0]
    for key, told in example.told.source.items():
        guess.source[key] = told
    guess.unsure += example.told.unsure
    guess.notes += example.told.notes
    if len(example.data) == 1:
        _tell_own_names(guess, contents, proposal, example)
    if len({data.names for data in example.data}) > 1:
        # Each file has names of its own.
        guess.source[first.key] = (TABLE, "all columns of numbers of each file")
        if any(data.array.name != TABLE for data in example.data):
            guess.unsure.append("which arrays of each file are signals: their names differ.")


def _tell_own_names(guess: Guess, contents: Contents, proposal: Proposal, example: Example) -> None:
    """Where each file's arrays are called after it: patterns of their names."""
    first, taken = example.data[0], set(proposal.names[0])
    if first.is_table or first.key != "signals":
        return
    others: list[tuple[str, ...]] = []
    for file in contents.files:
        if file.name in taken and file.arrays:
            try:
                others.append(tell_data(Guess(), file, file.name).names)
            except CommandError:
                continue
    stems = [
        each.rpartition("/")[2].rpartition(".")[0]
        for each in (example.files[0].name, proposal.patterns[0])
    ]
    if re.search(r"[^\W\d]", stems[0]) and all(stems[0] in name for name in first.names):
        # With fields of the file's name: a variable is called as its file is.
        found = [name.replace(stems[0], stems[1]) for name in first.names]
        comment = f"called after their files: {few(list(first.names), 3)}"
        guess.source["signals"] = (found if len(found) > 1 else found[0], comment)
        return
    if len(set(others)) < 2 or {len(each) for each in others} != {len(first.names)}:
        return
    patterns = []
    for names in zip(*others, strict=True):
        own = propose(sorted(set(names)), labelled=True)
        if own is None or own.rest or len(own.columns) != 1:
            return
        (field,) = own.columns
        patterns.append(own.patterns[0].replace(f"{{{field}}}", "{name}"))
    comment = f"called after their files: {few([each[0] for each in others], 3)}"
    guess.source["signals"] = (patterns if len(patterns) > 1 else patterns[0], comment)


def _tell_labels(guess: Guess, proposal: Proposal, example: Example, beside: bool) -> None:
    columns = example.data[0].columns
    if beside:
        return
    named = by_words(columns, LABEL_WORDS)
    field = _field(proposal, LABEL_WORDS)
    if named is None and field is not None:
        values = list(dict.fromkeys(proposal.columns[field]))
        guess.source["label_column"] = (field, f"of each recording: {listed_values(values)}")
        if field not in proposal.prefixed or len(values) == len(proposal.names[0]):
            guess.unsure.append(f"that {few(values, 4)} in names of files are the labels.")
        return
    what = "window" if example.data[0].key == "windows" else "row"
    declared = example.data[0].array.attributes.get("classes")
    tell_labels(guess, columns, what, declared)
    if guess.value("labels") is None and proposal.columns:
        key, (value, comment) = "labels", guess.source["labels"]
        fields = ", ".join(proposal.columns)
        guess.source[key] = (
            value,
            f'{comment}; or set label_column to a field of the names: {fields}; or labels = ""',
        )


def _field(proposal: Proposal, words: Sequence[str]) -> str | None:
    """The field of the names, or the column of a table of files, that is called so."""
    called = {joined(name): name for name in proposal.columns}
    return next((called[joined(each)] for each in words if joined(each) in called), None)


def _tell_groups(guess: Guess, proposal: Proposal, example: Example) -> None:
    field = _field(proposal, (*GROUP_FIELDS, *GROUP_WORDS))
    if field is not None:
        values = list(dict.fromkeys(proposal.columns[field]))
        guess.source["groups"] = (field, f"of each recording: {listed_values(values)}")
        if joined(field) in DOUBTED_FIELDS or field not in proposal.prefixed:
            guess.unsure.append(
                f"that {few(values, 4)} in names of files tells people or machines apart; "
                'groups = "file" makes each file one.'
            )
        return
    columns = [c for c in example.data[0].columns if c.name != guess.value("labels")]
    # Of one table of all people, numbers in blocks may be theirs.
    alone = len(proposal.names[0]) == 1 and in_blocks(columns) is not None
    if alone or by_words(columns, GROUP_WORDS) is not None:
        tell_groups(guess, columns, "each row")
        return
    fields = ", ".join([*proposal.columns, "file"])
    guess.source["groups"] = (
        None,
        f"person or machine: one of {fields}. {NO_GROUPS}",
    )
    guess.unsure.append(
        "whom the recordings come from, as folds are made of whole people or machines; names say: "
        f"{fields}."
    )


def _tell_split(guess: Guess, proposal: Proposal) -> None:
    found = _field(proposal, SPLIT_WORDS)
    if found is None:
        return
    values = list(dict.fromkeys(proposal.columns[found]))
    if len(values) <= len(PARTS):
        guess.source["split"] = (found, f"official split: {listed_values(values)}")
