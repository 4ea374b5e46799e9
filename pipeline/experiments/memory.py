"""What a cross-validation will hold in memory: its parent, and the larger stage of a fold."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from headrace.pipeline.evaluation.memory import evaluate_plan
from headrace.pipeline.memory.fit import with_remedies
from headrace.pipeline.memory.plan import MIB, MemoryPlan
from headrace.pipeline.training.memory import TRAIN_KEYS, train_plan

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store

RESERVED_PARENT = 150 * MIB
"""Of the process that starts the folds of a cross-validation; it holds no TensorFlow."""


def plan_crossval(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    """The memory plan of a cross-validation, with remedies where it does not fit."""
    return with_remedies(partial(_crossval_plan, baseline=baseline), config, store, TRAIN_KEYS)


def _crossval_plan(config: Config, store: Store, baseline: bool) -> MemoryPlan:
    stages = train_plan(config, store), evaluate_plan(config, store, baseline)
    largest = max(stages, key=lambda stage: stage.projected)
    reserved = largest.reserved + RESERVED_PARENT
    return replace(largest, stage="crossval", reserved=reserved, later=stages[0].later)
