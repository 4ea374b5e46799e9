"""What a store records of the files that it was made from, and how others differ from them."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.interface import SourceArray

KEY = "files"
"""Of a manifest's `source`."""
MOST_FILES = 1 << 18
"""That are recorded by name: about 4 MiB. Of more the fingerprint alone tells that one changed."""
MOST_BYTES = 1 << 28
"""Of a record, unpacked."""
SHOWN = 3


FileContent = tuple[str, int, bytes]
"""Name, bytes and digest of a file."""


def record_of(files: Iterable[FileContent], count: int) -> str | None:
    """Name, size and digest of each of `count` files, packed; None: they are more than 262,144."""
    if count > MOST_FILES:
        return None
    lines = (f"{size} {digest.hex()} {_escaped(name)}\n" for name, size, digest in files)
    packed = zlib.compress("".join(lines).encode(), 6)
    return base64.b64encode(packed).decode()


def described_files(where: str, files: Iterable[FileContent]) -> SourceArray:
    """Files as texts that change with their names and contents."""
    texts = [f"{name} {size} {digest.hex()}" for name, size, digest in files]
    return HeldArray("files", where, texts)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Which files changed, came or are gone between two manifests' `source`; [] if unknown."""
    one, other = _read(old.get(KEY)), _read(new.get(KEY))
    if one is None or other is None:
        return []
    found = (
        ("changed", [name for name in other if name in one and one[name] != other[name]]),
        ("gone", [name for name in one if name not in other]),
        ("new", [name for name in other if name not in one]),
    )
    return [f"{what}: {_shown(names)}" for what, names in found if names]


def files_of_both(
    old: Mapping[str, Any], new: Mapping[str, Any], among: Iterable[str]
) -> list[str]:
    """Which files of `new`, of those named, are of `old` too, whatever they are called there.

    Args:
        old, new: two manifests' `source`.
        among: names of files of `new`: those of recordings, say, and not of tables beside them.
    """
    one, other = (_read(each.get(KEY)) or {} for each in (old, new))
    known, wanted = {*one.values()}, {_escaped(name) for name in among}
    return [name for name, content in other.items() if name in wanted and content in known]


def joined_records(sources: Sequence[Mapping[str, Any]]) -> str | None:
    """The files of several manifests' `source` as one record; None: one of them has none."""
    found = [_read(source.get(KEY)) for source in sources]
    known = [files for files in found if files is not None]
    if len(known) < len(found):
        return None
    lines = (f"{content} {name}\n" for files in known for name, content in files.items())
    return base64.b64encode(zlib.compress("".join(lines).encode(), 6)).decode()


def most_shared(old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
    """Files that two manifests' `source` have in common, if they are more than half of one's.

    A table beside the recordings may be the same for many of them.
    """
    one, other = ({*(_read(each.get(KEY)) or {}).values()} for each in (old, new))
    shared = len(one & other)
    return shared if 2 * shared > min(len(one), len(other)) else 0


def without_files(source: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest's `source` without the record: its fingerprint covers the same files."""
    return {name: value for name, value in source.items() if name != KEY}


def _read(record: Any) -> dict[str, str] | None:
    """What is known of each file by its name; None: there is no record that can be read."""
    try:
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(base64.b64decode(record or ""), MOST_BYTES).decode()
    except (zlib.error, binascii.Error, ValueError, TypeError):
        return None
    rows = [line.split(" ", 2) for line in text.splitlines()]
    return {row[2]: " ".join(row[:2]) for row in rows if len(row) == 3} or None


def _escaped(name: str) -> str:
    """A name on one line, in ASCII: names of files may hold anything."""
    return name.encode("unicode_escape", errors="surrogatepass").decode("ascii")


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
