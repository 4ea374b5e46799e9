"""obstore's client of a bucket, made as `[objects]` and this machine's credentials say."""

from __future__ import annotations

import importlib
import os
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.stores.errors import ObjectStoreError, first_line
from headrace.stores.io.object_options import ObjectOptions

CLIENT_BYTES = 16 << 20
"""Anonymous memory of obstore's threads and connections."""
_METADATA_SECONDS = 2.0
"""How long a machine's own credentials are looked for, where no others are."""
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_MOMENT = 3.0
"""Seconds that obstore itself tries again: no signal is seen meanwhile."""
_CLIENTS: dict[tuple[Any, ...], Any] = {}


def client_of(scheme: str, bucket: str, options: ObjectOptions, prefix: str | None = None) -> Any:
    """The one client of a bucket in this process: a child that was forked makes its own.

    Args:
        scheme: s3, gs or az.
        bucket: its name.
        options: how it is reached.
        prefix: of all keys.

    Raises:
        UserError: there are no credentials, or the options are wrong.
    """
    known = (os.getpid(), scheme, bucket, options.model_dump_json(), prefix)
    if known not in _CLIENTS:
        _CLIENTS[known] = _new_client(scheme, bucket, options, prefix)
    return _CLIENTS[known]


def obstore() -> Any:
    """The library; loading it takes 20 ms, which no command pays that has files only."""
    return importlib.import_module("obstore")


def obstore_errors() -> Any:
    """What it raises."""
    return importlib.import_module("obstore.exceptions")


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
    except (obstore_errors().BaseError, ValueError, TypeError) as error:
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
