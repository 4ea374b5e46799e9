"""What looking through many files found, for processes that open them again."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import ARCHIVE_ERRORS
from headrace.stores.io.places import Place
from headrace.stores.io.storage import State
from headrace.stores.source.derived.joined import Costs
from headrace.stores.source.derived.run_array import Runs
from headrace.stores.source.files.files import SourceFiles
from headrace.stores.source.files.members import Members, text_bytes
from headrace.stores.source.files.record import FileContent
from headrace.stores.source.files.side_tables import SideTables
from headrace.stores.source.files.states import DIGEST, content, touched_below
from headrace.stores.source.remarks import Remark, together

NAME_BYTES = 300
"""Held of a file: its name and the texts of its columns, as Python has them."""


@dataclass
class Seen:
    """What was found in the recordings, one after another.

    Attributes:
        rows: (recordings,) int64.
        costs: the most that reading one takes.
        differing: attributes that are not the same in all, and what two of them say.
        runs: all values, if they are names that seldom change.
    """

    rows: NDArray[np.int64]
    costs: Costs
    differing: dict[str, str]
    runs: Runs | None = None


@dataclass
class Census:
    """The files of a source, and what was found in them.

    Attributes:
        files: their names and columns.
        names: of all files, those of a recording after each other, and then those beside them.
        beside: patterns of the names of files beside.
        touched: (files, 8) bytes of each, see `file_states`.
        sizes, digests: (files,) and (files, 8) of each; found when they are asked for.
        seen: of each time that arrays were found in all recordings.
        attributes: columns that attributes of the recordings give, one text a recording.
        pieces: of tables of text, by the number of the file.
        remarks: on how files were read, by the number of the first.
        known: whether this was found before, and is not to be found again.
        members: where recordings stand within files, which there are; `seen` is of these.
        tables: that are read besides the files.
    """

    files: SourceFiles
    names: list[str]
    touched: NDArray[np.uint8]
    beside: list[str] = field(default_factory=list)
    sizes: NDArray[np.int64] | None = None
    digests: NDArray[np.uint8] | None = None
    seen: list[Seen] = field(default_factory=list)
    pieces: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    remarks: dict[int, list[Remark]] = field(default_factory=dict)
    known: bool = False
    members: Members | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    tables: SideTables = field(init=False)

    def __post_init__(self) -> None:
        """Tables that were read to find the files are noted."""
        self.tables = SideTables(self.files.folder, dict(self.files.tables))

    @property
    def state(self) -> State:
        """Of all files, as one number; and of the tables."""
        return (*state_of(self.touched), *self.tables.state_read)

    @property
    def nbytes(self) -> int:
        """Held of it."""
        arrays = [self.touched, self.sizes, self.digests, *self.pieces.values()]
        arrays += [each.rows for each in self.seen]
        runs = sum(each.runs.nbytes for each in self.seen if each.runs is not None)
        held = sum(array.nbytes for array in arrays if array is not None)
        held += sum(text_bytes(texts) for texts in self.attributes.values())
        # A small array is an object of its own.
        return held + runs + 200 * len(self.pieces) + NAME_BYTES * len(self.touched)

    @property
    def said(self) -> list[Remark]:
        """On how files were read, in their order: one for each option."""
        return together([each for _, found in sorted(self.remarks.items()) for each in found])

    def number_beside(self, recording: int, pattern: str) -> int:
        """The number among all files of the one beside a recording.

        Raises:
            UserError: a recording has none.
            OSError: one is not there any more.
        """
        count = len(self.files.names)
        if pattern not in self.beside:
            names = self.files.names_beside(pattern)
            self.touched = np.concatenate([self.touched, touched_files(self.files.folder, names)])
            self.names += names
            self.beside.append(pattern)
            self.sizes = self.digests = None
        first = count * len(self.files.names[0])
        return first + self.beside.index(pattern) * count + recording

    def contents(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Sizes and digests of all files; of those beside recordings every byte counts.

        Raises:
            OSError: one is not there.
        """
        if self.sizes is None or self.digests is None:
            data = {name for names in self.files.names for name in names}
            found = [
                content(self.files.folder / name, whole=name not in data) for name in self.names
            ]
            self.sizes = np.array([size for size, _ in found], np.int64)
            self.digests = _bytes([digest for _, digest in found])
        return self.sizes, self.digests

    def each_content(self) -> tuple[Iterable[FileContent], int]:
        """What is known of each file and each table, and how many they are.

        Raises:
            OSError: one is not there.
        """
        sizes, digests = self.contents()
        found = zip(self.names, sizes.tolist(), map(bytes, digests), strict=True)
        tables = self.tables.contents()
        return chain(found, tables), len(self.names) + len(tables)

    def to_bytes(self) -> bytes:
        """All of it as an .npz file without objects."""
        sizes, digests = self.contents()
        numbers = np.array(sorted(self.pieces), np.int64)
        pieces = [self.pieces[number] for number in numbers.tolist()]
        arrays: dict[str, NDArray[Any]] = {
            "touched": self.touched,
            "sizes": sizes,
            "digests": digests,
            "piece_file": numbers,
            "piece_count": np.array([len(each) for each in pieces], np.int64),
            "pieces": np.concatenate([np.empty((0, 4), np.int64), *pieces]),
        }
        for n, each in enumerate(self.seen):
            arrays[f"rows_{n}"] = each.rows
            if each.runs is not None:
                arrays |= {f"{name}_{n}": value for name, value in each.runs.arrays().items()}
        said = {
            "names": self.files.names,
            "all": self.names,
            "beside": self.beside,
            "columns": dict(self.files.columns),
            "left_out": self.files.left_out,
            "said": self.files.said,
            "tables": {name: seen.hex() for name, seen in self.tables.touched.items()},
            "attributes": self.attributes,
            "members": None if self.members is None else self.members.as_table(),
            "fields": self.files.fields,
            "remarks": [asdict(each) for each in self.said],
            "seen": [
                {"costs": asdict(each.costs), "differing": each.differing, "runs": bool(each.runs)}
                for each in self.seen
            ],
        }
        arrays["said"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()


def census_of(files: SourceFiles) -> Census:
    """Nothing is found yet but when the files were touched.

    Raises:
        OSError: one is not there.
    """
    names = [name for names in files.names for name in names]
    return Census(files, names, touched_files(files.folder, names))


def census_from(kept: Any, folder: Place) -> Census | None:
    """What `to_bytes` wrote; None: it cannot be read, and all has to be found again.

    Args:
        kept: the file, or its bytes as a stream.
        folder: of the source's files.
    """
    try:
        with np.load(kept, allow_pickle=False) as file:
            found = {name: np.asarray(file[name]) for name in file.files}
        said = json.loads(found["said"].tobytes())
        names = tuple(tuple(each) for each in said["names"])
        tables = {name: bytes.fromhex(seen) for name, seen in said["tables"].items()}
        left_out, told, fields = (tuple(said[name]) for name in ("left_out", "said", "fields"))
        files = SourceFiles(folder, names, said["columns"], left_out, told, tables, fields)
        seen = [
            Seen(
                found[f"rows_{n}"],
                Costs(**each["costs"]),
                each["differing"],
                Runs.of(found, n) if each["runs"] else None,
            )
            for n, each in enumerate(said["seen"])
        ]
        ends = np.cumsum(found["piece_count"])
        parts = np.split(found["pieces"], ends[:-1]) if len(ends) else []
        pieces = dict(zip(found["piece_file"].tolist(), parts, strict=True))
        return Census(
            files,
            said["all"],
            found["touched"],
            said["beside"],
            found["sizes"],
            found["digests"],
            seen,
            pieces,
            {0: [Remark(**each) for each in said["remarks"]]},
            known=True,
            attributes=said["attributes"],
            members=None if said["members"] is None else Members.from_table(said["members"]),
        )
    except ARCHIVE_ERRORS:
        return None


def touched_files(folder: Place, names: Sequence[str]) -> NDArray[np.uint8]:
    """(files, 8) bytes of each that differ when it was touched.

    Raises:
        OSError: one is not there.
    """
    return _bytes(touched_below(folder, names))


def state_of(touched: NDArray[np.uint8]) -> State:
    """Of all files, as one number."""
    return (hashlib.blake2b(touched.tobytes(), digest_size=16).hexdigest(),)


def _bytes(digests: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST)
