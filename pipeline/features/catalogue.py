"""The feature kernels that a configuration, or a store's manifest, asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.catalogue import Catalogue, FeatureFunctionError, Triad, build_catalogue
from headrace.stores.errors import ConfigError
from headrace.stores.manifest import Manifest

BATCH_WINDOWS = 256
"""Windows converted to units, extracted and summed up at a time: about what a cache holds."""


def catalogue_of(manifest: Manifest, folder: Path | None = None) -> Catalogue | None:
    """The kernels that a manifest's configuration asks for; None when it selects no feature."""
    options = manifest.config["features"]
    return make_catalogue(options, manifest.channels, manifest.rate_hz, manifest.time, folder)


def make_catalogue(
    options: dict[str, Any],
    channels: tuple[str, ...],
    rate_hz: float,
    time: int,
    folder: Path | None = None,
) -> Catalogue | None:
    """The kernels for windows of `time` samples of `channels`.

    Args:
        options: `FeatureOptions` as a table.
        channels, rate_hz, time: of the windows.
        folder: where functions of the user's are looked for first; None: the working directory.

    Raises:
        UserError: an unknown channel, triad or feature.
    """
    if not options["select"] and not options["custom"]:
        return None
    triads = []
    for name, members in options["triads"].items():
        missing = [channel for channel in members if channel not in channels]
        if missing:
            raise ConfigError(
                f"Triad {name} names {', '.join(missing)}; the channels are "
                f"{', '.join(channels)}. Correct features.triads."
            )
        first, second, third = (channels.index(channel) for channel in members)
        is_accelerometer = name in options["accelerometers"]
        triads.append(Triad(name, (first, second, third), is_accelerometer))
    unknown = [name for name in options["accelerometers"] if name not in options["triads"]]
    if unknown:
        raise ConfigError(
            f"features.accelerometers names {', '.join(unknown)}; the triads are "
            f"{', '.join(options['triads']) or 'none'}. Declare it in features.triads."
        )
    try:
        return build_catalogue(
            channels,
            rate_hz,
            time,
            triads,
            tuple(options["select"]),
            tuple(options["custom"]),
            folder,
        )
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"features: {error}") from error


def extract_features(catalogue: Catalogue, units: NDArray[Any], out: NDArray[np.float32]) -> None:
    """Write the features (n, F) of windows (n, T, C) in units, all finite, to `out`.

    Raises:
        ConfigError: a function of `features.custom` failed, or returned something unusable.
    """
    try:
        catalogue.extract(units, out=out)
    except FeatureFunctionError as error:
        raise ConfigError(f"features.custom: {error}") from error
