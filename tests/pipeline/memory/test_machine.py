"""What the machine gives: its own figures, and those of real control groups."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.control_groups import memory_cap
from headrace.pipeline.memory import machine
from headrace.pipeline.memory.plan import MIB
from headrace.stores.errors import BudgetError
from tests.pipeline.held import assert_record_of_memory
from tests.refusals import assert_refused

ASK = "from headrace.pipeline.memory import machine; print(machine.{})"


def ask(expression: str, inside: Sequence[str] = ()) -> int:
    command = [*inside, sys.executable, "-c", ASK.format(expression)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@contextlib.contextmanager
def core_quota(cores: float) -> Iterator[list[str]]:
    """The words before a command that runs it in a control group with so many cores' time."""
    group = Path("/sys/fs/cgroup/cpu") / f"headrace-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cpu.cfs_quota_us").write_text(str(int(100_000 * cores)))
    except OSError:
        pytest.skip("no control group for cores may be made here")
    try:
        yield ["sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh"]
    finally:
        group.rmdir()


def test_the_default_budget_is_a_part_of_what_is_available() -> None:
    assert 0 < machine.usable_budget(None) < machine.available_memory() * 1.05
    assert machine.available_memory() <= machine.total_memory()


def test_a_named_budget_is_clamped_to_what_there_is() -> None:
    assert machine.usable_budget(5 * MIB) == 5 * MIB
    assert machine.usable_budget(1 << 60) == machine.total_memory()


def test_the_limit_of_a_control_group_counts(tmp_path: Path) -> None:
    limit = 256 * MIB
    with memory_cap(limit) as cap:
        if not cap.enforced:
            pytest.skip("no control group may be made here")

        total = ASK.format("total_memory()")

        def ask_inside(expression: str) -> int:
            done = cap.run([sys.executable, "-c", ASK.format(expression)])
            return int(done.stdout)

        assert ask_inside("total_memory()") == limit
        assert ask_inside(f"usable_budget({limit})") == limit
        assert ask_inside(f"usable_budget({limit - 1})") == limit - 1
        assert ask_inside("usable_budget(1 << 40)") == limit
        assert 0.5 * limit < ask_inside("usable_budget(None)") < 0.75 * limit
        # Two caps at a time are two groups.
        with memory_cap(limit // 2) as other:
            assert other.enforced
            assert int(other.run([sys.executable, "-c", total]).stdout) == limit // 2
        # What files leave in the page cache is given back when asked for: it takes no room.
        cap.run(["dd", "if=/dev/zero", f"of={tmp_path / 'file'}", "bs=1M", "count=200"])
        assert ask_inside("available_memory()") > 0.8 * limit
        assert 150 * MIB < ask_inside("page_cache()") <= limit
        # What stands in shared memory is not given back.
        shared = "import mmap; held = mmap.mmap(-1, 100 << 20); held.write(bytes(100 << 20)); "
        room = cap.run([sys.executable, "-c", shared + ASK.format("available_memory()")])
        assert int(room.stdout) < limit - 100 * MIB


def test_a_stage_whose_plan_is_the_limit_itself_is_accepted(
    tiny_source: Path, tmp_path: Path
) -> None:
    given = ("--json", "--data", str(tiny_source), "--store", str(tmp_path / "t.zarr"), "--budget")
    with memory_cap(512 * MIB) as cap:
        done = cap.run([sys.executable, "-m", "headrace", "features", *given, "512MiB"])
        assert done.returncode == 0, done.stderr
        memory = assert_record_of_memory(tmp_path / "t.zarr.memory.json")
        assert memory["budget"] == 512 * MIB
        if cap.enforced:
            assert 0 < memory["page_cache_peak"] <= 512 * MIB


@pytest.mark.faults
def test_a_budget_above_the_limit_is_refused_with_the_limit(
    tiny_source: Path, tmp_path: Path
) -> None:
    given = ("--data", str(tiny_source), "--store", str(tmp_path / "t.zarr"), "--budget", "8GiB")
    with memory_cap(512 * MIB) as cap:
        if not cap.enforced:
            pytest.skip("no control group may be made here")
        named = cap.run([sys.executable, "-m", "headrace", "plan", *given])
    # Its networks need more.
    assert_refused(named.stderr, BudgetError, "memory.budget", "512 MiB")


def test_a_quota_of_cores_counts() -> None:
    allowed = len(os.sched_getaffinity(0))
    assert machine.usable_cores() <= allowed
    with core_quota(0.5) as inside:
        assert ask("usable_cores()", inside) == 1
    with core_quota(1.5) as inside:
        assert ask("usable_cores()", inside) == min(2, allowed)
    with core_quota(allowed + 7) as inside:
        assert ask("usable_cores()", inside) == allowed
