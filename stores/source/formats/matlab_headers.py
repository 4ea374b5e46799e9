"""What a MATLAB file of version 4 or 5 says that it holds, from its headers, nothing loaded.

Version 5 (also called 6 and 7): "MAT-File Format" of The MathWorks, chapter 1; version 4: its
appendix. Every size is compared with the bytes that there are before anything is made of it.
SciPy's own listing does not do: it follows the sizes of version 4 backwards, and tells neither
what is complex nor what a struct holds.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from headrace.stores.errors import SourceError, first_line
from headrace.stores.source.formats.matlab_bytes import MOST_UNPACKED, Span, VariableBytes
from headrace.stores.source.formats.packed import MOST_RATIO, is_bomb
from headrace.stores.text import in_one_line

MOST_BYTES = 4 << 30
"""Of one array, loaded: the format's own bound of what is stored."""
MOST_VARIABLES = 100_000
MOST_MEMBERS = 1 << 18
"""Of one cell or struct array."""
MATRIX, PACKED = 14, 15
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
"""Types of stored values, and bytes of each."""
KINDS = {
    1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single",
    8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64",
    15: "uint64", 16: "function_handle", 17: "opaque",
}  # fmt: skip
NUMBERS = {
    "double": "f8", "single": "f4", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2",
    "int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8", "logical": "?",
}  # fmt: skip
"""What MATLAB calls its numbers, and NumPy's name."""
TYPES4 = (8, 4, 4, 2, 2, 1)
"""Bytes of the values of version 4, by their number."""


class Damage(ValueError):
    """The file is not as it says."""


@dataclass(frozen=True)
class Matrix:
    """One array of MATLAB.

    Attributes:
        file: its bytes.
        span: the variable that it is in.
        kind: its class.
        shape: of it.
        start: first byte of what follows its header, in the variable.
        stop: after its last.
        stored: bytes of its values; 0 of cells and structs.
        header: what makes a file of those bytes, for SciPy.
        order: "<" or ">".
        is_complex: whether an imaginary part follows.
        fields: of a struct.
    """

    file: VariableBytes = field(repr=False)
    span: Span
    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int
    stored: int = 0
    header: bytes = b""
    order: str = "<"
    is_complex: bool = False
    fields: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @cached_property
    def members(self) -> tuple[Matrix, ...]:
        """Of a cell array: its members; of a struct array: the fields of one element after another.

        Raises:
            Damage, EOFError, zlib.error: they are not as they say.
        """
        found = []
        at = self.start
        for _ in range(self.count * (len(self.fields) if self.kind == "struct" else 1)):
            member, at = _element(self.file, self.span, at, self.stop, self.order)
            found.append(member[1])
        return tuple(found)


def variables_of(file: VariableBytes) -> dict[str, Matrix]:
    """All variables by name; of two of one name the last, as MATLAB does.

    Raises:
        Damage, EOFError, zlib.error: it is no such file, or not as it says.
    """
    whole = Span(0, file.size)
    head = file.read(whole, 0, min(128, file.size))
    if len(head) >= 20 and 0 in head[:4]:
        found = _version4(file, whole)
    elif len(head) == 128 and head[126:] in (b"IM", b"MI"):
        order = "<" if head[126:] == b"IM" else ">"
        version = struct.unpack(f"{order}H", head[124:126])[0] >> 8
        if version != 1:
            raise Damage(
                "version 7.3, and no HDF5 follows" if version == 2 else f"version {version}"
            )
        found = _version5(file, order)
    else:
        raise Damage("it does not begin as one does")
    variables = {}
    for number, (name, matrix) in enumerate(found):
        if number == MOST_VARIABLES:
            raise Damage(f"it has more than {MOST_VARIABLES:,} variables")
        variables[name] = matrix
    variables.pop("", None)  # What functions refer to.
    return variables


