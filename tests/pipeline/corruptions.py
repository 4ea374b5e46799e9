"""Ways in which a store comes to harm, chosen at random; each changes at least one byte."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from headrace.stores.manifest import TABLE_ROWS, Manifest
from headrace.stores.manifest_file import read_manifest
from headrace.stores.shards.array_format import ArrayFormat, canonical_json
from headrace.stores.shards.reader import ShardReader

Harm = Callable[[Path, random.Random], str | None]
"""Harms a store, and returns the file that no longer is what it was; None for no file of it."""


def files(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file())


def shards(store: Path) -> list[Path]:
    arrays = [array.name for array in read_manifest(store).arrays()]
    return [path for path in files(store) if path.parent.name in arrays and path.suffix != ".json"]


def flip(path: Path, at: int) -> None:
    """Flip one bit of the byte `at`, counted round and round."""
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 4
    path.write_bytes(content)


def flip_bits(store: Path, chance: random.Random) -> str:
    path = chance.choice(files(store))
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 2, 50))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    if content == path.read_bytes():
        content[0] ^= 1
    path.write_bytes(content)
    return path.relative_to(store).as_posix()


def truncate(store: Path, chance: random.Random) -> str:
    path = chance.choice(files(store))
    os.truncate(path, chance.randrange(path.stat().st_size))
    return path.relative_to(store).as_posix()


def append(store: Path, chance: random.Random) -> str:
    path = chance.choice(files(store))
    with path.open("ab") as stream:
        stream.write(chance.randbytes(chance.randrange(1, 100)))
    return path.relative_to(store).as_posix()


def blank(store: Path, chance: random.Random) -> str:
    """A page that never reached the disk."""
    path = chance.choice(files(store))
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    page = slice(at, at + 512)
    content[page] = bytes(0xFF if not any(content[page]) else 0 for _ in content[page])
    path.write_bytes(content)
    return path.relative_to(store).as_posix()


def delete(store: Path, chance: random.Random) -> str:
    path = chance.choice(files(store))
    path.unlink()
    return path.relative_to(store).as_posix()


def swap(store: Path, chance: random.Random) -> str | None:
    """Two shards of one array in each other's place."""
    one, other = _two_shards(store, chance)
    aside = store.parent / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    return one.relative_to(store).as_posix()


def duplicate(store: Path, chance: random.Random) -> str | None:
    one, other = _two_shards(store, chance)
    shutil.copy(one, other)
    return other.relative_to(store).as_posix()


def _two_shards(store: Path, chance: random.Random) -> tuple[Path, Path]:
    found = shards(store)
    while True:
        one, other = chance.sample(found, 2)
        if one.parent == other.parent and one.read_bytes() != other.read_bytes():
            return one, other


def add(store: Path, chance: random.Random) -> None:
    """A file or folder that is no part of the store."""
    path = chance.choice(shards(store))
    extra = chance.choice(("c.99", "c.99.0.0", "notes.txt", path.name + ".tmp", "c.01"))
    shutil.copy(path, path.with_name(extra))


def link(store: Path, chance: random.Random) -> None:
    """A shard that is a link to the same bytes elsewhere."""
    path = chance.choice(shards(store))
    aside = store.parent / f"{chance.randrange(10**9)}.aside"
    path.rename(aside)
    path.symlink_to(aside)


def edit_manifest(store: Path, chance: random.Random) -> str:
    """Another value of the same kind, written as the program writes."""
    path = store / "manifest" / "zarr.json"
    document = json.loads(path.read_bytes())
    _edit(document["attributes"], chance)
    path.write_bytes(canonical_json(document))
    return "manifest/zarr.json"


def edit_metadata(store: Path, chance: random.Random) -> str:
    path = chance.choice([each for each in files(store) if each.name == "zarr.json"])
    document = json.loads(path.read_bytes())
    _edit(document, chance)
    path.write_bytes(canonical_json(document))
    return path.relative_to(store).as_posix()


