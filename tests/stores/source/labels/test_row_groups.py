"""A column of one name a row says whose rows are: recordings end where it changes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.stores.errors import GroupError, SourceError
from headrace.stores.source import names
from headrace.stores.source.derived.held import HeldArray
from headrace.stores.source.labels.row_groups import cut_by_names
from headrace.stores.source.names import NameColumn
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused

WHO = np.repeat(["b", "a", "b", "c"], [50, 30, 40, 60])


def write(path: Path, **more: object) -> None:
    with h5py.File(path, "w") as file:
        file["signals"] = np.arange(2.0 * len(WHO)).reshape(-1, 2)
        file["labels"] = np.arange(len(WHO)) // 5 % 2
        file["who"] = WHO.astype("S")
        file.attrs["sampling_rate_hz"] = 10.0
        for name, values in more.items():
            file[name.replace("__", "/")] = values


def options(**more: object) -> SourceOptions:
    given = {"window_samples": 10, "step_samples": 10, "label_rule": "majority", "groups": "who"}
    return SourceOptions.model_validate(given | more)


def test_no_window_joins_rows_of_two_people(tmp_path: Path) -> None:
    write(tmp_path / "s.h5")
    with open_source(tmp_path / "s.h5", options()) as source:
        assert source.groups == ("a", "b", "c")
        assert source.windows == 5 + 3 + 4 + 6
        recording, row = source.locate(0, source.windows)
        assert recording.tolist() == [0] * 5 + [1] * 3 + [2] * 4 + [3] * 6
        named = np.array(source.groups)[source.read_labels(0, source.windows).group]
        assert named.tolist() == WHO[row].tolist() == WHO[row + 9].tolist()
        values = source.read_windows(0, source.windows)
        np.testing.assert_array_equal(values[:, 0, 0], 2 * row)


def test_a_column_a_row_cuts_the_recordings_of_a_table_too(tmp_path: Path) -> None:
    table = {"recordings__start": [0, 60], "recordings__length": [60, 120]}
    write(tmp_path / "s.h5", **table)
    with open_source(tmp_path / "s.h5", options()) as source:
        assert source.windows == 5 + 1 + 2 + 4 + 6
    write(tmp_path / "s.h5", **table, recordings__who=[1, 2])
    with open_source(tmp_path / "s.h5", options()) as source:
        assert source.groups == ("1", "2")
        assert source.windows == 6 + 12


def test_without_a_table_the_signals_are_one_recording(tmp_path: Path) -> None:
    write(tmp_path / "s.h5")
    with open_source(tmp_path / "s.h5", options(groups=None, split_by_window=True)) as source:
        assert source.windows == 18
    for wrong, kind in (({"groups": None}, GroupError), ({"groups": "gone"}, SourceError)):
        with refused(kind, "source.groups"):
            open_source(tmp_path / "s.h5", options(**wrong))
    with refused(SourceError, "source.label_column", "source.labels"):
        open_source(tmp_path / "s.h5", options(label_column="who"))


def test_times_begin_again_with_each_person(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", time=np.concatenate([np.arange(n) / 10 for n in (50, 30, 40, 60)]))
    with open_source(tmp_path / "s.h5", options()) as source:
        assert source.windows == 5 + 3 + 4 + 6
        assert source.spec.rate_hz == 10


def test_a_part_a_row_is_an_official_split(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", split=np.where(WHO == "c", "test", "train").astype("S"))
    with open_source(tmp_path / "s.h5", options()) as source:
        assert source.parts == ("train", "test")
        part = source.read_labels(0, source.windows).part
        assert part.tolist() == [0] * 12 + [1] * 6


@settings(max_examples=60)
@given(
    rows=st.lists(st.integers(0, 2), min_size=1, max_size=60),
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=5),
    size=st.integers(1, 9),
)
def test_pieces_are_those_of_every_row(rows: list[int], lengths: list[int], size: int) -> None:
    total = sum(lengths)
    who = np.array((rows * (total // len(rows) + 1))[:total], np.int64)
    start = np.cumsum([0, *lengths[:-1]])
    column = NameColumn(HeldArray("who", "a test", who), "groups")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "SLICE_ROWS", size)
        found, length, owner, codes = cut_by_names(start, np.array(lengths), [column])
    seen = []
    for first, count, recording, code in zip(found, length, owner, codes[0], strict=True):
        assert count > 0
        seen += [(row, recording, column.names[code]) for row in range(first, first + count)]
    own = np.repeat(np.arange(len(lengths)), lengths)
    assert seen == [(row, own[row], str(who[row])) for row in range(total)]
    same = (np.diff(owner) == 0) & (np.diff(codes[0]) == 0)
    assert not same.any()
