"""The error that means: the user's input must change, not the program."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import ClassVar
from zipfile import BadZipFile

DOCS = Path(__file__).parent.parent / "docs"
"""The pages that messages name: they come with the package."""
ARCHIVE_ERRORS = (
    OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError,
    ImportError, MemoryError, OverflowError, EOFError, BadZipFile, struct.error, zlib.error,
)  # fmt: skip
"""What reading an archive of arrays or a model raises if it is not as it says."""


class UserError(ValueError):
    """A rule that the user's input breaks, in one line: the rule, the values, the next step.

    The command line prints the message without a traceback and exits with code 2. What is raised
    is one of the kinds below.

    Attributes:
        heading: the part of docs/errors.md that explains errors of this kind.
    """

    heading: ClassVar[str] = ""


class CommandError(UserError):
    """What the command line names is not there, is taken, or plays no part."""

    heading = "command-line"


class ConfigError(UserError):
    """A key of the configuration, its value, or keys that contradict one another."""

    heading = "configuration"


class FunctionError(UserError):
    """A function of the user's own cannot be found, fails, or is not what its key takes."""

    heading = "your-own-functions"


class SourceError(UserError):
    """The source is not what was said of it, or cannot be read."""

    heading = "source"


class SourceContentError(SourceError):
    """The source's data cannot be used as it is: what was made from it so far is of no use.

    Attributes:
        encoding: of a text that is not UTF-8, one that it may be of; None: none is known.
    """

    encoding: str | None = None


class GroupError(UserError):
    """Groups and classes do not make the folds, or the split, that are asked for."""

    heading = "groups-and-folds"


class BudgetError(UserError):
    """A stage would hold more than the budget."""

    heading = "memory"


class ClusterError(UserError):
    """The scheduler, its workers, or what they see and have installed."""

    heading = "cluster"


class DiskError(UserError):
    """A file or folder that cannot be read or written."""

    heading = "disk"


class ObjectStoreError(UserError):
    """An object store that cannot be reached, refuses, or answers what it must not."""

    heading = "object-stores"


class StoreError(UserError):
    """The store is missing, of something else, or in use."""

    heading = "store"


class DamageError(StoreError):
    """A store is not as it was written; what is left of it can be mended."""


class RunError(UserError):
    """A run is missing, of something else, or in use."""

    heading = "runs"


class PredictionError(UserError):
    """A source is not what the network was trained on."""

    heading = "prediction"


class ArrayError(UserError):
    """An array that a script hands over has another shape, type or values than it needs."""

    heading = "arrays"


MOST_QUOTED = 300
"""Characters of what a library says: some quote all that they were given."""


def first_line(error: Exception) -> str:
    """What an error says, in one line that is no longer than a few of a terminal."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    return text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}..."
