"""A table of intervals beside each recording, found by the fields of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.source.source import Source, open_source
from tests.refusals import refused

NAMED = {"file": "{subject}_{trial}_annotations.csv", "unit": "s"}
FILES = ["{subject}_{trial}.csv"]
TABLES = {"s1_a": "0,4,sit\n4.5,8,walk\n", "s1_b": "1,2.5,7\n", "s2_a": "2,9,sit\n"}


def opened(path: Path, named: dict[str, Any] = NAMED, **options: Any) -> Source:
    given = {"files": FILES, "window_samples": 5, "step_samples": 5, "groups": "subject"}
    return open_source(path, SourceOptions.model_validate(given | {"intervals": named} | options))


def write(folder: Path, tables: dict[str, str] = TABLES) -> None:
    for number, name in enumerate(TABLES):
        rows = [f"{row / 10},{1000 * number + row}" for row in range(100)]
        (folder / f"{name}.csv").write_text("\n".join(["time,x", *rows]) + "\n")
    for name, table in tables.items():
        (folder / f"{name}_annotations.csv").write_text("start,stop,label\n" + table)


def labelled(source: Source) -> dict[int, str]:
    first = source.read_windows(0, source.windows)[:, 0, 0].astype(int)
    label = source.read_labels(0, source.windows).label
    return {
        row: source.classes[code] for row, code in zip(first.tolist(), label.tolist(), strict=True)
    }


def by_hand(tables: dict[str, str]) -> dict[int, str]:
    found = {}
    for number, name in enumerate(TABLES):
        for line in tables.get(name, "").splitlines():
            start, stop, label = line.split(",")
            low, high = round(float(start) * 10), round(float(stop) * 10)
            found |= {1000 * number + row: label for row in range(low, high - 4, 5)}
    return found


@pytest.mark.parametrize("rate_hz", [None, 10.0])
def test_each_recording_has_the_intervals_of_its_table(
    tmp_path: Path, rate_hz: float | None
) -> None:
    write(tmp_path)
    options = {} if rate_hz is None else {"rate_hz": rate_hz, "time": "", "signals": "x"}
    with opened(tmp_path, exclude_labels=["unlabelled"], **options) as source:
        assert labelled(source) == by_hand(TABLES)


def test_tables_that_lack_are_named_or_mean_no_interval(tmp_path: Path) -> None:
    some = {"s1_a": TABLES["s1_a"], "s2_a": ""}
    write(tmp_path, some)
    with refused(SourceError, "s1_b_annotations.csv", "source.intervals.lacking"):
        opened(tmp_path)
    with opened(tmp_path, NAMED | {"lacking": "unlabelled"}, exclude_labels=["unl*"]) as source:
        assert labelled(source) == by_hand(some)
        before = source.fingerprint()
    write(tmp_path, some | {"s1_b": TABLES["s1_b"]})
    with opened(tmp_path, NAMED | {"lacking": "unlabelled"}) as source:
        assert source.fingerprint() != before


def test_a_table_that_changes_makes_another_source(tmp_path: Path) -> None:
    write(tmp_path)
    options = SourceOptions.model_validate({"files": FILES, "intervals": NAMED})
    options = options.model_copy(update={"window_samples": 5, "groups": "subject"})
    with open_stranger(tmp_path, options) as source:
        before = source.fingerprint()
    write(tmp_path, TABLES | {"s2_a": "2,9,run\n"})
    with open_stranger(tmp_path, options) as source:
        assert source.fingerprint() != before
        assert "run" in source.classes


def test_what_is_wrong_in_a_table_is_named_by_its_file_and_row(tmp_path: Path) -> None:
    for wrong, place in (("0,4,sit\n50,60,walk\n", "Row 2"), ("1,5,sit\n4,6,walk\n", "row 2")):
        write(tmp_path, TABLES | {"s2_a": wrong})
        with refused(SourceError, place, "s2_a_annotations.csv"):
            opened(tmp_path)
    (tmp_path / "alone").mkdir()
    write(tmp_path / "alone", {})
    with refused(SourceError, "person", "subject"):
        opened(tmp_path / "alone", NAMED | {"file": "{person}_x.csv"})


def test_the_tables_are_no_recordings(tmp_path: Path) -> None:
    write(tmp_path)
    with opened(tmp_path, NAMED | {"file": "{subject}_annotations.csv"},
                files=["{subject}.csv"]) as source:  # fmt: skip
        assert source.groups == ("s1_a", "s1_b", "s2_a")
