"""The error that means: the user's input must change, not the program."""

from __future__ import annotations

import struct
import zlib
from zipfile import BadZipFile

ARCHIVE_ERRORS = (
    OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError,
    ImportError, MemoryError, OverflowError, EOFError, BadZipFile, struct.error, zlib.error,
)  # fmt: skip
"""What reading an archive of arrays or a model raises if it is not as it says."""


class UserError(ValueError):
    """A rule that the user's input breaks, in one line: the rule, the values, the next step.

    The command line prints the message without a traceback and exits with code 2.

    Attributes:
        heading: where docs/errors.md explains it, if it comes from another process.
    """

    heading: str | None = None


class SourceContentError(UserError):
    """The source's data cannot be used as it is: what was made from it so far is of no use."""


class DamageError(UserError):
    """A store is not as it was written; what is left of it can be mended."""


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