def _edit(node: Any, chance: random.Random) -> None:
    """Change one value somewhere below `node`, which holds some."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = chance.choice(keys)
        value = node[key]
        if isinstance(value, (dict, list)) and value:
            node = value
        elif isinstance(value, bool):
            node[key] = not value
            return
        elif isinstance(value, (int, float)):
            node[key] = value + chance.choice((1, -1, 2))
            return
        elif isinstance(value, str) and value:
            node[key] = value[:-1] + chr(ord(value[-1]) ^ 1)
            return
        elif value is None or value in ([], {}, ""):
            node[key] = 1
            return


def rewrite_shard(store: Path, chance: random.Random) -> str:
    """One value of a shard changed, encoded anew with right checksums."""
    manifest = read_manifest(store)
    array = chance.choice(manifest.arrays())
    shard = chance.randrange(manifest.shards)
    name = f"{array.name}/{array.key(shard)}"
    first = shard * array.shard_rows
    rows = min(array.shard_rows, array.rows - first)
    values = np.empty((rows, *array.row_shape), array.dtype)
    ShardReader(store / array.name, array).read_into(values, first)
    _change_one(values, chance)
    _encode(store / name, array, values)
    return name


def rewrite_table(store: Path, chance: random.Random) -> str:
    """One value of a table of the manifest changed, encoded anew with right checksums."""
    table = chance.choice(read_manifest(store).tables())
    values = _table(store, table)
    _change_one(values, chance)
    _encode(store / "manifest" / table.name / table.key(0), table, values)
    return f"manifest/{table.name}/{table.key(0)}"


HARMS: tuple[Harm, ...] = (
    flip_bits,
    truncate,
    append,
    blank,
    delete,
    swap,
    duplicate,
    add,
    link,
    edit_manifest,
    edit_metadata,
    rewrite_shard,
    rewrite_table,
)


def rewrite_consistently(store: Path, chance: random.Random) -> tuple[str, range]:
    """A shard rewritten, and every checksum of it; returns its file and rows."""
    name = rewrite_shard(store, chance)
    manifest = read_manifest(store)
    number, array = next(
        (n, a) for n, a in enumerate(manifest.arrays()) if a.name == name.split("/")[0]
    )
    shard = next(n for n in range(manifest.shards) if array.key(n) == name.split("/")[1])
    table = next(table for table in manifest.tables() if table.name == "shard_digest")
    digests = _table(store, table)
    digest = xxhash.xxh3_128_digest((store / name).read_bytes())
    digests[shard, number] = np.frombuffer(digest, np.uint8)
    path = store / "manifest" / table.name / table.key(0)
    _encode(path, table, digests)
    recorded = manifest.table_digests | {
        f"{table.name}/{table.key(0)}": xxhash.xxh3_128_hexdigest(path.read_bytes())
    }
    seal(store, manifest.model_copy(update={"table_digests": recorded}))
    first = shard * manifest.shard
    return name, range(first, min(first + manifest.shard, manifest.windows))


def seal(store: Path, manifest: Manifest) -> None:
    """Write another manifest and its checksum."""
    (store / "manifest" / "zarr.json").write_bytes(manifest.to_bytes())
    (store / "zarr.json").write_bytes(manifest.root_bytes())


def _table(store: Path, table: ArrayFormat) -> Any:
    assert table.rows <= TABLE_ROWS
    values = np.empty((table.rows, *table.row_shape), table.dtype)
    ShardReader(store / "manifest" / table.name, table).read_into(values, 0)
    return values


def _change_one(values: Any, chance: random.Random) -> None:
    flat = values.reshape(-1)
    at = chance.randrange(len(flat))
    flat[at] = flat[at] + 1 if np.isfinite(flat[at]) and flat[at] + 1 != flat[at] else 0


def _encode(path: Path, array: ArrayFormat, values: Any) -> None:
    shard = replace(array, rows=len(values))
    chunks = [values[at : at + shard.chunk_rows] for at in range(0, len(values), shard.chunk_rows)]
    path.write_bytes(b"".join(shard.encode(iter(chunks))))
