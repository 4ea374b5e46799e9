"""Ctrl-C and SIGTERM at any moment: one line, exit code 130 or 143. Long: make test-faults."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.control_groups import ControlGroup, cpu_quota
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_bytes
from headrace.pipeline.evaluation.stage import run_evaluate
from headrace.pipeline.experiments.crossval import run_crossval
from headrace.pipeline.process.interrupts import ENDING
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.stage import run_train
from tests.conftest import changed, hashes, request_for
from tests.pipeline.faults import (
    INTERRUPTIBLE,
    answers_signals,
    assert_ended_by,
    last_line,
    send,
)
from tests.pipeline.trained import assert_same_model, assert_same_result

BEGIN = (
    "import os, signal, subprocess, sys, time\nfrom headrace.pipeline.process import interrupts\n"
)
CAUGHT = BEGIN + "interrupts.catch()\n"
COMMAND = (
    BEGIN + "from headrace.pipeline import launch\nfrom headrace.pipeline.cli import commands\n"
)
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that no shell has told to ignore Ctrl-C."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTIBLE + code, *arguments],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def assert_said(done: subprocess.CompletedProcess[str], number: signal.Signals) -> None:
    assert (done.returncode, done.stderr) == (128 + number, last_line(number))


def in_a_command(body: str) -> str:
    """A script whose command `doctor` runs `body`."""
    indented = body.replace("\n", "\n    ")
    return (
        COMMAND
        + "interrupts.GRACE_SECONDS = 500\n"
        + f"def body(options):\n    {indented}\n    return {{}}\n"
        + "commands.doctor = body\n"
        + "sys.argv[1:] = ['doctor']; os.environ[launch.MARKER] = '1'\n"
        + "launch.main()\n"
    )


@pytest.mark.parametrize("number", sorted(ENDING))
def test_a_signal_during_the_restart_and_the_imports_is_answered(number: signal.Signals) -> None:
    early = f"{BEGIN}from headrace.pipeline import launch; launch.hold_signals()\n"
    early += f"os.kill(os.getpid(), {number:d}); launch.main()\n"
    assert_said(run(early, "plan"), number)
    late = CAUGHT + f"os.kill(os.getpid(), {number:d})\nwhile True: pass"
    assert_said(run(late), number)


@pytest.mark.parametrize("number", sorted(ENDING))
def test_a_signal_in_a_command_unwinds_it(number: signal.Signals) -> None:
    body = (
        f"try:\n    os.kill(os.getpid(), {number:d}); time.sleep(600)\n"
        "finally:\n    print('closed', flush=True); print('noise', file=sys.stderr, flush=True)"
    )
    done = run(in_a_command(body))
    assert_said(done, number)
    assert done.stdout == "closed\n"


def test_what_a_library_makes_of_a_signal_counts_as_the_signal() -> None:
    """As a module in C that is being started does."""
    body = (
        "try:\n    os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)\n"
        "except BaseException as error:\n    raise ImportError('initialization failed') from error"
    )
    assert_said(run(in_a_command(body)), signal.SIGTERM)


def test_an_exception_that_is_dropped_is_raised_again() -> None:
    body = (
        "class Dropped:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT); sum(range(100))\n"
        "Dropped()\n"
        "print('dropped', flush=True)\n"
        "time.sleep(600)"
    )
    done = run(in_a_command(body))
    assert_said(done, signal.SIGINT)
    assert done.stdout == "dropped\n"


def test_a_command_that_does_not_end_is_ended_with_what_it_started() -> None:
    body = (
        "interrupts.GRACE_SECONDS = 0.2\n"
        f"child = subprocess.Popen({SLEEP!r}, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "while True:\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)\n"
        "    except BaseException:\n        time.sleep(600)"
    )
    done = run(in_a_command(body))
    assert_said(done, signal.SIGTERM)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(timeout=1800)


def test_a_second_signal_ends_a_command_that_takes_its_time() -> None:
    body = (
        "interrupts.IMPATIENT_SECONDS = 0\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT); time.sleep(600)\n"
        "finally:\n    time.sleep(0.1); os.kill(os.getpid(), signal.SIGINT); time.sleep(600)"
    )
    assert_said(run(in_a_command(body)), signal.SIGINT)


def test_a_signal_is_held_until_what_starts_has_a_name() -> None:
    body = (
        "with interrupts.held({signal.SIGINT}):\n"
        "    os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.2)\n"
        "    print('started', flush=True)\n"
        "print('gone on', flush=True)"
    )
    done = run(in_a_command(body))
    assert_said(done, signal.SIGTERM)
    assert done.stdout == "started\n"


def test_a_signal_after_the_end_changes_nothing() -> None:
    code = CAUGHT + "interrupts.settle(0); os.kill(os.getpid(), signal.SIGTERM)\n"
    done = run(code + "time.sleep(0.5); sys.exit(0)")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_while_the_process_ends_changes_nothing() -> None:
    late = "atexit.register(lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(0.5)))"
    done = run(in_a_command(f"import atexit; {late}"))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_ran_before_is_not_ended() -> None:
    """As a shell leaves it that becomes the command, or that reads its output."""
    quiet = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    code = (
        f"{BEGIN}print(subprocess.Popen({SLEEP!r}, {quiet}).pid, flush=True)\ninterrupts.catch()\n"
    )
    done = run(code + "os.kill(os.getpid(), signal.SIGTERM)\nwhile True: pass")
    assert_said(done, signal.SIGTERM)
    stranger = psutil.Process(int(done.stdout))
    assert stranger.status() != psutil.STATUS_ZOMBIE
    stranger.kill()


def test_a_command_without_standard_error_is_ended_too() -> None:
    body = (
        "interrupts.GRACE_SECONDS = 0.2\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)\n"
        "except BaseException:\n    time.sleep(600)"
    )
    command = [sys.executable, "-c", INTERRUPTIBLE + in_a_command(body)]
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], timeout=1800, check=False)
    assert done.returncode == 143


def test_a_part_that_is_interrupted_while_it_starts_ends_first() -> None:
    part = CAUGHT + "while True: time.sleep(1)"
    body = (
        "from headrace.pipeline.process.parts import run_part\n"
        "start, started = subprocess.Popen, []\n"
        "def start_and_stop(*given, **options):\n"
        "    started.append(start(*given, **options))\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return started[0]\n"
        "subprocess.Popen = start_and_stop\n"
        f"try:\n    run_part([sys.executable, '-c', {part!r}])\n"
        "finally:\n    print(started[0].poll(), flush=True)"
    )
    done = run(in_a_command(body))
    assert_said(done, signal.SIGTERM)
    assert done.stdout == "143\n"


def test_ctrl_c_stays_ignored_where_a_shell_ignores_it() -> None:
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + CAUGHT
    assert run(code + "os.kill(os.getpid(), signal.SIGINT); time.sleep(0.5)").returncode == 0


def test_a_part_of_a_command_ends_without_a_word_of_its_own() -> None:
    part = CAUGHT + "print('begun', flush=True)\nwhile True: time.sleep(1)"
    body = (
        "from headrace.pipeline.process.parts import run_part\n"
        "import threading\n"
        f"code = {INTERRUPTIBLE + part!r}\n"
        # Ctrl-C reaches the whole process group, from the part's very start on.
        "threading.Timer(0.3, os.killpg, (os.getpgrp(), signal.SIGINT)).start()\n"
        "run_part([sys.executable, '-c', code])"
    )
    child = subprocess.run(
        [sys.executable, "-c", INTERRUPTIBLE + in_a_command(body)],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
        start_new_session=True,
    )
    assert_said(child, signal.SIGINT)


# ---- whole stages, ended at random moments of their lives, on processors of any speed ----

QUOTAS = (20, 50, 100)
"""Percent of a core that a stage and all its processes get."""


@dataclass(frozen=True)
class Stage:
    """A stage to end again and again.

    Attributes:
        times: endings at each quota.
        command: of the stage, below a folder of its own.
        check: what is always true of that folder, and what when the stage has `ended`.
        begin: puts there what the stage begins with.
    """

    times: int
    command: Callable[[Path], Sequence[str]]
    check: Callable[[Path, bool], None]
    begin: Callable[[Path], None] = lambda folder: None


@pytest.fixture(scope="module")
def stages(
    tiny_config: Config,
    tiny_source: Path,
    tiny_store: Path,
    cheap_config: Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Stage]:
    """Each is compared with one that nothing ended."""
    whole = tmp_path_factory.mktemp("whole")
    brief = changed(cheap_config, train={"state_steps": 1}, split={"folds": 3})
    trained = RunFolder(whole / "run")
    run_train(request_for(brief, None, tiny_store, trained.path))
    run_evaluate(request_for(brief, None, tiny_store, trained.path))
    scores = trained.metrics.read_bytes()
    run_crossval(request_for(brief, tiny_store, tiny_store, whole / "cv"))
    folds = json.loads((whole / "cv" / "crossval.json").read_text())

    def stage(name: str, config: Config, *options: Any) -> Callable[[Path], Sequence[str]]:
        file = whole / f"{name}.toml"
        file.write_bytes(config_bytes(config))
        return lambda folder: (
            *(name, "--quiet", "--config", str(file)),
            *(str(each(folder)) if callable(each) else str(each) for each in options),
        )

    def store(folder: Path, ended: bool) -> None:
        target = folder / "tiny.zarr"
        assert not ended or target.exists()
        assert not target.exists() or hashes(target) == hashes(tiny_store)

    def run_of(folder: Path, ended: bool) -> None:
        found = RunFolder(folder / "run")
        assert not ended or found.complete
        if ended:
            assert_same_result(found, trained)
        elif found.complete:
            assert_same_model(found, trained)

    def scored(folder: Path, ended: bool) -> None:
        found = RunFolder(folder / "run").metrics
        assert not ended or found.exists()
        assert not found.exists() or found.read_bytes() == scores

    def unscored(folder: Path) -> None:
        shutil.copytree(trained.path, folder / "run")
        RunFolder(folder / "run").metrics.unlink()

    def crossed(folder: Path, ended: bool) -> None:
        found = folder / "cv" / "crossval.json"
        assert not ended or found.exists()
        if found.exists():
            result = json.loads(found.read_text())
            for one, two in zip(result.pop("folds"), folds["folds"], strict=True):
                assert one | {"run": ""} == two | {"run": ""}
            assert result == {key: each for key, each in folds.items() if key != "folds"}

    def run_path(folder: Path) -> Path:
        return folder / "run"

    return {
        "features": Stage(
            100,
            stage(
                "features",
                tiny_config,
                *("--data", tiny_source, "--store", lambda folder: folder / "tiny.zarr"),
            ),
            store,
        ),
        "train": Stage(34, stage("train", brief, "--store", tiny_store, "--run", run_path), run_of),
        "evaluate": Stage(
            34, stage("evaluate", brief, "--store", tiny_store, "--run", run_path), scored, unscored
        ),
        "crossval": Stage(
            34,
            stage("crossval", brief, "--store", tiny_store, "--run", lambda folder: folder / "cv"),
            crossed,
        ),
    }


CHECKING = threading.Lock()


@dataclass
class Life:
    """Endings of a stage in one control group, one after another."""

    stage: Stage
    folder: Path
    group: ControlGroup
    chance: random.Random

    def started(self) -> subprocess.Popen[str]:
        code = f"{INTERRUPTIBLE}from headrace.pipeline.launch import main; main()"
        command = [sys.executable, "-c", code, *self.stage.command(self.folder)]
        return subprocess.Popen(
            self.group.inside(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.stage.begin(self.folder)

    def check(self, ended: bool) -> None:
        # Python 3.11 parses no two sources at a time (gh-106905), and Keras does when it loads.
        with CHECKING:
            self.stage.check(self.folder, ended)

    def whole(self) -> float:
        """Run to the end; returns the seconds it took."""
        begun, process = time.monotonic(), self.started()
        _, errors = process.communicate(timeout=1800)
        assert process.returncode == 0, errors
        self.check(True)
        return time.monotonic() - begun

    def end(self, number: signal.Signals, most: float) -> int:
        """End it at a random moment within `most` seconds; returns its exit code."""
        process, begun = self.started(), time.monotonic()
        moment = begun + self.chance.uniform(0, most)
        answers = False
        while time.monotonic() < moment and process.poll() is None:
            answers = answers or answers_signals(process)
            time.sleep(0.002)
        answers = answers or answers_signals(process)
        send(process, number, group=self.chance.random() < 0.5)
        _, errors = process.communicate(timeout=1800)
        if answers:
            assert_ended_by(process.returncode, errors, number)
        else:
            assert process.returncode in (0, -number) or "pipeline" not in errors, errors
        self.group.wait_until_empty()
        self.check(process.returncode == 0)
        return process.returncode

    def endings(self, times: int) -> int:
        """Begin again whenever it has come to its end; returns how often a signal ended it."""
        ended, signals = 0, sorted(ENDING)
        self.begin()
        most = 1.1 * self.whole()
        self.begin()
        for number in range(times):
            how = signals[number % 2]
            code = self.end(how, most)
            ended += code == 128 + how
            if code == 0:
                self.begin()
        self.whole()
        return ended


@pytest.fixture
def groups() -> Iterator[Callable[[int], ControlGroup]]:
    """Makes control groups that a share of a core is left to; root may."""
    made = []

    def make(percent: int) -> ControlGroup:
        made.append(cpu_quota(percent))
        group = made[-1].__enter__()
        if not group.enforced:
            pytest.skip("only root makes a control group")
        return group

    yield make
    for each in reversed(made):
        each.__exit__(None, None, None)


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("quota", QUOTAS)
@pytest.mark.parametrize("name", ["features", "train", "evaluate", "crossval"])
def test_a_stage_ended_at_any_moment_on_any_processor_says_one_line(
    name: str,
    quota: int,
    stages: dict[str, Stage],
    groups: Callable[[int], ControlGroup],
    tmp_path: Path,
) -> None:
    side_by_side = 100 * len(os.sched_getaffinity(0)) // quota
    stage, lives = stages[name], []
    for number in range(side_by_side):
        chance = random.Random(f"{name} {quota} {number}")
        lives.append(Life(stage, tmp_path / f"{number}", groups(quota), chance))
    times = -(-stage.times // side_by_side)
    with ThreadPoolExecutor(side_by_side) as pool:
        ended = sum(pool.map(lambda life: life.endings(times), lives))
    print(f"{name} at {quota} %: {side_by_side * times} endings, {ended} by the signal")
    assert ended > stage.times // 10
