"""What a test says of an error: its kind, and what it names. How it is worded is free.

What is named is a key, an option, a dataset, a file, a class, a number: what users type, or a
value of the case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headrace.stores.errors import UserError

TESTS_FOLDER = re.compile(r"/pytest-\d+/")
"""A number in every path of a test."""


def says(text: str, name: str) -> bool:
    """Whether `text` has a name or number, and not as a part of another."""
    own = rf"(?<![\w])(?<!\d[.,]){re.escape(name)}(?!\w)"
    number = name[-1:].isdigit()
    return re.search(own + (r"(?![.,]\d)" if number else ""), text) is not None


def assert_names(text: str, *named: str) -> None:
    """Each of `named` is in the text."""
    text = TESTS_FOLDER.sub("/", text)
    missing = [name for name in named if not says(text, TESTS_FOLDER.sub("/", name))]
    assert not missing, f"{missing} not in: {text}"


def assert_refused(stderr: str, kind: type[UserError] | None, *named: str) -> str:
    """The last line of standard error is an error of this kind that names these; returns it.

    Args:
        stderr: standard error of a command.
        kind: of the error; None for one of the parser of options, which leads to `--help`.
    """
    line = (stderr.splitlines() or [""])[-1]
    if kind is None:
        assert line.endswith(" --help"), stderr
        text = line
    else:
        text, _, heading = line.rpartition("docs/errors.md#")
        assert heading == kind.heading, stderr
    assert_names(text, *named)
    return text


@contextmanager
def refused(kind: type[Exception], *named: str) -> Iterator[pytest.ExceptionInfo[BaseException]]:
    """What stands within raises an error of this very kind that names these."""
    with pytest.raises(kind) as caught:
        yield caught
    assert type(caught.value) is kind, repr(caught.value)
    assert_names(str(caught.value), *named)
