"""Patterns of file names whose fields become columns: `acc_{recording}_user{subject}.txt`."""

from __future__ import annotations

import re

FIELD = re.compile(r"\{([^{}]*)\}")
TOKEN = re.compile(r"\{[^{}]*\}|\*\*/|\*|[^{}*]+")


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


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression of a whole name, with slashes; a field that comes twice is the same.

    A field takes as little as it can, * no slash.
    """
    seen: set[str] = set()
    found = []
    for token in TOKEN.findall(pattern):
        if token.startswith("{"):
            name = token[1:-1]
            found.append(f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)")
            seen.add(name)
        elif token == "**/":
            found.append("(?:[^/]+/)*")
        elif token == "*":
            found.append("[^/]*")
        else:
            found.append(re.escape(token))
    return re.compile("".join(found))
