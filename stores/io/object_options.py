"""How an object store is reached: the section `[objects]` of the configuration."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ByteSize, ConfigDict, Field, field_validator

_URL = re.compile(r"https?://[^\s@/?#]+(/[^\s@?#]*)?\Z")
_SECRET = re.compile(
    r"key|secret|token|password|sas|credential|account_file|encryption", re.IGNORECASE
)
_HARMLESS = re.compile(r"^(aws_)?(s3_)?(disable_tagging|bucket_key_enabled|skip_signature)$")


class ObjectOptions(BaseModel):
    """How s3://, gs:// and az:// addresses are reached.

    Credentials have no place here: they are taken from where each cloud's own tools look.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    endpoint: str | None = None
    """URL of a server of your own, such as http://127.0.0.1:9000; default: the cloud's, or
    AWS_ENDPOINT_URL."""
    region: str | None = None
    """Of an S3 bucket; default: AWS_REGION or the profile's, else us-east-1."""
    requests: int = Field(default=16, ge=1, le=256)
    """Reads in flight at a time, in each process. More hide a longer latency, and are held in
    memory."""
    timeout_seconds: float = Field(default=30.0, gt=0)
    """Of one request, after which it is made again."""
    retry_seconds: float = Field(default=180.0, ge=0)
    """How long a server that fails, is gone or wants fewer requests is asked again."""
    cache: ByteSize = Field(default=ByteSize(0), ge=0)
    """Most bytes of a store's chunks that are kept on this machine's disk, to be read once and not
    in every epoch; 0: none. What comes first is kept until the room is full."""
    cache_folder: Path | None = None
    """Where; default: headrace in XDG_CACHE_HOME, else in ~/.cache."""
    options: dict[str, str | bool | int] = Field(default_factory=dict)
    """More settings of the client, by the names that obstore documents for each cloud:
    `{skip_signature = true}` reads a public bucket, `{account_name = "..."}` names Azure's."""

    @field_validator("endpoint")
    @classmethod
    def _is_url(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not _URL.match(endpoint):
            raise ValueError("a URL is wanted, such as http://127.0.0.1:9000, without a user in it")
        return endpoint

    @field_validator("options")
    @classmethod
    def _no_secret(cls, options: dict[str, str | bool | int]) -> dict[str, str | bool | int]:
        for name in options:
            if _SECRET.search(name) and not _HARMLESS.match(name.lower()):
                raise ValueError(
                    f"{name} may be a secret, and a configuration is kept with each run: set it in "
                    "the environment, where the cloud's own tools look"
                )
            if isinstance(options[name], str) and "@" in str(options[name]):
                raise ValueError(f"{name} may hold a password: leave out the user and it")
        return options


DEFAULT_OBJECTS = ObjectOptions()
