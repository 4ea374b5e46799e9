"""`pytest -p tests.quick`: what needs neither a process nor TensorFlow, between two edits.

What asks for one is skipped at that moment, and with it all that its fixture was for: no list of
tests has to be kept, and none here can be slow for what it starts.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, NoReturn

import pytest
from distributed import LocalCluster

HEAVY = ("tensorflow", "keras")


class _NoNetwork(MetaPathFinder):
    """Comes before all other finders, and answers for TensorFlow and Keras alone."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if name.partition(".")[0] in HEAVY:
            pytest.skip("it needs TensorFlow", allow_module_level=True)


def _no_process(*_: Any, **__: Any) -> NoReturn:
    pytest.skip("it starts a process", allow_module_level=True)


def pytest_configure(config: pytest.Config) -> None:
    """Before any module of tests is imported, by each process that runs tests."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # It runs none, and starts those that do.
    platform.processor()  # Asks a process of the system, once, for whatever library wants it.
    sys.meta_path.insert(0, _NoNetwork())
    for starts in (subprocess.Popen, LocalCluster):
        starts.__init__ = _no_process
    BaseProcess.start = _no_process


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Of what is skipped, a count is enough."""
    return ("skipped", "", "") if report.skipped else None
