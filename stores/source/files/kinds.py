"""Which files of a folder are recordings where no pattern says it: those of its main kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place
from headrace.stores.text import shown

NO_RECORDINGS = re.compile(
    r"(read_?me|licen[sc]e|copying|changelog|changes|citation|authors|contributing|notice|"
    r"description|checksums?|(md5|sha\d+)(sums?)?|requirements|thumbs\.db)\b.*",
    re.IGNORECASE,
)
"""Names of files that stand beside data."""
NO_DATA = frozenset({".md", ".rst", ".pdf", ".html", ".htm", ".docx", ".py", ".m", ".r", ".png",
                     ".jpg", ".jpeg", ".svg", ".xml", ".yaml", ".yml", ".toml", ".ini", ".log",
                     ".md5", ".sha256", ".sha1", ".bib", ".ipynb", ".sh"})  # fmt: skip
"""Endings of files that hold no recording."""
PACKED = (".gz", ".bz2", ".xz", ".zst")
SHOWN_LEFT_OUT = 4


def main_kind(names: Sequence[str], folder: Place) -> tuple[list[str], list[str]]:
    """The files of the ending that most have, and those that are left out.

    Args:
        names: of all files below the folder.
        folder: for the error.

    Raises:
        UserError: no ending is that of more than half of the files that may be recordings.
    """
    kinds = {name: kind_of(name) for name in names}
    called = [name for name in names if not NO_RECORDINGS.fullmatch(name.rpartition("/")[2])]
    # Files of readings are called .log too, where there are no others.
    likely = [name for name in called if kinds[name] not in NO_DATA] or called
    counts = Counter(kinds[name] for name in likely)
    if not counts:
        return list(names), []
    ending, most = counts.most_common(1)[0]
    if 2 * most <= len(likely):
        listed = ", ".join(f"{n} of {kind or 'no ending'}" for kind, n in counts.most_common(8))
        raise SourceError(
            f"{folder} holds files of several kinds: {listed}. Say which are recordings: "
            f'source.files = ["**/*{ending}"].'
        )
    kept = [name for name in likely if kinds[name] == ending]
    chosen = set(kept)
    return kept, [name for name in names if name not in chosen]


def left_out_note(left_out: Sequence[str], folder: Place) -> str:
    """A sentence that names what was left out."""
    more = f" and {len(left_out) - SHOWN_LEFT_OUT} more" if len(left_out) > SHOWN_LEFT_OUT else ""
    return (
        f"Left out of {folder}, as no recordings by their names: "
        f"{shown(left_out[:SHOWN_LEFT_OUT])}{more}. Set source.files to choose them yourself."
    )


def kind_of(name: str) -> str:
    """Its ending; of 2004.02.12.10.32.39, which ends with a time, none."""
    ending = ending_of(name)
    return "" if ending[1:].isdecimal() else ending


def ending_of(name: str) -> str:
    """The ending of a name, in lower case, with that of what is packed: .csv.gz."""
    base = name.rpartition("/")[2].lower()
    packed = next((each for each in PACKED if base.endswith(each)), "")
    stem, dot, ending = base.removesuffix(packed).rpartition(".")
    return (f".{ending}" if dot and stem else "") + packed
