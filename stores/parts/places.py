"""Where the parts of a store stand: the first is the store, the others in its folder `parts`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headrace.stores.build.folder import PARTS, REPLACED
from headrace.stores.build.site import site_of
from headrace.stores.errors import DamageError
from headrace.stores.io.places import Place, storage_of
from headrace.stores.shards.array_format import group_metadata

_NUMBER = re.compile(r"[0-9]{4}|[1-9][0-9]{4,}")


def part_place(store: Place, number: int) -> Place:
    """Where part `number` of a store stands, from 1 on; 0 is the store itself."""
    return store / PARTS / f"{number:04}" if number else store


def store_of_part(part: Place) -> Place:
    """The store whose part it is: itself, if it is the first.

    A folder of such a name that stands in no store is a store of its own.
    """
    if part.parent.name != PARTS or not number_of(part.name):
        return part
    store = part.parent.parent
    return part if isinstance(store, Path) and not (store / "raw").is_dir() else store


def number_of(name: str) -> int:
    """Number of the part that is called so; 0: none is."""
    return int(name) if _NUMBER.fullmatch(name) else 0


def later_parts(store: Place) -> list[Place]:
    """The parts that stand in a store's folder, in order.

    Raises:
        DamageError: one is missing among them, or out of its place while it is mended.
    """
    count = _count_here(store) if isinstance(store, Path) else _count_far(store)
    return [part_place(store, number) for number in range(1, count + 1)]


def group_of_parts() -> tuple[str, bytes]:
    """Name and content of the metadata of the group that parts stand in."""
    return f"{PARTS}/zarr.json", group_metadata({})


def is_of_parts(name: str) -> bool:
    """Whether what stands at `name` below a store belongs to later parts, or to one being made."""
    first, _, rest = name.partition("/")
    if first != PARTS:
        return False
    child = rest.partition("/")[0]
    return child in ("", "zarr.json") or number_of(child.removesuffix(".partial")) > 0


def _count_here(store: Path) -> int:
    folder = store / PARTS
    if not folder.is_dir():
        return 0
    there = {number_of(each.name) for each in folder.iterdir()} - {0}
    for build in sorted(folder.glob("*.partial")):
        number = number_of(build.stem)
        if number and number not in there and (build / REPLACED).is_dir():
            raise DamageError(
                f"{part_place(store, number)} is being mended, or that broke off. Wait for it, or "
                f"put the part back: headrace features --store {store}"
            )
    missing = set(range(1, len(there) + 1)) - there
    if missing:
        raise _without(store, min(missing))
    return len(there)


def _count_far(store: Place) -> int:
    """Asked side by side, as far as there are some."""
    at_once = storage_of(store).requests

    def stands(number: int) -> bool:
        site = site_of(part_place(store, number))
        # What is being mended has no such object, and is a part all the same.
        return site.stands() or (site.folder / REPLACED).exists()

    def answers() -> Iterator[bool]:
        with ThreadPoolExecutor(at_once) as pool:
            first = 1
            while True:
                found = list(pool.map(stands, range(first, first + at_once)))
                yield from found
                if not all(found):
                    return
                first += at_once

    found = list(answers())
    count = found.index(False)
    if any(found[count:]):
        raise _without(store, count + 1)
    return count


def _without(store: Place, number: int) -> DamageError:
    return DamageError(
        f"{part_place(store, number)} is missing, and later parts stand there. Restore it, or "
        "move the later ones elsewhere."
    )
