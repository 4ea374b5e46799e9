"""The address of an object, or of what stands below it: like a `Path` where it can be."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.stores.io.object_options import DEFAULT_OBJECTS, ObjectOptions
from headrace.stores.io.object_requests import Bucket

SCHEMES = ("s3", "gs", "az")
PART_BYTES = 4 << 20
"""Read at a time of an object that is read through."""
READINGS = 4
"""Times that an object is read before it is said to be damaged, and not the wire."""
_ADDRESS = re.compile(r"(s3|gs|az)://([A-Za-z0-9][A-Za-z0-9._-]*)/([^\s?#]+)")


@dataclass(frozen=True)
class ObjectPath:
    """The address of an object, or of what stands below it; like a `Path` where it can be.

    What goes wrong with an object is an OSError, as with files: FileNotFoundError and
    FileExistsError. A server that refuses, cannot be reached, or goes on failing is a UserError.

    Attributes:
        scheme: s3, gs or az.
        bucket: a bucket's name; of az, a container's.
        key: the object's name in it, without a slash at its ends.
        options: how it is reached.
    """

    scheme: str
    bucket: str
    key: str
    options: ObjectOptions = DEFAULT_OBJECTS

    def __str__(self) -> str:
        """The address."""
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def __hash__(self) -> int:
        """Of the address: options hold a table."""
        return hash(str(self))

    def __truediv__(self, name: str) -> ObjectPath:
        """What stands below it."""
        return self._at(f"{self.key}/{name}")

    @property
    def name(self) -> str:
        """Its last part."""
        return posixpath.basename(self.key)

    @property
    def stem(self) -> str:
        """Its last part without an ending."""
        return Path(self.name).stem

    @property
    def parent(self) -> ObjectPath:
        """What it stands below; the bucket itself has an empty key."""
        return self._at(posixpath.dirname(self.key))

    def with_name(self, name: str) -> ObjectPath:
        """Another one beside it."""
        return self._at(posixpath.join(posixpath.dirname(self.key), name))

    def using(self, options: ObjectOptions) -> ObjectPath:
        """The same, reached in another way."""
        return ObjectPath(self.scheme, self.bucket, self.key, options)

    def absolute(self) -> ObjectPath:
        """Itself: an address is the same from everywhere."""
        return self

    def resolve(self) -> ObjectPath:
        """Itself: there are no links."""
        return self

    def is_dir(self) -> bool:
        """Whether objects stand below it."""
        return any(True for _ in self.below())

    def is_file(self) -> bool:
        """Whether there is such an object."""
        return self.exists()

    def exists(self) -> bool:
        """Whether there is such an object."""
        try:
            self._bucket.head(self.key)
        except FileNotFoundError:
            return False
        return True

    def size(self) -> int:
        """Bytes of the object."""
        return int(self._bucket.head(self.key)["size"])

    def state(self) -> tuple[int, str]:
        """(bytes, what the server calls this version of it): differs when it was written anew."""
        found = self._bucket.head(self.key)
        return int(found["size"]), str(found["e_tag"] or found["last_modified"])

    def read_bytes(self) -> bytes:
        """The whole object."""
        return self._bucket.get(self.key)

    def read_range(self, start: int, length: int) -> bytes:
        """`length` bytes from `start` on; fewer if it ends before."""
        return self._bucket.get_range(self.key, start, length) if length > 0 else b""

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Several (start, length), up to `options.requests` at a time."""
        from concurrent.futures import ThreadPoolExecutor

        if len(ranges) < 2:
            return [self.read_range(*each) for each in ranges]
        with ThreadPoolExecutor(min(len(ranges), self.options.requests)) as pool:
            return list(pool.map(lambda each: self.read_range(*each), ranges))

    def parts(self) -> Iterator[bytes]:
        """The object, a part after the other."""
        size, at = self.size(), 0
        while at < size:
            part = self.read_range(at, min(PART_BYTES, size - at))
            if not part:
                return
            at += len(part)
            yield part

    def write(self, content: bytes, create: bool = False) -> None:
        """Put the object there, whole or not at all.

        Args:
            content: of it.
            create: raise FileExistsError if there is one, where the server knows how to; one that
                does not replaces it.
        """
        self._bucket.put(self.key, content, create)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        try:
            self._bucket.delete(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def below(self) -> Iterator[tuple[str, int]]:
        """(name relative to it, bytes) of all objects that stand below it."""
        return self._bucket.below(self.key)

    def remove(self, names: Sequence[str]) -> None:
        """Delete objects below it, those that are there."""
        self._bucket.delete_below(self.key, names)

    def client(self) -> Any:
        """An obstore client of all that stands below it."""
        return self._bucket.client(self.key)

    def _at(self, key: str) -> ObjectPath:
        return ObjectPath(self.scheme, self.bucket, key.strip("/"), self.options)

    @property
    def _bucket(self) -> Bucket:
        return Bucket(self.scheme, self.bucket, self.options)


def object_path(text: str, options: ObjectOptions = DEFAULT_OBJECTS) -> ObjectPath | None:
    """The address that a text is, or None if it begins as none of `SCHEMES` does.

    Raises:
        ValueError: it begins so, and names no object.
    """
    if not text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        return None
    found = _ADDRESS.fullmatch(text)
    parts = found.group(3).rstrip("/").split("/") if found else [""]
    if found is None or not all(part not in ("", ".", "..") for part in parts):
        raise ValueError(
            "an address is SCHEME://BUCKET/NAME, without user, password and query; credentials are "
            "taken from where the cloud's own tools look"
        )
    return ObjectPath(found.group(1), found.group(2), "/".join(parts), options)
