"""How the source of a store was read, by what the store records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.stores.source.options import SourceOptions
from headrace.stores.source.target_options import TargetOptions
from headrace.stores.target import Kind


def recorded_options(config: Mapping[str, Any], kind: Kind) -> SourceOptions:
    """Options that read a source again as it was read: of its target nothing is asked.

    Args:
        config: sections of a manifest.
        kind: of its target.
    """
    target = TargetOptions.model_validate({**config.get("target", {}), "kind": kind})
    return SourceOptions.model_validate({**config["source"], "target": target})
