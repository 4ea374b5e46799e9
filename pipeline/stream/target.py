"""The target of a store as a network is told it, and what a training knows of its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.model.interface import NetworkTarget
from headrace.model.targets.interface import TargetStatistics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.stores import Store
    from headrace.stores.target import Target


def network_target(target: Target) -> NetworkTarget:
    """What a network that is trained on a store of this target gives."""
    return NetworkTarget(
        kind=target.kind,
        names=target.names,
        units=target.units,
        length=target.length,
        every=target.every,
    )


def target_statistics(store: Store, folds: Iterable[str]) -> TargetStatistics:
    """Moments of the labels of the named folds, merged; empty where a target has none.

    Raises:
        UserError: there is no such fold.
    """
    moments = store.moments(folds)
    return TargetStatistics.fit(moments.label_mean, moments.label_std)
