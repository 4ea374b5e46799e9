"""How a case of a bad file is told, and asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace.stores.errors import UserError
from headrace.stores.source.formats.left_out import MixedTable
from headrace.stores.source.formats.opening import open_file
from tests.pipeline.test_bad_input import refuse
from tests.refusals import refused

Refusal = tuple[type[UserError], *tuple[str, ...]]
"""The kind of an error, and what it names."""
Write = Callable[[Path], Any]
SETTINGS = (
    "source.rate_hz=20",
    "source.window_samples=4",
    'source.labels=""',
    "source.split_by_window=true",
)


def read(path: Path, name: str) -> Any:
    """All of an array of the file at `path`; "table" as channels are taken from it."""
    with closing(open_file(path)) as file:
        if name == "table" and isinstance(file, MixedTable):
            file.check_left_out(())
        array = file.array(name)
        assert array is not None, file.contents()
        if array.dtype.kind in "SOU":
            return array.texts(0, (array.shape or (0,))[0]).tolist()
        return array.read(0, (array.shape or (0,))[0]).tolist()


def assert_file_refused(path: Path, name: str, kind: type[UserError], *named: str) -> None:
    """The array cannot be read, in one way, and its path is named."""
    with refused(kind, str(path), *named) as caught:
        read(path, name)
    assert len(str(caught.value)) < 2000


def assert_command_refused(
    folder: Path,
    source: Path,
    case: Refusal,
    capsys: pytest.CaptureFixture[str],
    settings: tuple[str, ...] = SETTINGS,
) -> None:
    """`headrace features` on the source answers in one line, and leaves all as it is."""
    kind, *named = case
    given = [part for setting in settings for part in ("--set", setting)]
    arguments = ["--data", str(source), "--store", str(folder / "new.zarr"), "--quiet"]
    refuse(["features", *arguments, *given, "--budget", "2GiB"], kind, named, folder, capsys)
