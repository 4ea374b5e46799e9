"""The environment that a stage runs in: settings that must stand before Python starts.

The allocator reads its settings when the process starts. Standard library only: `headrace --help`
pays for every import here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

MARKER = "HEADRACE_LAUNCHED"
"""Set once a process has replaced itself, so that it does so once."""

SETTINGS: Mapping[str, str] = {
    # Each arena keeps what it once held: two bound that, and two cores hardly contend for them.
    "MALLOC_ARENA_MAX": "2",
    # Left alone, glibc raises these to 32 and 64 MiB and freed buffers stay. Six threads churning
    # arrays of 4 KB to 30 MB: 1.14 times the live bytes at the peak instead of 1.6 times, for
    # twice the time in this worst case and none measured in training. A trim threshold of 64 KiB
    # cost a training step about a tenth.
    "MALLOC_MMAP_THRESHOLD_": str(4 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
    # Warnings and errors only; must stand before TensorFlow's library is loaded.
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
"""Defaults: a variable that the user has set is left as it is."""

FORCED: Mapping[str, str] = {"KERAS_BACKEND": "tensorflow"}
"""The streams are tf.data: a Keras set up for another backend would fail in the first step."""


def stage_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment that a stage runs in: `environment` with the missing settings added."""
    return {**SETTINGS, **_cache(), **environment, **FORCED}


def _cache() -> dict[str, str]:
    """Name a folder for caches, for a user whom the system knows no home of."""
    if os.path.isabs(os.path.expanduser("~")):
        return {}
    import tempfile

    return {"XDG_CACHE_HOME": tempfile.gettempdir()}
