"""Measures what a network takes, in a process of its own: the user's before its first use."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.child import child_command
from headrace.pipeline.memory.machine import usable_budget
from headrace.pipeline.memory.measured import (
    NETWORK_STAGES,
    WEIGHTS,
    keep_reserved,
    known_reserved,
    shape_of,
)
from headrace.pipeline.process.environment import stage_environment
from headrace.pipeline.process.exit_codes import OVER_BUDGET, USERS_INPUT
from headrace.pipeline.process.parts import raise_if_ended, run_part
from headrace.stores.errors import BudgetError, FunctionError
from headrace.stores.text import format_bytes

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.runs.inputs import ModelInputs

MARGIN = 1.06
"""Peaks of equal runs were seen to differ by up to 4 %."""


def require_measured(config: Config, inputs: ModelInputs, console: Console) -> None:
    """Measure a network of the user's own, unless that is done: no arithmetic knows it.

    It is built and checked for that, before anything is made of a run.

    Args:
        config: resolved.
        inputs: what the network takes and tells apart.
        console: where to say so.

    Raises:
        UserError: the network does not fit its inputs, or the budget.
    """
    if config.model.build is None:
        return
    if known_reserved(config, shape_of(inputs.spec, inputs.features, inputs.target)):
        return
    console.say(f"Measuring what {config.model.build} takes, in a process of its own, once.")
    measure_reserved(config, inputs)


def measure_reserved(config: Config, inputs: ModelInputs) -> None:
    """Run a few steps of each stage with a network on noise, in processes of their own.

    Kept is the peak, anonymous + shared, of the interpreter, its libraries and the network with
    what it holds for one batch.

    Raises:
        UserError: the network is the user's, and does not fit its inputs, or the budget.
    """
    task = {"config": config.model_dump(mode="json"), "inputs": inputs.as_table()}
    own, found = config.model.build is not None, {}
    limit = usable_budget(config.memory.budget) if own else 0
    for stage in NETWORK_STAGES:
        asked = json.dumps(task | {"stage": stage, "limit": limit})
        printed = run_measured("headrace.pipeline.training.measure_network", (), asked)
        peak, weights = map(int, printed.split()[-2:])
        found[stage] = int(MARGIN * peak)
        if own:
            found[WEIGHTS] = weights
    keep_reserved(config, shape_of(inputs.spec, inputs.features, inputs.target), found)


def run_measured(module: str, arguments: Sequence[str], given: str = "") -> str:
    """What a module prints that runs in a process of its own.

    Raises:
        UserError: it was refused, or held more than the limit that it was given; it failed.
    """
    done: Any = run_part(
        child_command(module, *arguments),
        given,
        stage_environment(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    raise_if_ended(done.returncode)
    reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    if done.returncode == USERS_INPUT:
        raise FunctionError(reason[0])
    if done.returncode == OVER_BUDGET:
        limit = format_bytes(json.loads(given)["limit"])
        raise BudgetError(
            f"The network of model.build takes more than memory.budget = {limit} for one step of "
            "its own. Set a smaller train.batch or evaluate.batch, a larger memory.budget, or make "
            "the network smaller."
        )
    if done.returncode:
        raise BudgetError(f"Measuring failed: {reason[0]} Plan without --measure, or mend that.")
    return str(done.stdout)
