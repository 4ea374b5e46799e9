"""Many files as one source: each is a recording; they are opened as they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from headrace.stores.io.places import Place
from headrace.stores.io.storage import State
from headrace.stores.source.each_recording import EachRecording
from headrace.stores.source.file_kinds import left_out_note
from headrace.stores.source.file_states import content, touched
from headrace.stores.source.files import SourceFiles
from headrace.stores.source.formats.interface import Files, SourceArray, SourceFile
from headrace.stores.source.formats.opening import open_file
from headrace.stores.source.held import HeldArray
from headrace.stores.source.notes.note import Note


class ManyFiles(EachRecording):
    """The files of a folder; see `SourceFile`."""

    def __init__(self, files: SourceFiles, drop_damaged: bool = False) -> None:
        """Nothing is opened but what is asked for; `drop_damaged` as in `open_file`."""
        super().__init__(str(files.folder), len(files.names), files.columns)
        self.files, self.folder = files, files.folder
        self._drop_damaged = drop_damaged
        self._beside: list[str] = []

    def opened(self, recording: int, closing: ExitStack) -> Files:
        """The open files of a recording."""
        return self._opened(self.files.paths(recording), closing)

    def opened_beside(self, recording: int, beside: str, closing: ExitStack) -> Files:
        """The open file that belongs to a recording.

        Raises:
            UserError: there is none.
        """
        if beside not in self._beside:
            self._beside.append(beside)
        return self._opened([self.files.beside(recording, beside)], closing)

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
        return sum(content(path)[0] for path in self._paths())

    def state(self) -> State:
        """Of all files, as one number."""
        digest = hashlib.blake2b(digest_size=16)
        for path in self._paths():
            digest.update(touched(path))
        return (digest.hexdigest(),)

    def described(self) -> SourceArray:
        """Of each recording the names of its files, their sizes, and what stands in them."""
        texts = [
            " ".join(f"{name} {_described(self.folder / name)}" for name in names)
            for names in self.files.names
        ]
        return HeldArray("files", self.where, texts)

    def _paths(self) -> Iterator[Place]:
        for number in range(len(self.files.names)):
            yield from self.files.paths(number)
            yield from (self.files.beside(number, pattern) for pattern in self._beside)

    def _opened(self, paths: Sequence[Place], closing: ExitStack) -> Files:
        opened: list[SourceFile] = []
        for path in paths:
            file = open_file(path, self._drop_damaged)
            closing.callback(file.close)
            opened.append(file)
        return opened


def _described(path: Place) -> str:
    size, digest = content(path)
    return f"{size} {digest.hex()}"
