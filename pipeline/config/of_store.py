"""A configuration with what its store was made with."""

from __future__ import annotations

from typing import Any

from headrace.pipeline.config.config import Config
from headrace.stores.errors import RunError
from headrace.stores.target import Target


def with_kind(config: Config, target: Target) -> Config:
    """`config` with the kind of target that a store has, where it names none."""
    return config if config.target.kind else config.changed("target", kind=target.kind)


def store_config(config: Config, recorded: dict[str, Any]) -> Config:
    """`config` with the options that the store records, which decided its bytes.

    Raises:
        UserError: `config` itself says otherwise, in a key that is not left to its default.
    """
    sections = {}
    for name, options in recorded.items():
        given = getattr(config, name)
        said = given.model_dump(mode="json", include=given.model_fields_set)
        differing = [key for key, value in said.items() if options.get(key, value) != value]
        if differing:
            raise RunError(
                f"The store was made with another {name}.{differing[0]} "
                f"({options[differing[0]]!r}, not {said[differing[0]]!r}). Leave that key out, or "
                "make another store with: headrace features."
            )
        sections[name] = type(given).model_validate({**given.model_dump(), **options})
    return config.model_copy(update=sections).targeted()
