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
    """What a kind of target knows."""
    return _KINDS[target.kind](target)
