"""Finds what a damaged store is still good for: shards that a new build can take over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.console import Console
from headrace.pipeline.features.plan import PlannedBuild
from headrace.pipeline.repair.compare_source import compare_with_source
from headrace.pipeline.workers.run import ShardJob
from headrace.stores.build.build import Build
from headrace.stores.build.differences import manifest_differences
from headrace.stores.errors import DamageError, StoreError
from headrace.stores.io.checksums import file_digest
from headrace.stores.io.places import Place
from headrace.stores.manifest import Manifest
from headrace.stores.manifest_file import read_manifest
from headrace.stores.parts.part import StorePart
from headrace.stores.store import Store
from headrace.stores.text import listed
from headrace.stores.verify import (
    Problem,
    checksum_problems,
    content_of,
    damaged_shards,
    metadata_problems,
    table_files,
)

Trusted = Literal["checksums", "source"]
"""What says which shards are sound."""
UNLIKE = ("format_version", "table_digests", "filled")
"""Of a manifest: what is not decided before data is read."""


@dataclass(frozen=True)
class Salvage:
    """Shards of a damaged store that are sound.

    Attributes:
        store: the damaged one.
        shards: ascending.
    """

    store: Store
    shards: Sequence[int]

    def adopt(self, build: Build) -> None:
        """Let `build` take the shards over; those whose tables cannot be read are left out."""
        manifest = self.store.manifest
        tables = {t.name: self.store.parts[0].table_rows(t.name) for t in manifest.tables()}
        filled = np.array(manifest.filled, np.int64).reshape(-1, 2)
        for shard in self.shards:
            segments = [row for row, _ in manifest.shard_rows(shard)]
            try:
                columns = {
                    name: np.stack([row_of(row) for row in segments])
                    for name, row_of in tables.items()
                    if name != "shard_digest"
                }
                columns["shard_digest"] = tables["shard_digest"](shard)[None]
                columns["filled"] = self._filled(shard, filled)
            except DamageError:
                continue
            build.adopt_shard(shard, columns)

    def _filled(self, shard: int, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of the candidates of a shard that lie in `ranges` (R, 2)."""
        if not len(ranges):
            return np.zeros(0, np.int64)
        first = shard * self.store.shard_windows
        stop = min(first + self.store.shard_windows, self.store.windows)
        numbers = self.store.read("source_index", first, stop)
        place = np.searchsorted(ranges[:, 0], numbers, side="right") - 1
        return np.asarray(numbers[(place >= 0) & (numbers < ranges[place, 1])])


def find_sound(
    target: Place, planned: PlannedBuild, job: ShardJob, trusted: Trusted, console: Console
) -> Salvage | None:
    """The sound shards of the store that stands at `target`; None when nothing is wrong.

    Args:
        target: the store.
        planned: the store that its source and configuration give.
        job: the source, for `trusted = "source"`.
        trusted: what is asked.
        console: where to say what is wrong.

    Raises:
        UserError: the store is of another source, configuration or version of its writers.
    """
    manifest = planned.manifest
    store, problems = _opened(target, manifest, trusted)
    if len(damaged_shards(store, problems)) < manifest.shards:
        window = manifest.spec.stored_bytes
        with console.progress("verify", store.windows, window) as progress:
            problems += checksum_problems(store, progress.advance)
        if trusted == "source":
            problems += compare_with_source(store, planned, job, console)
    else:
        problems += metadata_problems(target, manifest)
    foreign = [p.where for p in problems if p.kind == "foreign"]
    if foreign:
        raise StoreError(
            f"{target} holds {len(foreign)} files that do not belong to it, the first is "
            f"{foreign[0]}: mending would remove them. Move them elsewhere, and start again."
        )
    if not problems:
        console.say(f"{target} needs no mending: every file is as it was written.")
        return None
    damaged = damaged_shards(store, problems)
    console.say(
        f"{len(problems)} problems, the first: {problems[0].where} {problems[0].what}. "
        f"{len(damaged)} of {manifest.shards} shards are made anew."
    )
    return Salvage(store, sorted(set(range(manifest.shards)) - damaged))


def _opened(target: Place, manifest: Manifest, trusted: Trusted) -> tuple[Store, list[Problem]]:
    """The store, and what is wrong with its manifest.

    A damaged one is replaced by `manifest` if a checksum of it, or its own bytes, say that it was
    that one; otherwise nothing of the store can be trusted.

    Raises:
        UserError: nothing says so, and the source is not what is trusted; or the store is of
            another source or configuration, or of a newer format.
    """
    try:
        found = read_manifest(target)
    except DamageError as error:
        problem = Problem("manifest/zarr.json", str(error).split(". ")[0])
        digests = _digests_there(target, manifest)
        for version in range(manifest.format_version, 0, -1):
            update = {"table_digests": digests, "format_version": version}
            assumed = manifest.model_copy(update=update)
            if _was(target, assumed):
                return Store(StorePart(target, assumed)), [problem]
        if trusted != "source":
            raise StoreError(
                f"{target} has lost its manifest, and nothing proves that it was made of this "
                "source with these options. Name another --store, or replace all of this one by "
                "what they give: --repair=source."
            ) from error
        return Store(StorePart(target, manifest)), [replace(problem, stop=manifest.windows)]
    differing = store_differences(found, manifest)
    if differing:
        raise StoreError(
            f"{target} was made with another {listed(differing)}: shards made now would "
            "not belong to it. Restore that, or delete the store to make it anew."
        )
    return Store(StorePart(target, found)), []


def _was(target: Place, assumed: Manifest) -> bool:
    """Whether what is left of the store's metadata proves that this was its manifest."""
    proofs = ((target / "zarr.json", assumed.root_bytes()),) if assumed.format_version > 1 else ()
    for path, content in (*proofs, (target / "manifest" / "zarr.json", assumed.to_bytes())):
        if content_of(path) == content:
            return True
    return False


def store_differences(found: Manifest, wanted: Manifest) -> list[str]:
    """What of a store's manifest is not what its source and configuration give."""
    one, other = (
        m.model_dump(mode="json", exclude=set(UNLIKE), by_alias=True) for m in (found, wanted)
    )
    return manifest_differences(one, other)


def _digests_there(target: Place, manifest: Manifest) -> dict[str, str]:
    """Checksums of the tables' files as they are: each chunk has its own inside."""
    folder = target / "manifest"
    names = [name for name, _, _ in table_files(manifest) if (folder / name).is_file()]
    digests = {name: file_digest(folder / name) for name in names}
    return {name: digest.hex() for name, digest in digests.items() if digest is not None}
