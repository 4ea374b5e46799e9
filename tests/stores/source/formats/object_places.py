"""A file or folder of a test as objects of a real S3 server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.stores.io.object_options import ObjectOptions
from headrace.stores.io.places import Place, place_of
from tests.pipeline.object_server import BUCKET, KEY, SECRET, S3Server


@contextmanager
def as_objects(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The address of what stands at `path`; its server is there within the block."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    server = S3Server(path.parent / "served")
    try:
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, server.bucket / path.name)
        server.look_again()
        options = ObjectOptions(endpoint=server.endpoint, region="us-east-1", retry_seconds=5.0)
        yield place_of(f"s3://{BUCKET}/{path.name}", options)
    finally:
        server.stop()
