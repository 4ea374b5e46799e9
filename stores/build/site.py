"""Where a store stands, is being built, or will be: a folder of this disk, or objects."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from headrace.stores.build.build import Build
from headrace.stores.build.local import LocalSite
from headrace.stores.build.objects import ObjectSite
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place
from headrace.stores.layout.fold_index import FoldIndex
from headrace.stores.manifest import Manifest


class Site(Protocol):
    """Where a store stands, is being built, or will be."""

    @property
    def target(self) -> Place:
        """The store."""
        ...

    @property
    def folder(self) -> Place:
        """Where it is while it is being built."""
        ...

    def followed(self) -> Site:
        """The site that links lead to.

        Raises:
            UserError: no store can be given that name.
        """
        ...

    def is_begun(self) -> bool:
        """Whether a build waits to be finished."""
        ...

    def is_finished(self) -> bool:
        """Whether something stands there."""
        ...

    def stands(self) -> bool:
        """Whether a store is there, complete or damaged."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Hold the only right to build here; the system gives it back when the process dies.

        Raises:
            UserError: another process holds it, or the folder cannot be written.
        """
        ...

    def is_worked_at(self) -> bool:
        """Whether a build was begun or a lock is left, of a process that may be dead."""
        ...

    def recover(self) -> None:
        """Undo or end a mending that broke off between the old store's name and the new one's.

        Raises:
            UserError: the disk does not let it, or another process holds the lock.
        """
        ...

    def build(self, manifest: Manifest) -> Build:
        """The build of that store, begun or not."""
        ...

    def begin(self, manifest: Manifest, index: FoldIndex, replaces: bool = False) -> Build:
        """Start a build, or continue one that was interrupted.

        Args:
            manifest: of the store, with no table digests.
            index: of its folds.
            replaces: a store that stands there is to be replaced; one of objects is none any more
                from now on, as its objects are replaced one by one.

        Raises:
            UserError: what was begun there has another source, config or writer version.
        """
        ...

    def load(self) -> Build:
        """The build that `begin` started, for a worker process."""
        ...

    def discard(self) -> None:
        """Remove the work in progress.

        Raises:
            UserError: it cannot be removed, or is not ours.
        """
        ...


def site_of(target: Place) -> Site:
    """The site of the store `target`."""
    return ObjectSite(target) if isinstance(target, ObjectPath) else LocalSite(target)