def _version5(file: VariableBytes, order: str) -> Iterator[tuple[str, Matrix]]:
    at = 128
    while at < file.size:
        whole = Span(0, file.size)
        kind, size = struct.unpack(f"{order}2I", file.read(whole, at, 8))
        span = Span(at + 8 if kind == PACKED else at, at + 8 + size)
        if span.stop > file.size or size == 0:
            raise Damage(f"a variable of {size:,} bytes begins at {at:,} of {file.size:,}")
        stop = size + 8
        if kind == PACKED:
            _, unpacked = struct.unpack(f"{order}2I", file.read(span._replace(packed=-1), 0, 8))
            stop = unpacked + 8
            span = span._replace(packed=stop)
            if unpacked > MOST_UNPACKED * size + 1024:
                raise Damage(f"{size:,} bytes say that they are {unpacked:,} packed ones")
            if is_bomb(size, unpacked):
                raise Damage(
                    f"{size:,} bytes unpack to {unpacked:,}, more than {MOST_RATIO} times, and "
                    "would be held"
                )
        (name, matrix), _ = _element(file, span, 0, stop, order)
        yield name, matrix
        at = span.stop


def _element(
    file: VariableBytes, span: Span, at: int, stop: int, order: str
) -> tuple[tuple[str, Matrix], int]:
    """Name and header of the matrix at byte `at`, and where the next one begins."""
    kind, start, size, after = _tag(file, span, at, stop, order)
    if kind != MATRIX:
        raise Damage(f"it has an element of type {kind} in place of a matrix")
    if size == 0:
        return ("", _empty(file, span, order)), after
    return _matrix(file, span, start, start + size, order), after


def _empty(file: VariableBytes, span: Span, order: str) -> Matrix:
    """A matrix of no bytes: `[]`."""
    return Matrix(file, span, "double", (0, 0), 0, 0, 0, _header(order, 6, (0, 0)), order)


def _tag(
    file: VariableBytes, span: Span, at: int, stop: int, order: str
) -> tuple[int, int, int, int]:
    """Type of an element, first byte, number of bytes, and where the next element begins."""
    if at + 8 > stop:
        raise Damage("an element ends too early")
    first, size = struct.unpack(f"{order}2I", file.read(span, at, 8))
    if first >> 16:  # Up to four bytes stand in the tag.
        kind, size, start = first & 0xFFFF, first >> 16, at + 4
        if size > 4:
            raise Damage(f"a short element has {size} bytes")
        return kind, start, size, at + 8
    if at + 8 + size > stop:
        raise Damage(f"an element has {size:,} bytes where {stop - at - 8:,} are left")
    return first, at + 8, size, min(at + 8 + size + -size % 8, stop)


def _matrix(file: VariableBytes, span: Span, at: int, stop: int, order: str) -> tuple[str, Matrix]:
    """Name and header of a matrix whose first element is at `at`."""
    _, start, size, at = _tag(file, span, at, stop, order)
    if size != 8:
        raise Damage("a matrix does not begin with its flags")
    flags = struct.unpack(f"{order}I", file.read(span, start, 4))[0]
    number, is_complex, is_logical = flags & 0xFF, bool(flags & 0x800), bool(flags & 0x200)
    kind = "logical" if is_logical and number in range(6, 16) else KINDS.get(number, "unknown")
    shape: tuple[int, ...] = ()
    if kind != "opaque":
        _, start, size, at = _tag(file, span, at, stop, order)
        if size % 4 or not 8 <= size <= 128:
            raise Damage(f"a matrix has the lengths of {size / 4:g} axes")
        shape = struct.unpack(f"{order}{size // 4}i", file.read(span, start, size))
    _, start, size, at = _tag(file, span, at, stop, order)
    name = in_one_line(file.read(span, start, min(size, 4096)).decode("latin-1"))
    found = Matrix(file, span, kind, shape, at, stop, order=order, is_complex=is_complex)
    if kind in NUMBERS or kind == "char":
        return name, _with_values(found, number, flags)
    if kind in ("cell", "struct"):
        return name, _with_members(found, number)
    return name, found


def _with_values(found: Matrix, number: int, flags: int) -> Matrix:
    """The matrix with its values, of which there must be as many as its shape says."""
    kind, _, size, after = _tag(found.file, found.span, found.start, found.stop, found.order)
    item = SIZES.get(kind, 0)
    loaded = int(NUMBERS.get(found.kind, "u4")[1:] or 1) * found.count
    # Texts in UTF-8 have as many bytes as they need, and blank ones may have none.
    fits = size == item * found.count or (found.kind == "char" and (kind in (16, 17) or not size))
    if min(found.shape) < 0 or not item or not fits:
        raise Damage(f"{found.kind} {found.shape} has {size:,} bytes of type {kind}")
    if loaded > MOST_BYTES:
        raise Damage(f"{found.kind} {found.shape} takes {loaded:,} bytes, over {MOST_BYTES:,}")
    header = _header(found.order, number, found.shape, flags & 0x200, after - found.start)
    return _changed(found, stop=after, stored=size, header=header)


