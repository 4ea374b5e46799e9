"""Which files of a folder are likely to be its recordings: those of the largest kind."""

from __future__ import annotations

from collections import Counter

from headrace.pipeline.commands.guess.companions import cells, companions_of, stem_and_ending
from headrace.pipeline.commands.guess.names import training_alone
from headrace.stores.errors import CommandError
from headrace.stores.source.files.kinds import kind_of
from headrace.stores.source.probe.found import Contents, FoundFile


def likely_names(contents: Contents, where: str) -> list[str]:
    """Names of the kind of file that most of those are that can be read.

    Raises:
        UserError: none can.
    """
    opened = [file for file in contents.files if file.arrays]
    if not opened:
        why = next((file.error for file in contents.files if file.error), "it holds no file")
        raise CommandError(f"{where} holds no file that can be read: {why}")
    holding = [file for file in opened if any(_holds_data(file))] or opened
    endings = {_ending(file.name) for file in holding}
    counts = Counter(_ending(name) for name in contents.names)
    most = max(counts[each] for each in endings)
    size = {each: max(cells(f) for f in holding if _ending(f.name) == each) for each in endings}
    stems = {each: {_stem(n) for n in contents.names if _ending(n) == each} for each in endings}
    first = max(endings, key=lambda each: (counts[each], size[each], each))
    # Of files of two endings that are called alike, the larger ones are the recordings.
    alike = [each for each in endings if 2 * len(stems[each] & stems[first]) > most]
    ending = max(alike, key=lambda each: (size[each], each)) if alike else first
    names = [name for name in contents.names if _ending(name) == ending]
    beside = {name for kind in companions_of(contents, names) for name in kind.names}
    names = training_alone([name for name in names if name not in beside] or names)
    empty = {file.name for file in contents.files if not any(_holds_data(file))}
    return [name for name in names if name not in empty] or names


def _holds_data(file: FoundFile) -> list[bool]:
    numbers = [each for each in file.arrays if each.shape and each.is_number]
    return [max(each.shape) > 1 for each in numbers]


def _ending(name: str) -> str:
    return kind_of(name)


def _stem(name: str) -> str:
    return stem_and_ending(name)[0]
