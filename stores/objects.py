"""Objects of a store in the cloud, by address: read, written and listed with obstore."""

from __future__ import annotations

import errno
import importlib
import os
import posixpath
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stores.errors import UserError, first_line
from stores.object_options import DEFAULT_OBJECTS, ObjectOptions

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Result = TypeVar("Result")
SCHEMES = ("s3", "gs", "az")
PART_BYTES = 4 << 20
"""Read at a time of an object that is read through."""
CLIENT_BYTES = 16 << 20
"""Anonymous memory of obstore's threads and connections."""
READINGS = 4
"""Times that an object is read before it is said to be damaged, and not the wire."""
SIGNED_FOR = timedelta(minutes=15)
_ADDRESS = re.compile(r"(s3|gs|az)://([A-Za-z0-9][A-Za-z0-9._-]*)/([^\s?#]+)")
_METADATA_SECONDS = 2.0
"""How long a machine's own credentials are looked for, where no others are."""
_NO_RANGE = "non-partial response"
"""What obstore says of a server that answers a range with status 200, not 206."""
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_ANSWERED = "non-2xx status"
"""What it says of a server that refuses."""
_PAUSE = 0.1
"""Seconds before a request is made again, at first."""
_SIGNED: set[str] = set()
"""Buckets of which that is known."""


@dataclass(frozen=True)
class ObjectPath:
    """The address of an object, or of what stands below it; like a `Path` where it can be.

    What goes wrong with an object is an OSError, as with files: FileNotFoundError,
    FileExistsError, PermissionError. A server that cannot be reached, or goes on failing, is a
    UserError.

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
            self._head()
        except FileNotFoundError:
            return False
        return True

    def size(self) -> int:
        """Bytes of the object."""
        return int(self._head()["size"])

    def state(self) -> tuple[int, str]:
        """(bytes, what the server calls this version of it): differs when it was written anew."""
        found = self._head()
        return int(found["size"]), str(found["e_tag"] or found["last_modified"])

    def read_bytes(self) -> bytes:
        """The whole object."""
        with self._explained():
            return self._tried(lambda: bytes(_obstore().get(self._client(), self.key).bytes()))

    def read_range(self, start: int, length: int) -> bytes:
        """`length` bytes from `start` on; fewer if it ends before."""
        if length <= 0:
            return b""
        with self._explained():
            if self._server() not in _SIGNED:
                try:
                    found = self._tried(
                        lambda: _obstore().get_range(
                            self._client(), self.key, start=start, length=length
                        )
                    )
                except _errors().GenericError as error:
                    if _NO_RANGE not in str(error):
                        raise
                    _SIGNED.add(self._server())
                else:
                    return bytes(found)
            return self._signed_range(start, length)

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
        given: dict[str, Any] = {"mode": "create"} if create else {}

        def put() -> None:
            _obstore().put(self._client(), self.key, content, use_multipart=False, **given)

        with self._explained():
            try:
                self._tried(put)
            except _errors().NotSupportedError:
                if not create:
                    raise
                given.clear()
                self._tried(put)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        try:
            with self._explained():
                self._tried(lambda: _obstore().delete(self._client(), self.key))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def below(self) -> Iterator[tuple[str, int]]:
        """(name relative to it, bytes) of all objects that stand below it."""
        prefix = f"{self.key}/" if self.key else ""
        with self._explained():
            pages = iter(_obstore().list(self._client(), self.key or None))
            while page := self._tried(lambda: next(pages, None)):
                for found in page:
                    if found["path"].startswith(prefix):
                        yield found["path"][len(prefix) :], int(found["size"])

    def client(self) -> ObjectStore:
        """An obstore client of all that stands below it."""
        found: ObjectStore = _client(self.scheme, self.bucket, self.options, self.key)
        return found

    def _at(self, key: str) -> ObjectPath:
        return ObjectPath(self.scheme, self.bucket, key.strip("/"), self.options)

    def _head(self) -> Any:
        with self._explained():
            return self._tried(lambda: _obstore().head(self._client(), self.key))

    def _client(self) -> Any:
        return _client(self.scheme, self.bucket, self.options)

    def _server(self) -> str:
        return f"{self.scheme}://{self.bucket} {self.options.endpoint}"

    def _signed_range(self, start: int, length: int) -> bytes:
        """A range of a server that gives it with the status of a whole object.

        `rclone serve s3` is one. obstore refuses to tell the two apart; the header does.
        """
        import urllib3

        url = _obstore().sign(self._client(), "GET", self.key, SIGNED_FOR)
        until, pause = time.monotonic() + self.options.retry_seconds, _PAUSE
        header = {"Range": f"bytes={start}-{start + length - 1}"}
        while True:
            try:
                pool = _pool(self.options.requests, self.options.timeout_seconds)
                reply = pool.request("GET", url, headers=header, retries=False)
            except urllib3.exceptions.HTTPError as error:
                what = first_line(error)
            else:
                if reply.status in (200, 206):
                    return _ranged(reply, start, length)
                if reply.status == 404:
                    raise FileNotFoundError(errno.ENOENT, "there is no such object", str(self))
                what = f"status {reply.status}"
                if reply.status < 500 and reply.status != 429:
                    raise PermissionError(errno.EACCES, what, str(self))
            if time.monotonic() + pause > until:
                raise self._unreachable(what)
            time.sleep(pause)
            pause = min(2 * pause, 10.0)

    def _tried(self, call: Callable[[], Result]) -> Result:
        """Call again what obstore leaves alone: a write that took too long, an answer cut off."""
        until = time.monotonic() + self.options.retry_seconds
        while True:
            try:
                return call()
            except _errors().GenericError as error:
                refused = any(text in str(error) for text in (_ANSWERED, _NO_RANGE))
                if refused or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what files raise in place of obstore's errors."""
        errors = _errors()
        try:
            yield
        except errors.BaseError as error:
            kinds: Sequence[tuple[Any, Callable[..., OSError], int]] = (
                (errors.NotFoundError, FileNotFoundError, errno.ENOENT),
                (errors.AlreadyExistsError, FileExistsError, errno.EEXIST),
                (errors.PreconditionError, FileExistsError, errno.EEXIST),
                (errors.PermissionDeniedError, PermissionError, errno.EACCES),
                (errors.UnauthenticatedError, PermissionError, errno.EACCES),
            )
            for known, kind, number in kinds:
                if isinstance(error, known):
                    raise kind(number, first_line(error), str(self)) from None
            raise self._unreachable(first_line(error)) from error

    def _unreachable(self, why: str) -> UserError:
        return UserError(
            f"{self} cannot be reached ({why}). See to the network, the server and [objects], and "
            "start again: what is complete is kept."
        )


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