def _with_members(found: Matrix, number: int) -> Matrix:
    """The cell or struct array with its fields, and room for all members."""
    fields: tuple[str, ...] = ()
    at = found.start
    if found.kind == "struct":
        _, start, size, at = _tag(found.file, found.span, at, found.stop, found.order)
        if size != 4:
            raise Damage("a struct does not say how long the names of its fields are")
        length = struct.unpack(f"{found.order}i", found.file.read(found.span, start, 4))[0]
        _, start, size, at = _tag(found.file, found.span, at, found.stop, found.order)
        if not 0 < length <= 4096 or size % length or size > 1 << 24:
            raise Damage(f"a struct has {size:,} bytes of names of {length:,} bytes")
        names = found.file.read(found.span, start, size)
        fields = tuple(
            names[low : low + length].split(b"\0")[0].decode("latin-1")
            for low in range(0, size, length)
        )
    count = found.count * (len(fields) if found.kind == "struct" else 1)
    if min(found.shape) < 0 or 8 * count > found.stop - at or count > MOST_MEMBERS:
        raise Damage(
            f"{found.kind} {found.shape} has {count:,} members in {found.stop - at:,} bytes; "
            f"{MOST_MEMBERS:,} is the most"
        )
    header = _header(found.order, number, found.shape, 0, found.stop - at)
    return _changed(found, start=at, header=header, fields=fields)


def _changed(found: Matrix, **changes: object) -> Matrix:
    return Matrix(**{name: vars(found)[name] for name in found.__dataclass_fields__} | changes)


def _header(
    order: str, number: int, shape: tuple[int, ...], flags: int = 0, follow: int = 0
) -> bytes:
    """A file of version 5 up to the values of its one variable, "x"."""
    sizes = struct.pack(f"{order}2I{len(shape)}i", 5, 4 * len(shape), *shape)
    sizes += bytes(-len(sizes) % 8)
    matrix = struct.pack(f"{order}4I", 6, 8, number | flags, 0) + sizes
    matrix += struct.pack(f"{order}2I", 1, 1) + b"x".ljust(8, b"\0")
    end = struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    tag = struct.pack(f"{order}2I", MATRIX, len(matrix) + follow)
    return b"MATLAB 5.0 MAT-file".ljust(124) + end + tag + matrix


def _version4(file: VariableBytes, whole: Span) -> Iterator[tuple[str, Matrix]]:
    at = 0
    while at < file.size:
        head = file.read(whole, at, 20)
        order = "<" if struct.unpack("<i", head[:4])[0] in range(5000) else ">"
        code, rows, columns, imaginary, length = struct.unpack(f"{order}5i", head)
        machine, zero, stored, kind = code // 1000, code // 100 % 10, code // 10 % 10, code % 10
        known = machine in (0, 1) and zero == 0 and stored < len(TYPES4) and kind < 3
        if not known or min(rows, columns) < 0 or not 0 < length <= 4096:
            raise Damage(f"a variable of version 4 begins with {(code, rows, columns, length)}")
        size = TYPES4[stored] * rows * columns
        stop = at + 20 + length + size * (2 if imaginary else 1)
        if stop > file.size or 8 * rows * columns > MOST_BYTES:
            raise Damage(f"a variable ({rows}, {columns}) begins at {at:,} of {file.size:,} bytes")
        name = file.read(whole, at + 20, length).split(b"\0")[0].decode("latin-1")
        yield (
            in_one_line(name),
            Matrix(
                file, whole, ("double", "char", "sparse")[kind], (rows, columns), at, stop,
                size, b"", order, bool(imaginary),
            ),
        )  # fmt: skip
        at = stop


def damaged(where: str, error: Exception) -> SourceError:
    """The error for a file that is not as it says."""
    return SourceError(
        f"{where} cannot be read as a MATLAB file ({first_line(error)}). Save it again in MATLAB, "
        "with -v7 or -v7.3, or name another file."
    )
