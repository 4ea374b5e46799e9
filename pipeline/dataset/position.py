"""Where a loop stands in a part, as a few numbers that can be written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from headrace.pipeline.dataset.arguments import whole
from headrace.pipeline.rows.order import buffer_chunks
from headrace.stores.errors import RunError

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store


class State(TypedDict):
    """Batches taken, and what they depend on: JSON-able."""

    step: int
    store: str
    folds: list[str]
    options: dict[str, Any]


def stream_identity(
    store: Store, folds: tuple[str, ...], config: Config, delivered: Mapping[str, Any]
) -> dict[str, Any]:
    """All that decides the batches of a part, but for the step.

    Args:
        store, folds, config: of the part.
        delivered: what else it was told of what it delivers, JSON-able.
    """
    train, stream = config.train, config.stream
    options = {
        "batch": train.batch,
        "seed": train.seed,
        "steps_per_epoch": train.steps_per_epoch,
        "balance": train.balance,
        "class_weight_power": train.class_weight_power,
        "buffer_chunks": buffer_chunks(stream, store.manifest.stretch),
        "drop_remainder": stream.drop_remainder,
        "inputs": config.model.inputs,
        "feature_scaling": config.model.feature_scaling,
        **delivered,
        **({"jitter": True} if stream.jitter else {}),
        **config.augment.model_dump(mode="json"),
    }
    return {"store": store.fingerprint, "folds": list(folds), "options": options}


def step_of(start: int | State | None, identity: dict[str, Any]) -> int:
    """The number of batches that a state, or a number, says were taken.

    Raises:
        UserError: it is below 0, neither, or the state of another part.
    """
    if start is None:
        return 0
    if not isinstance(start, dict):
        return whole("start", start, 0)
    if start.keys() != {"step", *identity}:
        raise RunError("start is a number of batches, or what state(step) gives.")
    if differing := differences(start, identity):
        raise RunError(
            f"That is the state of another stream: {differing}. Give the data set what it had (of "
            "a store that grew since: headrace.open(path, parts=...)), or begin at start = 0."
        )
    return whole("step", start["step"], 0)


def differences(found: Any, identity: dict[str, Any]) -> str:
    """What a recorded identity has other than this one, in words; empty: nothing."""
    said = [
        f"{key} was {found[key]!r} and is {identity[key]!r}"
        for key in ("store", "folds")
        if found[key] != identity[key]
    ]
    old, new = found["options"], identity["options"]
    said += [
        f"{key} was {old.get(key)!r} and is {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    return "; ".join(said)
