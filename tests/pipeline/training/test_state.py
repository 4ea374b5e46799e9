"""The state that a training is resumed from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headrace.pipeline.training.state import Progress, TrainingState, read_state, write_state
from headrace.stores.errors import RunError
from tests.refusals import refused


def state() -> TrainingState:
    row = {"epoch": 1.0, "loss": 0.1 + 0.2, "val_loss": 1 / 3}
    variables = [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(7, dtype=np.int64),
        np.array([1, 2**32 - 1], dtype=np.uint32),
        *[np.full(2, number, dtype=np.float32) for number in range(12)],
    ]
    return TrainingState(Progress(epoch=1, step=3, best_epoch=0, history=[row]), variables, [])


def test_a_state_reads_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "state" / "state.npz"
    wanted = state()
    write_state(path, wanted)
    found = read_state(path)
    assert found is not None
    assert found.progress == wanted.progress
    assert len(found.variables) == len(wanted.variables)
    for got, expected in zip(found.variables, wanted.variables, strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected, strict=True)
    assert found.best == []


def test_no_state_is_none(tmp_path: Path) -> None:
    assert read_state(tmp_path / "state.npz") is None


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut short"])
def test_a_damaged_state_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with refused(RunError, "state.npz", "--new"):
        read_state(path)


def test_stale_epochs_count_from_the_best() -> None:
    assert Progress(epoch=5, best_epoch=4).stale_epochs == 0
    assert Progress(epoch=5, best_epoch=1).stale_epochs == 3
