"""Objects of a store in the cloud, by address: read, written and listed with obstore."""

from __future__ import annotations

import errno
import importlib
import os
import posixpath
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.stores.errors import ObjectStoreError, UserError, first_line
from headrace.stores.io.object_options import DEFAULT_OBJECTS, ObjectOptions

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
_STATUS = re.compile(r"status code: (\d+)")
"""What it says of a server that refuses."""
_MOMENT = 3.0
"""Seconds that obstore itself tries again: no signal is seen meanwhile."""
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds before a request is made again, at first and at most."""
DELETED = 1000
"""Objects that are deleted by one request."""
_SIGNED: set[str] = set()
"""Buckets of which that is known."""


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
        put = partial(_obstore().put, self._client(), self.key, content, use_multipart=False)
        with self._explained():
            if create:
                with suppress(_errors().NotSupportedError):
                    self._tried(partial(put, mode="create"))
                    return
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
        last = listed = None
        with self._explained():
            pause = _Pause(self.options.retry_seconds)
            while True:
                if listed is None:
                    listed = iter(_obstore().list(self._client(), self.key or None, offset=last))
                try:
                    page = next(listed, None)
                except _errors().GenericError as error:
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

    def remove(self, names: Sequence[str]) -> None:
        """Delete objects below it, those that are there."""
        with self._explained(), suppress(FileNotFoundError):
            for first in range(0, len(names), DELETED):
                keys = [f"{self.key}/{name}" for name in names[first : first + DELETED]]
                self._tried(partial(_obstore().delete, self._client(), keys))

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

        pause = _Pause(self.options.retry_seconds)
        header = {"Range": f"bytes={start}-{start + length - 1}"}
        while True:
            try:
                pool = _pool(self.options.requests, self.options.timeout_seconds)
                url = _obstore().sign(self._client(), "GET", self.key, SIGNED_FOR)
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
                    raise FileNotFoundError(errno.ENOENT, "there is no such object", str(self))
                what = f"status {reply.status}"
                if reply.status < 500 and reply.status != 429:
                    raise self._refused(what)
            if not pause.taken():
                raise self._unreachable(what)

    def _tried(self, call: Callable[[], Result]) -> Result:
        """Call until it succeeds, is refused for good, or the time is up.

        obstore tries for a moment only, where no signal reaches this process, and leaves some
        failures alone: a write that took too long, an answer that was cut off.
        """
        pause = _Pause(self.options.retry_seconds)
        while True:
            try:
                return call()
            except _errors().GenericError as error:
                pause.after(error)

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
            )
            if isinstance(error, (errors.PermissionDeniedError, errors.UnauthenticatedError)):
                raise self._refused(first_line(error)) from error
            for known, kind, number in kinds:
                if isinstance(error, known):
                    raise kind(number, first_line(error), str(self)) from None
            raise self._unreachable(first_line(error)) from error

    def _refused(self, why: str) -> UserError:
        return ObjectStoreError(
            f"The server of {self} refuses that ({why}). See to the credentials, the clock and the "
            "rights that they give, and start again: what is complete is kept."
        )

    def _unreachable(self, why: str) -> UserError:
        return ObjectStoreError(
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
                "max_retries": 10 if options.retry_seconds else 0,
                "retry_timeout": timedelta(seconds=min(options.retry_seconds, _MOMENT)),
                "backoff": {"max_backoff": timedelta(seconds=1)},
            },
            **given,
        )
    except (_errors().BaseError, ValueError, TypeError) as error:
        raise ObjectStoreError(
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
        # Not installed with Headrace: nobody else needs it.
        boto3 = importlib.import_module("boto3")
        provider = importlib.import_module("obstore.auth.boto3").Boto3CredentialProvider
    except ImportError as error:
        raise ObjectStoreError(
            "AWS' credentials are in a profile, which boto3 reads: install it with pip install "
            '"headrace[aws]", or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.'
        ) from error
    with suppress(Exception):  # A profile without credentials: the machine may have its own.
        return {"credential_provider": provider(boto3.Session())}
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
        raise ObjectStoreError(
            f"There are no credentials for s3://{bucket}. Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a profile; of a public bucket, "
            "objects.options.skip_signature = true."
        ) from error
