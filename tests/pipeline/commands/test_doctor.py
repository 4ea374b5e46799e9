"""The doctor reports what a bug report needs."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from headrace.pipeline.commands.doctor import report_lines, run_doctor


def test_the_report_is_json_and_describes_this_machine() -> None:
    report = run_doctor()
    assert json.loads(json.dumps(report)) == report
    assert report["python"] == platform.python_version()
    assert report["cpu"]["cores"] >= report["cpu"]["usable"] >= 1
    memory = report["memory"]
    assert 0 < memory["available"] <= memory["total"] <= memory["machine"]
    assert report["disk_free"] > 0
    assert "MALLOC_ARENA_MAX" in report["settings"]
    assert report["versions"]["hdf5"].startswith(("1.", "2."))
    assert report["limits"]["open files"] > 0
    said = "\n".join(report_lines(report))
    assert re.search(r"^  available: [\d.]+ [GM]iB$", said, flags=re.MULTILINE)
    assert str(Path.cwd()) in said


def test_the_report_shows_a_setting_as_the_process_got_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "5")
    assert run_doctor()["settings"]["MALLOC_ARENA_MAX"] == "5"


def test_a_folder_of_kernels_that_does_not_exist_yet_is_judged_by_its_parent(
    tmp_path: Path,
) -> None:
    for folder, writable in ((tmp_path / "not" / "yet", True), (Path("/proc/none"), False)):
        done = subprocess.run(
            [sys.executable, "-m", "headrace", "doctor", "--json"],
            env=os.environ | {"NUMBA_CACHE_DIR": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)["compiled_kernels"]
        assert (Path(found["folder"]).parent, found["writable"]) == (folder, writable)
    assert not list(tmp_path.iterdir())


def test_the_devices_are_those_that_tensorflow_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked here, where TensorFlow is loaded; `make test-wheel` asks by a process."""

    def ask_here(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        with redirect_stdout(StringIO()) as said:
            exec(command[-1], {})
        return subprocess.CompletedProcess(command, 0, said.getvalue(), "")

    monkeypatch.setattr("headrace.pipeline.commands.doctor.subprocess.run", ask_here)
    assert any(line.startswith("CPU ") for line in run_doctor(devices=True)["devices"])
