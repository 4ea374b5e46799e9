"""Stages in child processes: a process that ends gives all its memory back."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.child import child_command
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.process.exit_codes import USERS_INPUT
from headrace.pipeline.process.parts import raise_if_ended, run_part
from headrace.stores.errors import RunError
from headrace.stores.io import disk

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.request import Request
    from headrace.pipeline.runs.folder import RunFolder


class StageFailed(RuntimeError):
    """A stage's process ended with an error that is ours; its own message stands above."""


def ensure_evaluated(
    request: Request, config: Config, run: RunFolder, file: Path, *, baseline: bool = False
) -> None:
    """Train, unless that is done, and evaluate one run.

    Args:
        request: says how loud the stages are.
        config: resolved, with the path of its store.
        run: complete, interrupted or new.
        file: where the config is written for them.
        baseline: score the classic baseline too.

    Raises:
        UserError, Interrupted, StageFailed: as `raise_for`.
    """
    if not run.complete:
        run_stage("train", request, config, run, file)
    run_stage("evaluate", request, config, run, file, *(["--baseline"] if baseline else []))


def run_stage(
    stage: str, request: Request, config: Config, run: RunFolder, file: Path, *options: str
) -> None:
    """One stage in a process of its own.

    Raises:
        UserError, Interrupted, StageFailed: as `raise_for`.
    """
    disk.write_bytes(file, config_bytes(config))
    command: Sequence[str] = (
        *child_command("headrace.pipeline.launch", stage, "--config", str(file)),
        *("--run", str(run.path)),
        *options,
        *(["--quiet"] if request.console.silent else []),
    )
    # Quiet stages still print their result, which is not this stage's.
    output = subprocess.DEVNULL if request.console.silent else None
    raise_for(run_part(command, stdout=output).returncode, stage)


def raise_for(code: int, stage: str) -> None:
    """Pass a child's exit code on as the exception that the command line maps to it.

    Raises:
        Interrupted: ended by Ctrl-C or SIGTERM.
        UserError: 2.
        StageFailed: any other but 0; a signal that ended the child is negative.
    """
    raise_if_ended(code)
    if code == USERS_INPUT:
        raise RunError(
            f"The {stage} stage of a run was refused; its message is above. Correct that and "
            "start again: complete runs are kept."
        )
    if code != 0:
        raise StageFailed(
            f"The {stage} stage of a run ended with exit code {code}; its message is above. "
            "Start again: complete runs are kept, an interrupted one is resumed."
        )
