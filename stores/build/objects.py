"""Builds in an object store, where nothing can be locked or renamed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import xxhash

from headrace.stores.build.build import Build
from headrace.stores.build.differences import manifest_differences
from headrace.stores.build.folder import (
    REPLACED,
    begun_otherwise,
    partial_folder,
    read_plan,
    refuse_foreign,
)
from headrace.stores.errors import ObjectStoreError, StoreError
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.object_storage import ObjectStorage
from headrace.stores.layout.fold_index import FoldIndex
from headrace.stores.manifest import Manifest
from headrace.stores.shards.array_format import canonical_json


@dataclass(frozen=True)
class ObjectBuild(Build):
    """See `Build`."""

    target: ObjectPath
    folder: ObjectPath

    @property
    def store(self) -> ObjectPath:
        """Where it will stand, as objects have no names to change. It is no store until the last
        of its objects is written, the group's `zarr.json`.
        """
        return self.target

    @cached_property
    def work(self) -> ObjectPath:
        """By the plan's own name: another builder may write before it is refused."""
        plan = canonical_json(self.manifest.as_table())
        return self.folder / xxhash.xxh3_128_hexdigest(plan)

    def drop_damaged(self, advance: Callable[[int], None]) -> list[int]:
        """None: object stores keep checksums of their own."""
        return []

    def keeps_conditions(self) -> bool:
        """Whether the server refuses to write an object that is there.

        Not all do, and one that does not answers as if it had been asked to replace it.
        """
        plan = self.folder / "plan.json"
        try:
            plan.write(plan.read_bytes(), create=True)
        except (FileExistsError, FileNotFoundError):
            return True
        return False

    def _adopt_files(self, names: list[str]) -> None:
        """Objects stand where they are wanted already."""

    def _commit(self, root: bytes, replaces: bool, compacts: bool) -> None:
        assert not compacts, "objects have no names to change"
        if not ObjectStorage(self.target / "zarr.json").write_once(root):
            raise StoreError(
                f"{self.target} was made by another process meanwhile, from another source or "
                "configuration. Name another --store."
            )
        ObjectSite(self.target).discard()

    def _opened_records(self) -> Iterator[Path | io.BytesIO]:
        """Fetched side by side."""
        shards, size = range(self.manifest.shards), self.target.options.requests
        with ThreadPoolExecutor(size) as pool:
            for first in range(0, len(shards), size):
                yield from pool.map(self._opened_record, shards[first : first + size])


@dataclass(frozen=True)
class ObjectSite:
    """See `stores.build.site.Site`."""

    target: ObjectPath

    @property
    def folder(self) -> ObjectPath:
        """What is kept of a build beside the objects of its store."""
        return partial_folder(self.target)

    @property
    def _plan(self) -> ObjectPath:
        return self.folder / "plan.json"

    @property
    def _root(self) -> ObjectPath:
        """The group's metadata, the last of a store's objects."""
        return self.target / "zarr.json"

    def followed(self) -> ObjectSite:
        """Itself: there are no links."""
        return self

    def is_begun(self) -> bool:
        """See `Site`."""
        return self._plan.exists()

    def is_finished(self) -> bool:
        """See `Site`."""
        return self._root.exists()

    def stands(self) -> bool:
        """Without its group's metadata it is damaged, if nobody is at work on it."""
        manifest = self.target / "manifest" / "zarr.json"
        return self.is_finished() or (manifest.exists() and not self.is_begun())

    def lock(self) -> AbstractContextManager[None]:
        """Nothing: there is no such right, and nothing to give back."""
        return nullcontext()

    def is_worked_at(self) -> bool:
        """See `Site`."""
        return self.is_begun()

    def recover(self) -> None:
        """Nothing: a store keeps its name while it is mended."""

    def build(self, manifest: Manifest) -> ObjectBuild:
        """See `Site`."""
        return ObjectBuild(self.target, self.folder, manifest)

    def begin(self, manifest: Manifest, index: FoldIndex, replaces: bool = False) -> ObjectBuild:
        """See `Site`; the plan is an object that is only ever created.

        Whoever finds it there has the same plan, and makes the same bytes, or is refused.
        """
        self._refuse_foreign()
        build, wanted = self.build(manifest), manifest.as_table()
        if not self.is_begun():
            there = "itself" if self.target.exists() else next(self._names(self.target), None)
            if there is not None and not replaces:
                raise ObjectStoreError(
                    f"{self.target} holds objects already, {there} among them, and is no store. "
                    "Name another --store, or delete them."
                )
            if replaces:
                with suppress(FileNotFoundError):
                    ObjectStorage(self.folder / REPLACED).write(self._root.read_bytes())
            ObjectStorage(build.work / "index.npz").write(index.to_bytes())
            ObjectStorage(self._plan).write_once(canonical_json(wanted))
        if differing := manifest_differences(read_plan(self._plan), wanted):
            raise begun_otherwise(self.folder, differing, f" and {self.target}")
        if replaces:
            ObjectStorage(self._root).remove()
        return build

    def load(self) -> ObjectBuild:
        """See `Site`."""
        return self.build(Manifest.model_validate(read_plan(self._plan)))

    def discard(self) -> None:
        """See `Site`; the plan goes last: it says what the others are.

        Of a store that was to be replaced the objects stay, and it is one again.
        """
        self._refuse_foreign()
        if not self.is_begun():
            ObjectStorage(self.folder).remove_below()
            return
        if not self.is_finished():
            replaced = self.folder / REPLACED
            if replaced.exists():
                ObjectStorage(self._root).write(replaced.read_bytes())
            else:
                # What is not of this build's making is not there: it was looked at when it began.
                manifest = self.load().manifest
                for name in (*(array.name for array in manifest.arrays()), "manifest"):
                    ObjectStorage(self.target / name).remove_below()
        others = [name for name in self._names(self.folder) if name not in ("plan.json", REPLACED)]
        for names in (others, [REPLACED], ["plan.json"]):
            ObjectStorage(self.folder).remove_these(names)

    def _refuse_foreign(self) -> None:
        names = self._names(self.folder)
        refuse_foreign(self.folder, {name.partition("/")[0] for name in names})

    @staticmethod
    def _names(place: ObjectPath) -> Iterator[str]:
        return ObjectStorage(place).names()
