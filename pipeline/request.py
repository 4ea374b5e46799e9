"""What a stage is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.pipeline.config.config import Config
from headrace.pipeline.console import Console
from headrace.stores.errors import CommandError
from headrace.stores.io.places import Place

if TYPE_CHECKING:
    from headrace.pipeline.memory.watch import MemoryUse
    from headrace.stores import Store


@dataclass(frozen=True)
class Request:
    """What a stage is asked to do.

    Attributes:
        config: the validated configuration.
        data: the source, when one is named.
        store: the Zarr store; the first, if several are read as one.
        run: the run folder, when one is named.
        console: where to speak.
        new: begin another run beside a complete one.
        memory: what the process tree holds, sampled while the stage runs.
        others: stores that are read as one with the first.
    """

    config: Config
    data: Place | None
    store: Place
    run: Path | None
    console: Console
    new: bool = False
    memory: MemoryUse | None = None
    others: tuple[Place, ...] = ()


def require_data(request: Request) -> Place:
    """The source that a request names.

    Raises:
        UserError: none is named, or it is not there.
    """
    if request.data is None:
        raise CommandError(
            "No source is named. Name its file or folder: --data my.h5, or paths.data."
        )
    from headrace.stores.source.files.located import source_exists

    if not source_exists(request.data):
        raise CommandError(
            f"The source {request.data} does not exist. Name the file with --data (make: DATA=), "
            "or fetch the default data set with: make data."
        )
    return request.data


def open_requested(request: Request) -> Store:
    """The store that a request names, or several as one.

    Raises:
        UserError: as `open_store`.
    """
    from headrace.stores.store import open_store

    paths, config = [request.store, *request.others], request.config
    classes = config.store.new_classes == "add"
    return open_store(paths, parts=config.paths.parts, new_classes=classes)
