"""Many files as one source: each is a recording; they are opened as they are read."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from headrace.stores.errors import SourceContentError
from headrace.stores.io.storage import State
from headrace.stores.source.census import (
    Census,
    census_of,
    state_of,
    touched_files,
)
from headrace.stores.source.each_recording import EachRecording
from headrace.stores.source.file_kinds import left_out_note
from headrace.stores.source.file_record import record_of
from headrace.stores.source.file_states import touched
from headrace.stores.source.files import SourceFiles
from headrace.stores.source.formats.interface import Files, SourceArray, SourceFile
from headrace.stores.source.formats.opening import model_of, open_alike, open_file, pieces_of
from headrace.stores.source.held import HeldArray
from headrace.stores.source.notes import Note


class ManyFiles(EachRecording):
    """The files of a folder; see `SourceFile`.

    Attributes:
        census: what is known of them.
    """

    def __init__(self, files: SourceFiles, census: Census | None = None) -> None:
        """Nothing is opened but what is asked for.

        Args:
            files: which.
            census: what another process found in them.

        Raises:
            OSError: one is not there.
        """
        super().__init__(str(files.folder), len(files.names), files.columns)
        self.files, self.folder = files, files.folder
        if census is None:
            self.census = census_of(files)
            self.census.seen = self.seen
        else:
            self.census = census
            self.tell(census.seen)
        self._width = len(files.names[0])
        self._models: list[Any] | None = None
        self._read: set[int] = set()

    def opened(self, recording: int, closing: ExitStack) -> Files:
        """The open files of a recording.

        Raises:
            SourceContentError: one was touched since the census.
        """
        if self._models is None:
            self._models = self._found_models()
        self._read.add(recording)
        opened: list[SourceFile] = []
        for position, path in enumerate(self.files.paths(recording)):
            number = recording * self._width + position
            if self.census.known:
                self._require_untouched(number)
            file = open_alike(path, self._models[position], self.census.pieces.get(number))
            closing.callback(partial(self._close_file, file, number))
            opened.append(file)
        return opened

    def titled(self, recording: int) -> str:
        """The name of a recording's first file."""
        return self.files.names[recording][0]

    def notes(self) -> tuple[Note, ...]:
        """Of files that were left out."""
        left_out = self.files.left_out
        text = left_out_note(left_out, self.folder) if left_out else ""
        return (Note(text, "source.files"),) if text else ()

    def size(self) -> int:
        """Bytes of all files."""
        return int(self.census.contents()[0].sum())

    def state(self) -> State:
        """Of all files, as one number."""
        return state_of(touched_files(self.files))

    def require_state(self, state: State) -> None:
        """Check that the files that were read since this was last asked are what they were.

        Raises:
            SourceContentError: one was touched; names it.
            OSError: one is not there.
        """
        if not self.census.known or self.census.state != state:
            if self.state() != state:
                raise _changed(self.where)
            return
        held = {recording for arrays in self._open for recording in arrays.held()}
        for recording in sorted(self._read | held):
            for position in range(self._width):
                self._require_untouched(recording * self._width + position)
        self._read.clear()

    def described(self) -> SourceArray:
        """Of each recording the names of its files, their sizes, and what stands in them."""
        sizes, digests = self.census.contents()
        each = [
            f"{name} {size} {digest.tobytes().hex()}"
            for name, size, digest in zip(self._names(), sizes.tolist(), digests, strict=True)
        ]
        width = self._width
        texts = [" ".join(each[at : at + width]) for at in range(0, len(each), width)]
        return HeldArray("files", self.where, texts)

    def record(self) -> str | None:
        """Name, size and digest of each file, packed; None: they are too many."""
        return record_of(self._names(), *self.census.contents())

    def _names(self) -> list[str]:
        return [name for names in self.files.names for name in names]

    def _require_untouched(self, number: int) -> None:
        path = self.files.paths(number // self._width)[number % self._width]
        if touched(path) != self.census.touched[number].tobytes():
            raise _changed(str(path))

    def _close_file(self, file: SourceFile, number: int) -> None:
        if not self.census.known and (pieces := pieces_of(file)) is not None:
            self.census.pieces[number] = pieces
        file.close()

    def _found_models(self) -> list[Any]:
        """What files share with those of the first recording."""
        models = []
        for path in self.files.paths(0):
            with ExitStack() as closing:
                file = open_file(path)
                closing.callback(file.close)
                models.append(model_of(file))
        return models


def files_changed(census: Census) -> bool:
    """Whether a file was touched since the census; one that is not there was."""
    try:
        return state_of(touched_files(census.files)) != census.state
    except OSError:
        return True


def _changed(where: str) -> SourceContentError:
    return SourceContentError(
        f"{where} was changed while it was being read. Start again once nothing writes to it."
    )
