"""The end of a process of ours, which no signal changes any more."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn

from headrace.pipeline.process import interrupts
from headrace.pipeline.process.tree import kill_descendants


def end(code: int) -> NoReturn:
    """End the process here; no signal changes `code` any more.

    Python would first take itself apart, with signals as the system has them: one would end the
    process without our code. And with batches under way, as after an error in the midst of a
    training, that crashed Python 3.12 while it collected garbage.
    """
    interrupts.settle(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if interrupts.has_come():
        kill_descendants()
    os._exit(code)
