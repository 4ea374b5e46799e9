"""The objects of a bucket: requests with obstore, made again until they succeed."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import Any, TypeVar

from headrace.stores.errors import ObjectStoreError, UserError, first_line
from headrace.stores.io.object_client import client_of, obstore, obstore_errors
from headrace.stores.io.object_options import ObjectOptions

Result = TypeVar("Result")
DELETED = 1000
"""Objects that are deleted by one request."""
SIGNED_FOR = timedelta(minutes=15)
_NO_RANGE = "non-partial response"
"""What obstore says of a server that answers a range with status 200, not 206."""
_STATUS = re.compile(r"status code: (\d+)")
"""What it says of a server that refuses."""
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds before a request is made again, at first and at most."""
_SIGNED: set[str] = set()
"""Buckets whose server answers a range so."""


@dataclass(frozen=True)
class Bucket:
    """What is asked of the objects of one bucket, by key.

    What goes wrong with an object is an OSError, as with files: FileNotFoundError and
    FileExistsError. A server that refuses, cannot be reached, or goes on failing is a UserError.

    Attributes:
        scheme: s3, gs or az.
        name: the bucket's; of az, the container's.
        options: how it is reached.
    """

    scheme: str
    name: str
    options: ObjectOptions

    def head(self, key: str) -> Any:
        """Size, tag and time of an object."""
        with self._explained(key):
            return self._tried(lambda: obstore().head(self.client(), key))

    def get(self, key: str) -> bytes:
        """A whole object."""
        with self._explained(key):
            return self._tried(lambda: bytes(obstore().get(self.client(), key).bytes()))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes, 1 or more, from `start` on; fewer if the object ends before."""
        server = f"{self.scheme}://{self.name} {self.options.endpoint}"
        with self._explained(key):
            if server not in _SIGNED:
                try:
                    found = self._tried(
                        lambda: obstore().get_range(self.client(), key, start=start, length=length)
                    )
                except obstore_errors().GenericError as error:
                    if _NO_RANGE not in str(error):
                        raise
                    _SIGNED.add(server)
                else:
                    return bytes(found)
            return self._signed_range(key, start, length)

    def put(self, key: str, content: bytes, create: bool) -> None:
        """Put an object there, whole or not at all.

        Args:
            key: of the object.
            content: of it.
            create: raise FileExistsError if there is one, where the server knows how to; one that
                does not replaces it.
        """
        put = partial(obstore().put, self.client(), key, content, use_multipart=False)
        with self._explained(key):
            if create:
                with suppress(obstore_errors().NotSupportedError):
                    self._tried(partial(put, mode="create"))
                    return
            self._tried(put)

    def delete(self, key: str) -> None:
        """Delete an object."""
        with self._explained(key):
            self._tried(lambda: obstore().delete(self.client(), key))

    def delete_below(self, key: str, names: Sequence[str]) -> None:
        """Delete those objects below `key` that are there."""
        with self._explained(key), suppress(FileNotFoundError):
            for first in range(0, len(names), DELETED):
                keys = [f"{key}/{name}" for name in names[first : first + DELETED]]
                self._tried(partial(obstore().delete, self.client(), keys))

    def below(self, key: str) -> Iterator[tuple[str, int]]:
        """(name relative to `key`, bytes) of all objects that stand below it."""
        prefix = f"{key}/" if key else ""
        last = listed = None
        with self._explained(key):
            pause = _Pause(self.options.retry_seconds)
            while True:
                if listed is None:
                    listed = iter(obstore().list(self.client(), key or None, offset=last))
                try:
                    page = next(listed, None)
                except obstore_errors().GenericError as error:
                    # A list that was cut off has no more pages: the rest is asked for anew.
                    pause.after(error)
                    listed = None
                    continue
                if page is None:
                    return
                for found in page:
                    last = found["path"]
                    if found["path"].startswith(prefix):
                        yield found["path"][len(prefix) :], int(found["size"])

    def client(self, prefix: str | None = None) -> Any:
        """obstore's client of it, or of what stands below `prefix`."""
        return client_of(self.scheme, self.name, self.options, prefix)

    def _address(self, key: str) -> str:
        return f"{self.scheme}://{self.name}/{key}"

    def _signed_range(self, key: str, start: int, length: int) -> bytes:
        """A range of a server that gives it with the status of a whole object.

        `rclone serve s3` is one. obstore refuses to tell the two apart; the header does.
        """
        import urllib3

        pause = _Pause(self.options.retry_seconds)
        header = {"Range": f"bytes={start}-{start + length - 1}"}
        while True:
            try:
                pool = _pool(self.options.requests, self.options.timeout_seconds)
                url = obstore().sign(self.client(), "GET", key, SIGNED_FOR)
                reply = pool.request(
                    "GET", url, headers=header, retries=False, preload_content=False
                )
                content = reply.read() if _is_part(reply, start, length) else b""
                reply.release_conn()
            except urllib3.exceptions.HTTPError as error:
                what = first_line(error)
            else:
                if reply.status in (200, 206):
                    return content
                if reply.status == 404:
                    raise FileNotFoundError(
                        errno.ENOENT, "there is no such object", self._address(key)
                    )
                what = f"status {reply.status}"
                if reply.status < 500 and reply.status != 429:
                    raise self._refused(key, what)
            if not pause.taken():
                raise self._unreachable(key, what)

    def _tried(self, call: Callable[[], Result]) -> Result:
        """Call until it succeeds, is refused for good, or the time is up.

        obstore tries for a moment only, where no signal reaches this process, and leaves some
        failures alone: a write that took too long, an answer that was cut off.
        """
        pause = _Pause(self.options.retry_seconds)
        while True:
            try:
                return call()
            except obstore_errors().GenericError as error:
                pause.after(error)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Raise what files raise in place of obstore's errors."""
        errors = obstore_errors()
        try:
            yield
        except errors.BaseError as error:
            kinds: Sequence[tuple[Any, Callable[..., OSError], int]] = (
                (errors.NotFoundError, FileNotFoundError, errno.ENOENT),
                (errors.AlreadyExistsError, FileExistsError, errno.EEXIST),
                (errors.PreconditionError, FileExistsError, errno.EEXIST),
            )
            if isinstance(error, (errors.PermissionDeniedError, errors.UnauthenticatedError)):
                raise self._refused(key, first_line(error)) from error
            for known, kind, number in kinds:
                if isinstance(error, known):
                    raise kind(number, first_line(error), self._address(key)) from None
            raise self._unreachable(key, first_line(error)) from error

    def _refused(self, key: str, why: str) -> UserError:
        return ObjectStoreError(
            f"The server of {self._address(key)} refuses that ({why}). See to the credentials, the "
            "clock and the rights that they give, and start again: what is complete is kept."
        )

    def _unreachable(self, key: str, why: str) -> UserError:
        return ObjectStoreError(
            f"{self._address(key)} cannot be reached ({why}). See to the network, the server and "
            "[objects], and start again: what is complete is kept."
        )


