"""What each stage takes before any data, measured once and kept for every later plan."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from headrace.model.interface import NetworkTarget
from headrace.pipeline.config.config import digest
from headrace.pipeline.memory.machine import usable_cores
from headrace.pipeline.stream.target import network_target
from headrace.stores.io import disk

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store
    from headrace.stores.manifest import Manifest
    from headrace.stores.spec import WindowSpec

NETWORK_STAGES = ("train", "evaluate")
WEIGHTS = "weights"


def known_reserved(config: Config, shape: Mapping[str, Any]) -> dict[str, int]:
    """Stage -> bytes measured for this network, batch and these versions; empty: not measured.

    Of a network of the user's own `WEIGHTS` too: bytes of its weights.
    """
    names = NETWORK_STAGES if config.model.build is None else (*NETWORK_STAGES, WEIGHTS)
    return _known(_network_key(config, shape), names)


def known_worker_reserved(manifest: Manifest) -> tuple[int, int] | None:
    """Bytes measured of the features stage's main process and of a worker; None: not measured."""
    found = _known(_workers_key(manifest), ("main", "worker"))
    return (found["main"], found["worker"]) if found else None


def known_rate(manifest: Manifest) -> float | None:
    """Windows a second that one worker made here last, of stores like this; None: not known."""
    found = _known(f"{_workers_key(manifest)}-rate", ("rate",))
    return found["rate"] if found else None


def keep_rate(manifest: Manifest, rate: float) -> None:
    """Keep what one worker made of a store like this."""
    _keep(f"{_workers_key(manifest)}-rate", {"rate": round(rate)})


def keep_reserved(config: Config, shape: Mapping[str, Any], found: dict[str, int]) -> None:
    """Keep what was measured of this network: `known_reserved` gives it from now on."""
    _keep(_network_key(config, shape), found)


def keep_worker_reserved(manifest: Manifest, main: int, worker: int) -> None:
    """Keep what was measured of the features stage."""
    _keep(_workers_key(manifest), {"main": main, "worker": worker})


def network_shape(store: Store) -> dict[str, Any]:
    """What the network's shape depends on: arguments of `build_network`."""
    return shape_of(store.spec, store.feature_names, network_target(store.target))


def shape_of(spec: WindowSpec, features: Sequence[str], target: NetworkTarget) -> dict[str, Any]:
    """The same of what a run records."""
    time, channels = spec.shape
    return {
        "time": time,
        "channels": channels,
        "features": len(features),
        "target": target,
    }


def _network_key(config: Config, shape: Mapping[str, Any]) -> str:
    """What the figures of a network depend on."""
    parts: dict[str, Any] = {
        "versions": _versions("tensorflow", "keras", "numpy", "numba", "headrace"),
        "threads": config.train.threads or usable_cores(),
        "model": config.model.model_dump(mode="json", exclude_none=True),
        "batch": config.train.batch,
        "evaluate": [config.evaluate.batch, len(config.evaluate.views)],
        "shape": _sizes(**shape),
    }
    if config.code.sources:
        parts["sources"] = config.code.sources
    return digest(parts)


def _sizes(target: NetworkTarget, **shape: int) -> dict[str, Any]:
    """JSON-able; of classes as it always was."""
    sizes: dict[str, Any] = {**shape, "classes": target.count}
    if target != NetworkTarget(target.classes):
        sizes["output"] = [target.activation, target.length, target.every]
    return sizes


def _workers_key(manifest: Manifest) -> str:
    """What the figures of workers depend on."""
    parts: dict[str, Any] = {
        "versions": _versions("distributed", "numba", "numpy", "h5py", "headrace"),
        "features": manifest.config["features"],
        "resampled": manifest.config["source"]["target_rate_hz"] is not None,
        "shape": [manifest.time, manifest.channels, manifest.rate_hz],
    }
    return digest(parts)


@cache
def _versions(*names: str) -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def _known(key: str, names: tuple[str, ...]) -> dict[str, int]:
    """The figures of those names; none unless all are there."""
    found = _read_all().get(key, {})
    return {name: int(found[name]) for name in names} if set(names) <= set(found) else {}


def _keep(key: str, found: dict[str, int]) -> None:
    disk.write_bytes(_file(), json.dumps({**_read_all(), key: found}).encode())


def _read_all() -> dict[str, Any]:
    """All that was measured; nothing where the file is missing or damaged: it can be made again."""
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    return user_cache_path("headrace") / "reserved.json"
