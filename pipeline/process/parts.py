"""A part of a command: a process of ours that the command runs, and how a signal passes up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from headrace.pipeline.process import interrupts

ENDED = {code: number for number in interrupts.ENDING for code in (128 + number, -number)}
"""The signal behind the exit code of a part that one ended."""


def run_part(
    command: Sequence[str],
    given: str | None = None,
    environment: Mapping[str, str] = os.environ,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a process of ours as a part of this command, which alone has the last word.

    Ctrl-C reaches both. Until the child can answer, signals wait in it; until its start has
    returned, in this process too. It has ended before a signal's exception goes on from here.

    Args:
        command: of a module that calls `interrupts.catch`.
        given: its standard input.
        environment: of the child.
        options: of `subprocess.Popen`.
    """
    part = {**environment, interrupts.PARENT: str(os.getpid())}
    stdin, child = None if given is None else subprocess.PIPE, None
    try:
        with interrupts.held(interrupts.ENDING):
            child = subprocess.Popen(command, env=part, text=True, stdin=stdin, **options)
        output, errors = child.communicate(given)
    except BaseException:
        if child is not None:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(2 * interrupts.GRACE_SECONDS)  # It ends itself after one.
            child.kill()
            child.wait()
        raise
    return subprocess.CompletedProcess(command, child.returncode, output, errors)


def raise_if_ended(code: int) -> None:
    """Pass on the signal that ended a child.

    Raises:
        Interrupted: one did, says its exit code.
    """
    if code in ENDED:
        raise interrupts.Interrupted(ENDED[code])