def written(parts: Iterable[Any]) -> bytes:
    """What an object is written from."""
    return b"".join(parts)


def _ranged(reply: Any, start: int, length: int) -> bytes:
    """The content of a reply, checked to be what was asked for.

    Raises:
        UserError: it is not.
    """
    content: bytes = reply.data
    said = reply.headers.get("Content-Range", "")
    if said.startswith(f"bytes {start}-") and len(content) <= length:
        return content
    if reply.status == 200 and not said:
        return content[start : start + length]
    raise UserError(
        f"The server answers another range than it was asked for: {said!r}. Name another "
        "objects.endpoint, or copy the data to this machine."
    )


def _obstore() -> Any:
    # Loading it takes 20 ms, which no command pays that has files only.
    return importlib.import_module("obstore")


def _errors() -> Any:
    return importlib.import_module("obstore.exceptions")


@cache
def _pool(requests: int, timeout: float) -> Any:
    import urllib3

    return urllib3.PoolManager(maxsize=requests, timeout=timeout)


_CLIENTS: dict[tuple[Any, ...], Any] = {}


def _client(scheme: str, bucket: str, options: ObjectOptions, prefix: str | None = None) -> Any:
    """The one client of a bucket in this process: a child that was forked makes its own."""
    known = (os.getpid(), scheme, bucket, options.model_dump_json(), prefix)
    if known not in _CLIENTS:
        _CLIENTS[known] = _new_client(scheme, bucket, options, prefix)
    return _CLIENTS[known]


def _new_client(scheme: str, bucket: str, options: ObjectOptions, prefix: str | None) -> Any:
    from obstore.store import AzureStore, GCSStore, S3Store

    config: dict[str, Any] = {key: str(value) for key, value in options.options.items()}
    given: dict[str, Any] = {}
    endpoint = options.endpoint
    if scheme == "s3":
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL")
        if options.region:
            config["region"] = options.region
        named = any(os.environ.get(name) for name in _CREDENTIALS)
        if not named and "skip_signature" not in {key.removeprefix("aws_") for key in config}:
            given |= _profile()
            if not given:
                _require_own_credentials(bucket)
    if options.endpoint:
        config["base_url" if scheme == "gs" else "endpoint"] = options.endpoint
    kind: Any = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[scheme]
    seconds = timedelta(seconds=options.timeout_seconds)
    try:
        return kind(
            bucket,
            prefix=prefix,
            config=config,
            client_options={
                "timeout": seconds,
                "connect_timeout": min(seconds, timedelta(seconds=5)),
                "allow_http": (endpoint or "").startswith("http://"),
                "pool_max_idle_per_host": str(options.requests),
            },
            retry_config={
                "max_retries": 10_000 if options.retry_seconds else 0,
                "retry_timeout": timedelta(seconds=options.retry_seconds),
                "backoff": {"max_backoff": timedelta(seconds=10)},
            },
            **given,
        )
    except (_errors().BaseError, ValueError, TypeError) as error:
        raise UserError(
            f"{scheme}://{bucket} cannot be reached as [objects] says ({first_line(error)}). "
            "Correct objects.options."
        ) from error


def _profile() -> dict[str, Any]:
    """What boto3 knows of credentials in the files of AWS' own tools, where there are any.

    Raises:
        UserError: there are, and it is not installed.
    """
    home = Path.home() / ".aws"
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials",
        os.environ.get("AWS_CONFIG_FILE") or home / "config",
    )
    if not os.environ.get("AWS_PROFILE") and not any(Path(file).is_file() for file in files):
        return {}
    try:
        import boto3  # type: ignore[import-untyped]
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise UserError(
            "AWS' credentials are in a profile, which boto3 reads: install it with pip install "
            '"headrace[aws]", or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.'
        ) from error
    with suppress(Exception):  # A profile without credentials: the machine may have its own.
        return {"credential_provider": Boto3CredentialProvider(boto3.Session())}
    return {}


def _require_own_credentials(bucket: str) -> None:
    """Refuse at once what would be looked for in vain for minutes.

    Raises:
        UserError: this machine has none of its own, as those of a cloud have.
    """
    host = os.environ.get("AWS_METADATA_ENDPOINT", "http://169.254.169.254")
    address = host.removeprefix("http://").rstrip("/")
    name, _, port = address.partition(":")
    try:
        socket.create_connection((name, int(port or 80)), _METADATA_SECONDS).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"There are no credentials for s3://{bucket}. Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a profile; of a public bucket, "
            "objects.options.skip_signature = true."
        ) from error
