"""Patterns of file names whose fields become columns: `acc_{recording}_user{subject}.txt`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from headrace.stores.text import shown

FIELD = re.compile(r"\{([^{}]*)\}")
TOKEN = re.compile(r"\{[^{}]*\}|\*\*/|\*\*$|\*|\?|\[!?\]?[^\]/]*\]|[^{}*?\[]+|\[")
SPECIAL = re.compile(r"[*?\[{]")
"""What tells a pattern from a name."""
OUT, PLAIN = "!", "\\!"
"""Begin a pattern of files that are left out, and one of names that begin with a !."""
LEAVE_OUT = 'a pattern that begins with !, such as "!*_notes.csv", leaves files out'


def check_pattern(pattern: str) -> None:
    """Check what a pattern is made of.

    Raises:
        ValueError: a field without a name, a brace too many, or a place outside of the folder.
    """
    rest = FIELD.sub("", pattern)
    fields = FIELD.findall(pattern)
    if "{" in rest or "}" in rest or not all(field.isidentifier() for field in fields):
        raise ValueError(
            f"the pattern {pattern!r} needs a name in each pair of braces, such as {{subject}}"
        )
    if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError(f"the pattern {pattern!r} leads out of the folder")
    try:
        compiled(pattern)
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} cannot be used ({error})") from error


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression of a whole name, with slashes; a field that comes twice is the same.

    A field takes as little as it can; *, ? and [...] take no slash, ** takes folders.
    """
    seen: set[str] = set()
    found = []
    for token in TOKEN.findall(pattern[1:] if pattern.startswith(PLAIN) else pattern):
        if token.startswith("{"):
            name = token[1:-1]
            found.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)")
            seen.add(name)
        elif token == "**/":
            found.append("(?:[^/]+/)*")
        elif token == "**":
            found.append(".*")
        elif token in ("*", "?"):
            found.append("[^/]*" if token == "*" else "[^/]")
        elif token.startswith("[") and len(token) > 1:
            found.append(_letters(token))
        else:
            found.append(re.escape(token))
    return re.compile("".join(found))


def without_left_out(names: Sequence[str], patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names that no pattern with a ! leaves out, and the patterns without one.

    Such a pattern leaves out what it matches, wherever it stands among the others. One without a
    slash is of files in any folder, one that ends in a slash of all that a folder holds.
    """
    out = [compiled(_anywhere(each[1:])) for each in patterns if each.startswith(OUT)]
    kept = [name for name in names if not any(each.fullmatch(name) for each in out)]
    return kept, [each for each in patterns if not each.startswith(OUT)]


def idle_note(names: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """A sentence that names the patterns with a ! that leave out none of the names; () of none."""
    idle = [
        each
        for each in patterns
        if each.startswith(OUT) and len(without_left_out(names, [each])[0]) == len(names)
    ]
    if not idle:
        return ()
    return (f"No file matches {shown(idle)} in source.files: nothing is left out by it.",)


def _anywhere(pattern: str) -> str:
    pattern = f"{pattern}**" if pattern.endswith("/") else pattern
    return pattern if "/" in pattern.removesuffix("/**") else f"**/{pattern}"


def split_pattern(path: str) -> tuple[str, str]:
    """The fixed beginning of a path, and the pattern of what stands below it; "" where none is."""
    parts = path.split("/")
    fixed = next((at for at, part in enumerate(parts) if SPECIAL.search(part)), len(parts))
    return "/".join(parts[:fixed]), "/".join(parts[fixed:])


def stem_of(path: str) -> str:
    """What a file or a folder is called without its ending; of a pattern, its folder."""
    fixed, pattern = split_pattern(path)
    if not pattern:
        return PurePosixPath(path).stem
    return fixed.rpartition("/")[2] or "default"


def _letters(token: str) -> str:
    """One letter of some, or of all others, as a shell has them."""
    inside = token[1:-1].replace("\\", r"\\").replace("^", r"\^").replace("[", r"\[")
    if inside.startswith("!"):
        return f"[^/{inside[1:]}]"
    return f"[{inside}]"
