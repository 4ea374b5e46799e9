"""The process that the user starts is the stage itself, under the settings it needs."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs
import pytest

from headrace.pipeline.process.environment import FORCED, MARKER, SETTINGS, stage_environment
from tests.conftest import ROOT

REPORT = """
import json, os, sys
from headrace.pipeline.launch import restart_with
from headrace.pipeline.process.environment import stage_environment
restart_with(stage_environment(os.environ), [sys.executable, *sys.orig_argv[1:]])
print(json.dumps({"pid": os.getpid(), "environment": dict(os.environ)}))
"""


def clean_environment(**settings: str) -> dict[str, str]:
    ours = {MARKER, *SETTINGS, *FORCED}
    return {**{k: v for k, v in os.environ.items() if k not in ours}, **settings}


def start(*command: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=clean_environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_stage_restarts_in_the_same_process_with_the_allocator_set() -> None:
    process = start("-c", REPORT)
    output, _ = process.communicate(timeout=1800)
    report = json.loads(output)
    assert report["pid"] == process.pid
    wanted = {**SETTINGS, **FORCED, MARKER: "1"}
    assert {name: report["environment"].get(name) for name in wanted} == wanted


def test_interpreter_options_and_arguments_survive_the_restart() -> None:
    code = REPORT + "print(sys.flags.utf8_mode, sys.argv[1:])"
    output, _ = start("-X", "utf8", "-c", code, "a b", "--c=d").communicate(timeout=1800)
    assert output.splitlines()[-1] == "1 ['a b', '--c=d']"


def test_what_the_user_has_set_is_kept_except_the_backend() -> None:
    given = {"MALLOC_ARENA_MAX": "7", "KERAS_BACKEND": "jax", "PATH": "/bin"}
    merged = stage_environment(given)
    assert merged["MALLOC_ARENA_MAX"] == "7"
    assert merged["PATH"] == "/bin"
    assert merged["KERAS_BACKEND"] == "tensorflow"


def test_a_restarted_process_does_not_restart_again() -> None:
    output, _ = start("-c", REPORT, **{MARKER: "1"}).communicate(timeout=1800)
    assert "MALLOC_ARENA_MAX" not in json.loads(output)["environment"]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "-h"]])
def test_help_and_version_succeed(arguments: list[str]) -> None:
    process = start("-m", "headrace", *arguments)
    output, _ = process.communicate(timeout=1800)
    assert process.returncode == 0
    assert output


def test_a_user_without_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chosen = stage_environment({})["XDG_CACHE_HOME"]
    monkeypatch.setenv("XDG_CACHE_HOME", chosen)
    assert platformdirs.user_cache_path("headrace") == tmp_path / "headrace"
    assert stage_environment({"XDG_CACHE_HOME": "/mine"})["XDG_CACHE_HOME"] == "/mine"
