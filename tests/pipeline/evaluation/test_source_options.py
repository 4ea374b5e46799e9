"""How a source that a run did not see is read, by the options that the run's own had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.pipeline.evaluation.source_options import (
    labelled_options,
    open_as,
    unlabelled_options,
)
from headrace.stores.errors import ConfigError, GroupError, SourceError
from headrace.stores.source.options import SourceOptions
from tests.refusals import refused

pytestmark = pytest.mark.usefixtures("probed_here")
TRAINED = SourceOptions(
    files=["p{subject}_{activity}.csv"],
    label_column="activity",
    signals=["x", "y"],
    class_map={"walk": ["walk*"], "run": ["run"]},
    window_samples=10,
    step_samples=10,
)
NONE = SourceOptions()


def table(path: Path, header: str = "time,x,y") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = np.arange(40) / 20
    rows = np.stack([seconds, np.sin(seconds), np.cos(seconds)], axis=1)
    np.savetxt(path, rows, "%.3f", ",", header=header, comments="")
    return path


def windows(path: Path, given: SourceOptions = NONE) -> int:
    with open_as(path, TRAINED, given, unlabelled_options) as source:
        assert source.spec.shape == (10, 2)
        assert source.spec.rate_hz == 20
        return source.windows


def test_one_file_is_predicted_by_a_run_that_was_trained_on_a_folder(tmp_path: Path) -> None:
    assert windows(table(tmp_path / "new.csv")) == 4


def test_a_folder_is_predicted_whatever_its_files_are_called(tmp_path: Path) -> None:
    table(tmp_path / "a/monday.csv")
    table(tmp_path / "a/tuesday.csv")
    assert windows(tmp_path / "a") == 8
    # Names that fit the run's are taken by them alone.
    table(tmp_path / "a/p1_run.csv")
    assert windows(tmp_path / "a") == 4


def test_a_folder_of_the_same_names_is_scored(tmp_path: Path) -> None:
    for name in ("p7_walking", "p7_run", "p8_walking"):
        table(tmp_path / f"new/{name}.csv")
    with open_as(tmp_path / "new", TRAINED, NONE, labelled_options) as source:
        assert source.classes == ("walk", "run")
        assert source.groups == ("7", "8")
        assert source.windows == 12


def test_labels_that_are_given_stand_in_for_those_of_names(tmp_path: Path) -> None:
    path = table(tmp_path / "new.csv", header="time,x,kind")
    given = SourceOptions(signals="x", labels="kind", split_by_window=True)
    found = labelled_options(TRAINED, given, ())
    assert (found.labels, found.label_column) == ("kind", None)
    with refused(SourceError, "kind"):
        open_as(path, TRAINED, given, labelled_options)


def test_what_the_run_had_and_this_source_lacks_is_named(tmp_path: Path) -> None:
    one = table(tmp_path / "new.csv")
    with refused(GroupError, "new.csv"):
        open_as(one, TRAINED, NONE, labelled_options)
    table(tmp_path / "other/monday.csv")
    with refused(SourceError, "source.files", "p{subject}_{activity}.csv"):
        open_as(tmp_path / "other", TRAINED, NONE, labelled_options)


def test_keys_that_do_not_go_together_are_refused() -> None:
    with refused(ConfigError, "window_s", "window_samples"):
        labelled_options(TRAINED.model_copy(update={"window_s": 1.0}), NONE, ())


@pytest.mark.parametrize(
    "labels",
    [
        {"label_column": "activity"},
        {"intervals": {"file": "marks.csv"}},
        {"labels": "y", "label_every_s": 30.0},
        {"labels_file": "y_{subject}.txt", "label_table": {"file": "names.txt"}},
        {"table": "subjects.csv", "groups": "who"},
        {"groups_file": "who_{subject}.txt"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_whatever_labels_the_run_had_none_is_looked_for(labels: dict[str, Any]) -> None:
    found = unlabelled_options(SourceOptions(**labels), NONE, ())
    assert found.labels == ""
    assert found.groups is None
    assert all(getattr(found, name) is None for name in labels.keys() - {"labels", "groups"})


@pytest.mark.parametrize("header", ["time,y,x", "y,time,x", "time,X,y,x"])
@pytest.mark.parametrize("signals", ["table", ["*"]])
@pytest.mark.parametrize("use", [[], ["!age"]])
def test_channels_are_found_by_their_names(
    header: str, signals: Any, use: list[str], tmp_path: Path
) -> None:
    names = header.split(",")
    rows = np.stack([np.arange(40) / 20 if n == "time" else np.full(40, ord(n)) for n in names], 1)
    np.savetxt(tmp_path / "new.csv", rows, "%.2f", ",", header=header, comments="")
    keys: dict[str, Any] = {"signals": signals, "use_channels": use}
    trained = SourceOptions(**(TRAINED.model_dump(exclude={"signals"}) | keys))
    with open_as(tmp_path / "new.csv", trained, NONE, unlabelled_options, ("x", "y")) as source:
        assert source.spec.channels == ("x", "y")
        assert source.read_windows(0, 1)[0, 0].tolist() == [ord("x"), ord("y")]