class _Pause:
    """Waits longer each time, until the time is up."""

    def __init__(self, seconds: float) -> None:
        self._until, self._next = time.monotonic() + seconds, _PAUSE

    def after(self, error: Exception) -> None:
        """Wait, or raise the error again: the server refuses for good, or the time is up."""
        status = _STATUS.search(str(error))
        refused = status is not None and int(status[1]) < 500 and status[1] not in ("408", "429")
        if refused or _NO_RANGE in str(error) or not self.taken():
            raise error

    def taken(self) -> bool:
        """Wait; False if there is no time left."""
        if time.monotonic() + self._next > self._until:
            return False
        time.sleep(self._next)
        self._next = min(2 * self._next, _LONGEST_PAUSE)
        return True


def _is_part(reply: Any, start: int, length: int) -> bool:
    """Whether a reply holds what was asked for, and not a whole object.

    Raises:
        UserError: it holds something else.
    """
    if reply.status not in (200, 206):
        return False
    said = reply.headers.get("Content-Range", "")
    held = int(reply.headers.get("Content-Length") or length + 1)
    if held <= length and (said.startswith(f"bytes {start}-") or (start == 0 and not said)):
        return True
    reply.close()
    raise ObjectStoreError(
        f"The server answers another range than it was asked for: {said!r}. Name another "
        "objects.endpoint, or copy the data to this machine."
    )


@cache
def _pool(requests: int, timeout: float) -> Any:
    import urllib3

    return urllib3.PoolManager(maxsize=requests, timeout=timeout)
