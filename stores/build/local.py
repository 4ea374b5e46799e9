"""Builds on this disk: in a folder beside the store, which a lock guards and a rename ends."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.stores.build.build import Build
from headrace.stores.build.differences import manifest_differences
from headrace.stores.build.folder import (
    COMPACTED,
    PARTS,
    REPLACED,
    begun_otherwise,
    partial_folder,
    read_plan,
    refuse_foreign,
)
from headrace.stores.errors import DiskError, StoreError, UserError, first_line
from headrace.stores.io.checksums import file_digest
from headrace.stores.io.disk import (
    link_file,
    make_folder,
    remove_file,
    remove_folder,
    remove_strays,
    rename_folder,
    sync_folder,
    write_bytes,
)
from headrace.stores.io.lock import locked
from headrace.stores.layout.fold_index import FoldIndex
from headrace.stores.manifest import Manifest
from headrace.stores.shards.array_format import canonical_json


@dataclass(frozen=True)
class LocalBuild(Build):
    """See `Build`; every shard is checked before a build goes on, as the disk may err."""

    target: Path
    folder: Path

    @property
    def store(self) -> Path:
        """A folder that is renamed in the end."""
        return self.folder / "store"

    @property
    def work(self) -> Path:
        """The folder itself."""
        return self.folder

    def drop_damaged(self, advance: Callable[[int], None]) -> list[int]:
        """See `Build`."""
        dropped: list[int] = []
        for shard in self.finished_shards():
            if not self._is_whole(shard):
                remove_file(self.folder / "records" / f"{shard}.npz")
                dropped.append(shard)
            advance(min(self.manifest.shard, self.manifest.windows - shard * self.manifest.shard))
        return dropped

    def _is_whole(self, shard: int) -> bool:
        try:
            names = ["filled", *(table.name for table in self.manifest.tables())]
            digests = self._columns(shard, names, self._opened_record(shard))["shard_digest"][0]
            return all(
                file_digest(self.store / array.name / array.key(shard)) == digest.tobytes()
                for array, digest in zip(self.manifest.arrays(), digests, strict=True)
            )
        except (UserError, ValueError, IndexError):
            return False

    def keeps_conditions(self) -> bool:
        """True: there is a lock."""
        return True

    def _adopt_files(self, names: list[str]) -> None:
        """Other names of the same files."""
        for name in names:
            here = self.store / name
            make_folder(here.parent)
            link_file(self.target / name, here)

    def _commit(self, root: bytes, replaces: bool, compacts: bool) -> None:
        write_bytes(self.store / "zarr.json", root)
        _remove_strays_below(self.store)
        if replaces and self.target.exists():
            # Between the two names there is no store, and a build that wants finishing.
            rename_folder(self.target, self.folder / (COMPACTED if compacts else REPLACED))
            if not compacts:
                _carry_parts(self.folder / REPLACED, self.store)
        rename_folder(self.store, self.target)
        LocalSite(self.target).discard()

    def _opened_records(self) -> Iterator[Path | io.BytesIO]:
        return map(self._opened_record, range(self.manifest.shards))


@dataclass(frozen=True)
class LocalSite:
    """See `stores.build.site.Site`."""

    target: Path

    @property
    def folder(self) -> Path:
        """A folder beside the store: a rename on one disk is whole or not at all."""
        return partial_folder(self.target)

    def followed(self) -> LocalSite:
        """See `Site`."""
        store = self.target
        try:
            target = store.resolve()
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"{store} leads nowhere ({first_line(error)}). Name another --store."
            ) from error
        # From Python 3.13 on, a circle of links is resolved to a link, not refused.
        if target.is_symlink():
            raise StoreError(f"{store} leads nowhere. Name another --store.")
        if target.exists() and not target.is_dir():
            raise StoreError(f"{store} is a file. A store is a folder: name another --store.")
        if target.is_mount():
            raise StoreError(
                f"{store} is a mount point, which cannot be renamed. Name a folder in it: "
                f"--store {store / 'my.zarr'}"
            )
        return LocalSite(target)

    def is_begun(self) -> bool:
        """See `Site`."""
        return self.folder.exists()

    def is_finished(self) -> bool:
        """See `Site`."""
        return self.target.exists()

    def stands(self) -> bool:
        """Whether there is something in the folder."""
        return self.target.exists() and any(self.target.iterdir())

    @property
    def _lock(self) -> Path:
        return self.target.with_name(f"{self.target.name}.lock")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See `Site`."""
        busy = StoreError(
            f"Another process is building {self.target}. Wait for it, or name another --store."
        )
        with ExitStack() as held:
            try:
                make_folder(self._lock.parent)
                held.enter_context(locked(self._lock, busy, makes_file=True))
            except OSError as error:
                raise DiskError(
                    f"The store {self.target} cannot be made there ({error.strerror}). Name "
                    "another --store."
                ) from error
            yield

    def is_worked_at(self) -> bool:
        """See `Site`."""
        return self.is_begun() or self._lock.exists()

    def recover(self) -> None:
        """The new store is whole by then, so it gets the name; else the old one gets it back.

        So do its later parts, which are mended one by one.
        """
        if not (self._was_replaced() or self._replaced_parts()):
            return
        with self.lock():
            if self._was_replaced():  # And not by another process meanwhile.
                self._name_again()
            for part in self._replaced_parts():
                part._name_again()

    def _name_again(self) -> None:
        new = self.folder / "store"
        whole = (new / "zarr.json").is_file()
        old = self.folder / REPLACED
        if old.is_dir():
            _carry_parts(*((old, new) if whole else (new, old)))
        else:
            old = self.folder / COMPACTED
        rename_folder(new if whole else old, self.target)
        self.discard()

    def _replaced_parts(self) -> list[LocalSite]:
        begun = (self.target / PARTS).glob("[0-9]*.partial")
        parts = [LocalSite(path.with_suffix("")) for path in begun]
        return [part for part in parts if part._was_replaced()]

    def _was_replaced(self) -> bool:
        names = (REPLACED, COMPACTED)
        return not self.target.exists() and any((self.folder / name).is_dir() for name in names)

    def build(self, manifest: Manifest) -> LocalBuild:
        """See `Site`."""
        return LocalBuild(self.target, self.folder, manifest)

    def begin(self, manifest: Manifest, index: FoldIndex, replaces: bool = False) -> LocalBuild:
        """See `Site`; a store that stands there stays until the build is finished."""
        self._refuse_foreign()
        folder, build = self.folder, self.build(manifest)
        plan, wanted = folder / "plan.json", manifest.as_table()
        if not ((folder / "store").is_dir() and (folder / "index.npz").is_file()):
            self.discard()
        if plan.exists() and (differing := manifest_differences(read_plan(plan), wanted)):
            if build.finished_shards():
                raise begun_otherwise(folder, differing)
            self.discard()
        if not plan.exists():
            remove_folder(folder)
            make_folder(folder / "records")
            make_folder(folder / "store")
            write_bytes(folder / "index.npz", index.to_bytes())
            write_bytes(plan, canonical_json(wanted))
        _remove_strays_below(folder)
        return build

    def load(self) -> LocalBuild:
        """See `Site`."""
        return self.build(Manifest.model_validate(read_plan(self.folder / "plan.json")))

    def discard(self) -> None:
        """See `Site`; first goes what says that it is a build."""
        self._refuse_foreign()
        if self.folder.exists():
            remove_file(self.folder / "plan.json")
            sync_folder(self.folder)
            remove_folder(self.folder)

    def _refuse_foreign(self) -> None:
        folder = self.folder
        if folder.is_symlink() or folder.exists():
            ours = folder.is_dir() and not folder.is_symlink()
            refuse_foreign(folder, (path.name for path in folder.iterdir()) if ours else [""])


def _carry_parts(old: Path, new: Path) -> None:
    """Move the later parts of a store to what takes its place; they are not looked at."""
    if (old / PARTS).exists():
        rename_folder(old / PARTS, new / PARTS)


def _remove_strays_below(folder: Path) -> None:
    for parent in {path.parent for path in folder.rglob("*.tmp")}:
        remove_strays(parent)
