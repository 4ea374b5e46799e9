"""The memory plan's arithmetic and refusal, and the measurement beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np

from headrace.pipeline.memory.plan import MIB, MemoryPlan
from headrace.pipeline.memory.watch import tree_memory, watch_memory
from headrace.stores.errors import BudgetError
from tests.refusals import refused

WORKERS = "features.workers = 1"


def plan(budget: int, *remedies: str, limit: int = 1 << 40, floor: int = 0) -> MemoryPlan:
    buffers = {"gathered windows": 300 * MIB, "batch": 20 * MIB}
    return MemoryPlan("features", 100 * MIB, "measured", buffers, budget, limit, remedies, floor)


def test_a_plan_within_its_budget_is_kept() -> None:
    assert plan(420 * MIB).require_fit().projected == 420 * MIB


def test_a_plan_above_its_budget_is_refused_with_remedies() -> None:
    held, ways_out = ("420 MiB", "419 MiB", "300 MiB"), ("memory.budget = 420MiB", WORKERS)
    with refused(BudgetError, *held, *ways_out) as error:
        plan(419 * MIB, WORKERS).require_fit()
    assert "\n" not in str(error.value)


def test_a_budget_below_the_floor_is_told_the_floor() -> None:
    with refused(BudgetError, "199 MiB", "200 MiB"):
        plan(199 * MIB, floor=200 * MIB).require_fit()
    with refused(BudgetError, "200 MiB", "memory.budget = 420MiB") as error:
        plan(200 * MIB, floor=200 * MIB).require_fit()
    assert str(error.value).count("200 MiB") == 1


def test_no_budget_is_offered_that_the_machine_has_not() -> None:
    with refused(BudgetError, WORKERS, "400 MiB") as error:
        plan(400 * MIB, WORKERS, limit=400 * MIB).require_fit()
    assert str(error.value).count("400 MiB") == 2
    assert "420MiB" not in str(error.value)


def test_memory_held_is_measured() -> None:
    with watch_memory() as use:
        before = tree_memory(os.getpid())[0]
        held = np.ones(64 * MIB, dtype=np.uint8)
        sampled = len(use.timeline)
        while len(use.timeline) < sampled + 2:
            time.sleep(0.01)
        del held
    assert 60 * MIB < use.peak - before < 80 * MIB
    assert use.timeline[-1][0] > use.timeline[0][0]


def test_memory_of_child_processes_counts() -> None:
    code = "held = b'1' * (64 << 20); print('held', flush=True); input()"
    before = tree_memory(os.getpid())[0]
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert tree_memory(os.getpid())[0] - before > 64 * MIB
        child.communicate(b"\n")
