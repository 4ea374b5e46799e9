"""Files of every format that were damaged by chance: a right answer, or an error of the user's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.stores.source.bad import damage
from tests.stores.source.bad.damage import CRASHES, FILES, ask_all, damaged

SEEDS = 12
HERE = [name for name in FILES if name not in CRASHES]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HERE)
def test_a_damaged_file_is_refused_or_read(name: str, tmp_path: Path) -> None:
    file, write = FILES[name]
    path = tmp_path / file
    write(path)
    content = path.read_bytes()
    assert ask_all(path, "a" if name == "records" else "array") == "read"
    for seed in range(SEEDS):
        path.write_bytes(damaged(content, seed))
        ask_all(path)


def fuzz(folder: Path, names: Sequence[str], seeds: int) -> int:
    """Damage files in child processes; returns how many of them ended one."""
    cases = [(name, seed) for name in names for seed in range(seeds)]
    ended = 0
    while cases:
        child = subprocess.run(
            [sys.executable, "-m", damage.__name__, str(folder), json.dumps(cases)],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[4],
        )
        last = child.stdout.strip().rpartition("\n")[2]
        if last == "done":
            break
        assert child.returncode < 0, f"{cases[int(last)]}: {child.stderr[-2000:]}"
        ended, cases = ended + 1, cases[int(last) + 1 :]
    return ended


def test_what_may_end_a_process_ends_a_child_alone(tmp_path: Path) -> None:
    fuzz(tmp_path, ("parquet", "hdf5"), 3)


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_a_thousand_damaged_files_of_each_format_are_refused_or_read(tmp_path: Path) -> None:
    print(fuzz(tmp_path, list(FILES), 1000), "ended their process")
