"""What a model was when the state of its training was saved, and what of it differs now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import keras

from headrace.model.optimisation import training_variables
from headrace.pipeline.config.config import digest

UNLIKE = re.compile(r" at 0x\w+|(?<=[a-z])_\d+$")
"""What tells objects apart, not what they are."""
LEFT_OUT = frozenset({"module", "registered_name", "shared_object_id", "name"})
NETWORK, COMPILED = "layers or shapes of variables", "compiled"
ABSENT = "nothing"
MOST_SAID = 4


def model_identity(model: keras.Model) -> dict[str, Any]:
    """What has to be the same for a state to be of use: JSON-able."""
    shapes = [[list(each.shape), str(each.dtype)] for each in training_variables(model)]
    layers = [type(layer).__name__ for layer in model._flatten_layers()]
    try:
        compiled = dict(_leaves("", model.get_compile_config()))
    except (TypeError, ValueError, AttributeError):
        compiled = {"optimizer": type(model.optimizer).__name__}
    return {NETWORK: digest({"shapes": shapes, "layers": layers}), COMPILED: compiled}


def model_differences(found: dict[str, Any], identity: dict[str, Any]) -> list[str]:
    """What a recorded identity has other than this one, in words; empty: nothing."""
    said = [f"{NETWORK} differ"] if found[NETWORK] != identity[NETWORK] else []
    old, new = found[COMPILED], identity[COMPILED]
    changed: list[str] = []
    for key in sorted({*old, *new}):
        # Of another optimiser, every option is another's.
        within = any(key.startswith(f"{other}.") for other in changed)
        if old.get(key) != new.get(key) and not within:
            changed.append(key)
    said += [
        f"{key} was {old.get(key, ABSENT)} and is {new.get(key, ABSENT)}"
        for key in changed[:MOST_SAID]
    ]
    return said


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """What a compile configuration holds, as `optimizer.Adam.learning_rate` and text."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield path, str(value["class_name"])
            value = value.get("config")
        for key, each in value.items() if isinstance(value, dict) else ():
            if key not in LEFT_OUT:
                yield from _leaves(f"{path}.{key}" if path else str(key), each)
        if not isinstance(value, dict):
            yield f"{path}.config", UNLIKE.sub("", str(value))
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            yield from _leaves(f"{path}.{number}", each)
    else:
        yield path, UNLIKE.sub("", str(value))
