"""Many files as one source: each is a recording; they are opened as they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from headrace.stores.io.storage import State
from headrace.stores.source.files.census import (
    Census,
    census_of,
    state_of,
    touched_files,
)
from headrace.stores.source.files.each_recording import EachRecording
from headrace.stores.source.files.files import MAY_LACK, SourceFiles
from headrace.stores.source.files.kinds import left_out_note
from headrace.stores.source.files.record import described_files, record_of
from headrace.stores.source.files.states import changed, touched
from headrace.stores.source.formats.opening import model_of, open_alike, open_file, pieces_of
from headrace.stores.source.formats.text_rules import USUAL, TextRules
from headrace.stores.source.interface import Files, SourceArray, SourceFile
from headrace.stores.source.notes.note import Note
from headrace.stores.source.remarks import TIMES, Remark

OF_RECORDINGS = -(1 << 40)
"""Before the number of a recording's first file, of remarks on how its files were joined."""


class ManyFiles(EachRecording):
    """The files of a folder; see `SourceFile`.

    Attributes:
        census: what is known of them.
    """

    def __init__(
        self,
        files: SourceFiles,
        rules: TextRules = USUAL,
        census: Census | None = None,
        joined: Callable[[Files], Files | None] = lambda _: None,
    ) -> None:
        """Nothing is opened but what is asked for.

        Args:
            files: which.
            rules: as in `open_file`.
            census: what another process found in them.
            joined: the files of a recording as they fit side by side; None: as they stand.

        Raises:
            OSError: one is not there.
        """
        super().__init__(str(files.folder), len(files.names), files.columns)
        self.files, self.folder = files, files.folder
        self.census: Census = census_of(files) if census is None else census
        self.tables = self.census.tables
        self.share(self.census)
        self._rules, self._joined = rules, joined
        self._width = len(files.names[0])
        self._models: list[Any] | None = None
        self._read: set[int] = set()
        self._held: Counter[int] = Counter()

    @property
    def held_bytes(self) -> int:
        """What is known of the files, and what reads columns of names."""
        return self.census.nbytes + self.column_bytes

    def opened(self, recording: int, closing: ExitStack) -> Files:
        """The open files of a recording.

        Raises:
            SourceContentError: one was touched since the census.
        """
        if self._models is None:
            self._models = self._found_models()
        first = recording * self._width
        files = [
            self._opened(first + position, model, closing)
            for position, model in enumerate(self._models)
        ]
        joined = self._joined(files)
        if joined is None:
            return files
        if not self.census.known:
            self.census.remarks[OF_RECORDINGS + first] = [Remark(TIMES, self.titled(recording))]
        return joined

    def opened_beside(self, recording: int, beside: str, closing: ExitStack) -> Files:
        """The open file that belongs to a recording; none where one may lack, and does.

        Raises:
            UserError: there is none; or it was touched since the census.
        """
        number = self.census.number_beside(recording, beside)
        if beside.startswith(MAY_LACK) and self.census.names[number] == self.titled(recording):
            return []
        return [self._opened(number, None, closing)]

    def titled(self, recording: int) -> str:
        """The name of a recording's first file."""
        return self.files.names[recording][0]

    def named(self, recording: int) -> str:
        """What a recording is called, without the ending of its file."""
        return self.files.title(recording)

    def notes(self) -> tuple[Note, ...]:
        """Of how files were found, and those that were left out."""
        left_out = self.files.left_out
        texts = [left_out_note(left_out, self.folder)] if left_out else []
        return tuple(Note(text, "source.files") for text in (*self.files.said, *texts))

    def remarks(self) -> list[Remark]:
        """On how the files were read."""
        return self.census.said

    def size(self) -> int:
        """Bytes of all files."""
        return int(self.census.contents()[0].sum())

    def state(self) -> State:
        """Of all files, as one number; and of the tables."""
        own = state_of(touched_files(self.folder, self.census.names))
        return (*own, *self.tables.state())

    def require_state(self, state: State) -> None:
        """Check that the files that were read since this was last asked are what they were.

        Without a census of another process, that all are.

        Raises:
            SourceContentError: one was touched; names it.
            OSError: one is not there.
        """
        self.tables.require_state(state[1:])
        if not self.census.known or self.census.state != state:
            seen = touched_files(self.folder, self.census.names)
            for number in np.flatnonzero((seen != self.census.touched).any(axis=1)).tolist():
                raise changed(str(self.folder / self.census.names[number]))
            if self.census.state != state:
                raise changed(self.where)
            return
        for number in sorted(self._read | self._beside(self._read)):
            self._require_untouched(number)
        # Those that are still open may be read again.
        self._read = {number for number in self._read if self._held[number]}

    def described(self) -> SourceArray:
        """Of each file and table its name, its size, and what stands in it."""
        files, _ = self.census.each_content()
        return described_files(self.where, files)

    def record(self) -> str | None:
        """Name, size and digest of each file and table, packed; None: they are too many."""
        return record_of(*self.census.each_content())

    def _opened(self, number: int, model: Any, closing: ExitStack) -> SourceFile:
        path = self.folder / self.census.names[number]
        if self.census.known:
            self._require_untouched(number)
        self._read.add(number)
        self._held[number] += 1
        file = open_alike(path, self._rules, model, self.census.pieces.get(number))
        closing.callback(partial(self._close_file, file, number))
        return file

    def _beside(self, read: Iterable[int]) -> set[int]:
        """Files beside those that were read: what they hold may be known from the census alone."""
        count = len(self.files.names)
        alone = count * self._width
        recordings = {number // self._width for number in read if number < alone}
        return {
            alone + pattern * count + recording
            for pattern in range(len(self.census.beside))
            for recording in recordings
        }

    def _require_untouched(self, number: int) -> None:
        path = self.folder / self.census.names[number]
        if touched(path) != self.census.touched[number].tobytes():
            raise changed(str(path))

    def _close_file(self, file: SourceFile, number: int) -> None:
        if not self.census.known:
            if (pieces := pieces_of(file)) is not None:
                self.census.pieces[number] = pieces
            if remarks := file.remarks():
                self.census.remarks[number] = remarks
        self._held[number] -= 1
        file.close()

    def _found_models(self) -> list[Any]:
        """What files share with those of the first recording."""
        models: list[Any] = []
        if self._rules.drop:  # Which lines are is told by all of a file's cells.
            return [None] * self._width
        for path in self.files.paths(0):
            with ExitStack() as closing:
                file = open_file(path, self._rules)
                closing.callback(file.close)
                models.append(model_of(file))
        return models


def files_changed(census: Census) -> bool:
    """Whether a file or a table was touched since the census; one that is not there was."""
    try:
        files = state_of(touched_files(census.files.folder, census.names))
        return (*files, *census.tables.state()) != census.state
    except OSError:
        return True
