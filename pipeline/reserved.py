"""What TensorFlow and the network take before any data, measured once and kept for every plan."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import digest
from pipeline.launch import stage_environment
from pipeline.machine import usable_cores
from pipeline.user_cache import user_cache
from stores import disk

if TYPE_CHECKING:
    from pipeline.config import Config
    from stores import Store

MEASURED = ("train", "evaluate")
"""Stages with a network."""
MARGIN = 1.06
"""Peaks of equal runs were seen to differ by up to 4 %."""


def known_reserved(config: Config, store: Store) -> dict[str, int]:
    """Stage -> bytes measured for this network, batch and these versions; empty: not measured."""
    found = _read_all().get(_key(config, store), {})
    return {stage: int(found[stage]) for stage in MEASURED if stage in found}


def measure_reserved(config: Config, store: Store) -> dict[str, int]:
    """Run a few steps of each stage on noise, in processes of their own, and keep the peaks.

    Returns:
        Stage -> bytes, anonymous + shared, of the interpreter, its libraries and the network with
        what it holds for one batch.
    """
    found = {stage: int(MARGIN * _measure(stage, config, store)) for stage in MEASURED}
    disk.write_bytes(_file(), json.dumps({**_read_all(), _key(config, store): found}).encode())
    return found


def _measure(stage: str, config: Config, store: Store) -> int:
    task = {
        "stage": stage,
        "config": config.model_dump(mode="json"),
        "shape": _shape(store),
    }
    command = [sys.executable, "-m", "pipeline.warm_network"]
    environment = stage_environment(os.environ)
    done = subprocess.run(
        command, input=json.dumps(task), env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


def _shape(store: Store) -> dict[str, int]:
    return {
        "time": store.time,
        "channels": len(store.channels),
        "features": len(store.feature_names),
        "classes": len(store.classes),
    }


def _key(config: Config, store: Store) -> str:
    """What the figures depend on."""
    versions = {name: version(name) for name in ("tensorflow", "keras", "numpy", "headrace")}
    parts: dict[str, Any] = {
        "versions": versions,
        "python": platform.python_version(),
        "threads": config.train.threads or usable_cores(),
        "model": config.model.model_dump(mode="json"),
        "batch": config.train.batch,
        "evaluate": [config.evaluate.batch, len(config.evaluate.views)],
        "shape": _shape(store),
    }
    return digest(parts)


def _read_all() -> dict[str, Any]:
    """All that was measured; nothing where the file is missing or damaged: it can be made again."""
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    return user_cache() / "reserved.json"
