"""Which module knows a kind of target: the one place that asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headrace.model.interface import Kind, NetworkTarget
from headrace.model.targets.classes import ClassTarget
from headrace.model.targets.labels import LabelsTarget
from headrace.model.targets.sequences import SequenceTarget
from headrace.model.targets.values import ValueTarget

if TYPE_CHECKING:
    from headrace.model.targets.interface import TargetModel

_KINDS: dict[Kind, Callable[[NetworkTarget], TargetModel]] = {
    "class": ClassTarget,
    "labels": LabelsTarget,
    "value": ValueTarget,
    "sequence": SequenceTarget,
}


def target_model(target: NetworkTarget) -> TargetModel:
    """What a kind of target knows.

    Raises ValueError for an unknown kind, and for fewer than two classes or no label or value.
    """
    if target.kind not in _KINDS:
        raise ValueError(f"A target is one of {', '.join(_KINDS)}, not {target.kind!r}.")
    least = 2 if target.kind in ("class", "sequence") else 1
    if target.count < least:
        raise ValueError(
            f"A target of kind {target.kind} needs {least} or more, got {target.count}."
        )
    return _KINDS[target.kind](target)
