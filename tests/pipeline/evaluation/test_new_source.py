"""The evaluate stage on a labelled source that the run did not see."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.config import Config
from headrace.pipeline.evaluation.predictor import load_model
from headrace.pipeline.features.stage import run_features
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.training.stage import run_train
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.store import open_store
from tests.conftest import changed, hashes, request_for
from tests.in_process import tasks_here

pytestmark = pytest.mark.usefixtures("made_here")


@pytest.fixture
def run(cheap_run: RunFolder) -> RunFolder:
    """An evaluated run, which knows its source."""
    return cheap_run


@pytest.fixture
def source(run: RunFolder) -> Path:
    """The source that the run records."""
    return run.path.with_name("known.h5")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other windows of other people, in which the network errs."""
    path = tmp_path_factory.mktemp("other") / "other.h5"
    write_synthetic(path, windows=300, time=64, channels=3, groups=7, seed=5)
    with h5py.File(path, "r+") as file:
        file["X"][...] = file["X"][...] + np.random.default_rng(1).normal(
            0, 2, file["X"].shape
        ).astype(file["X"].dtype)
    return path


def own_files(run: RunFolder) -> dict[str, str]:
    """Digests of all but the reports on other sources."""
    found = hashes(run.path)
    return {name: each for name, each in found.items() if not name.startswith("sources/")}


def evaluate(
    capsys: pytest.CaptureFixture[str], run: RunFolder, source: Path, *more: str
) -> dict[str, Any]:
    """The result of a command that must leave the run's own files as they are."""
    before = own_files(run)
    arguments = ["evaluate", "--json", "--run", str(run.path), "--data", str(source)]
    assert main([*arguments, *more]) == 0
    assert own_files(run) == before
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture(scope="module")
def scored(cheap_run: RunFolder, other: Path) -> dict[str, Any]:
    """The result of the command on `other`, which left the run's own files as they were."""
    before, said = own_files(cheap_run), StringIO()
    with tasks_here(), redirect_stdout(said):
        assert main(["evaluate", "--json", "--run", str(cheap_run.path), "--data", str(other)]) == 0
    assert own_files(cheap_run) == before
    found: dict[str, Any] = json.loads(said.getvalue())
    return found


def refused(capsys: pytest.CaptureFixture[str], run: RunFolder, source: Path, *more: str) -> str:
    """The one line that refuses it; nothing was written into the run."""
    before = hashes(run.path)
    assert main(["evaluate", "--run", str(run.path), "--data", str(source), *more]) == 2
    assert hashes(run.path) == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_scores_are_those_of_what_predict_says_of_the_same_windows(
    run: RunFolder, other: Path, scored: dict[str, Any], tmp_path: Path
) -> None:
    found, output = scored, tmp_path / "p.parquet"
    arguments = ["--run", str(run.path), "--data", str(other), "--output", str(output)]
    assert main(["predict", "--quiet", *arguments]) == 0
    said = pd.read_parquet(output)["class"].astype(str).to_numpy()
    with h5py.File(other) as file:
        labelled = file["classes"].asstr()[:][file["y"][:]]
    own = json.loads(run.metrics.read_text())["plain"]
    assert found["source"] == str(other)
    assert found["plain"]["windows"] == 300
    assert found["plain"]["accuracy"] == (said == labelled).mean()
    assert found["plain"]["accuracy"] != own["accuracy"]
    for name, each in found["plain"]["per_class"].items():
        assert each["windows"] == (labelled == name).sum()
    assert len(found["plain"]["per_group"]) == 7
    assert set(found["plain"]["intervals"]) == {"accuracy", "macro_f1", "balanced_accuracy"}
    assert 0 < found["memory"]["projected"] <= found["memory"]["budget"]


def test_recordings_are_cut_into_windows_as_the_runs_were(
    cheap_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"window_samples": 64, "step_samples": 32}
    config = changed(cheap_config, source=source, train={"epochs": 1})
    stored = {}
    for name, seed in (("old", 0), ("new", 9)):
        data, store = tmp_path / f"{name}.h5", tmp_path / f"{name}.zarr"
        write_synthetic(
            data, windows=300, time=64, channels=3, groups=5, layout="recordings", seed=seed
        )
        run_features(request_for(config, data, store))
        stored[name] = open_store(store)
    run = RunFolder(tmp_path / "run")
    run_train(request_for(config, tmp_path / "old.h5", tmp_path / "old.zarr", run.path))
    plain = evaluate(capsys, run, tmp_path / "new.h5")["plain"]
    store = stored["new"]
    rows = store.read_many(["features", "label"], [(0, store.windows)])
    probability = load_model(run.model).predict({"features": rows["features"]}, verbose=0)
    assert plain["windows"] == store.windows
    assert plain["accuracy"] == pytest.approx((probability.argmax(1) == rows["label"]).mean())


def test_the_source_of_the_runs_own_store_means_its_test_folds(
    run: RunFolder, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = json.loads(run.metrics.read_text())
    copy = tmp_path / "renamed.h5"
    shutil.copy(source, copy)
    for known in (source, copy):
        found = evaluate(capsys, run, known)
        assert found["run"] == str(run.path)
        assert found["plain"]["accuracy"] == own["plain"]["accuracy"]
        assert found["tta"]["accuracy"] == own["tta"]["accuracy"]


def test_another_content_at_the_path_that_the_run_records_is_scored(
    run: RunFolder, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "run" in evaluate(capsys, run, source)
    kept = shutil.copy(source, tmp_path / "kept.h5")
    try:
        with h5py.File(source, "r+") as file:
            file["X"][...] = file["X"][()][::-1]
        assert evaluate(capsys, run, source)["source"] == str(source)
    finally:
        shutil.copy(kept, source)


def edited(source: Path, copy: Path, *gone: str) -> Path:
    shutil.copy(source, copy)
    with h5py.File(copy, "r+") as file:
        for name in gone:
            del file[name]
    return copy


def test_a_source_without_labels_is_refused_and_predict_is_named(
    run: RunFolder, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for gone in (("y",), ("y", "groups")):
        said = refused(capsys, run, edited(other, tmp_path / "bare.h5", *gone))
        assert "bare.h5" in said
        assert "source.labels" in said
        assert f"headrace predict --run {run.path}" in said


def test_a_source_without_groups_has_scores_without_intervals(
    run: RunFolder,
    other: Path,
    scored: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    grouped = scored["plain"]
    alone = evaluate(capsys, run, edited(other, tmp_path / "alone.h5", "groups"))["plain"]
    assert alone["accuracy"] == grouped["accuracy"]
    assert alone["confusion"] == grouped["confusion"]
    assert alone["intervals"] == {}


def test_classes_are_matched_by_name_and_an_unknown_one_is_named(
    run: RunFolder,
    other: Path,
    scored: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = scored["plain"]
    names = list(whole["per_class"])
    with h5py.File(other) as file:
        label = file["y"][:]
    assert label.dtype.kind in "iu"
    turned = edited(other, tmp_path / "turned.h5", "y")
    words = [names[k] for k in label]
    with h5py.File(turned, "r+") as file:
        file["y"] = words
    assert evaluate(capsys, run, turned)["plain"]["confusion"] == whole["confusion"]
    strange = edited(turned, tmp_path / "strange.h5", "y")
    with h5py.File(strange, "r+") as file:
        file["y"] = ["juggling" if word == names[1] else word for word in words]
    assert "source.classes" in refused(capsys, run, strange)  # Its list of classes lacks it.
    with h5py.File(strange, "r+") as file:
        del file["classes"]
    said = refused(capsys, run, strange)
    assert "juggling" in said
    assert "source.exclude_labels" in said
    left = evaluate(capsys, run, strange, "--set", 'source.exclude_labels=["juggling"]')["plain"]
    assert left["absent_classes"] == [names[1]]
    assert left["windows"] == whole["windows"] - whole["per_class"][names[1]]["windows"]


def test_what_does_not_fit_the_network_or_the_budget_is_refused(
    run: RunFolder, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = edited(other, tmp_path / "quick.h5")
    with h5py.File(quick, "r+") as file:
        for node in (file, file["X"]):
            if "sampling_rate_hz" in node.attrs:
                node.attrs["sampling_rate_hz"] = 400.0
    assert "400 Hz" in refused(capsys, run, quick)
    assert "needs" in refused(capsys, run, other, "--budget", "100MiB")
    assert "--baseline" in refused(capsys, run, other, "--baseline")
    assert re.search(r"gone\.h5 does not exist", refused(capsys, run, tmp_path / "gone.h5"))


def test_only_so_many_windows_are_scored_as_are_asked_for(
    run: RunFolder, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        evaluate(capsys, run, other, "--set", "evaluate.max_windows=70")["plain"]["windows"] == 70
    )


def test_each_source_has_a_report_of_its_own(
    run: RunFolder, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(capsys, run, other)
    page = Path(found["report"])
    first = page.read_bytes()
    assert json.loads(page.with_suffix(".json").read_text())["plain"] == found["plain"]
    names = list(found["plain"]["per_class"])
    fewer = edited(other, tmp_path / "fewer.h5")
    with h5py.File(fewer, "r+") as file:
        file["y"][file["y"][:] == 1] = 0
    lacking = evaluate(capsys, run, fewer)
    assert lacking["plain"]["absent_classes"] == [names[1]]
    second = Path(lacking["report"]).read_text()
    assert f"has the label {names[1]}" in second
    assert page.read_bytes() == first
    copy = edited(other, tmp_path / "other.h5")
    assert evaluate(capsys, run, copy)["report"] == found["report"]
    assert evaluate(capsys, run, other)["report"] == found["report"]
    assert page.read_bytes() == first


def test_the_report_shows_what_the_runs_own_shows_and_needs_no_other_file(
    run: RunFolder, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(capsys, run, other)["plain"]
    page = run.path / "sources"
    (text,) = (each.read_text() for each in page.glob("*.html") if f"{other}," in each.read_text())
    assert not re.search(r'(src|href)="(?!data:)', text)
    for title in ("confusion matrix", "scores of each class", "scores of each group"):
        assert f'alt="{title}' in text
    assert 'alt="accuracy over confidence"' in text
    assert 'alt="the windows of these mistakes"' in text
    low, high = (100 * edge for edge in found["intervals"]["accuracy"])
    assert f"{100 * found['accuracy']:.2f} % [{low:.1f}, {high:.1f}]" in text
    for name, group in found["per_group"].items():
        assert f"<td>{name}</td><td>{group['windows']}</td>" in text
    for mistake in found["mistakes"]:
        assert f"<td>{mistake['source_index']}</td>" in text
    assert f"headrace evaluate --run {run.path} --data {other}" in text
    alone = edited(other, tmp_path / "alone.h5", "groups")
    bare = Path(evaluate(capsys, run, alone)["report"]).read_text()
    assert "source.groups" in bare
    assert "scores of each group" not in bare


def test_the_report_goes_where_it_is_asked_for(
    run: RunFolder,
    other: Path,
    tiny_source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, page = hashes(run.path), tmp_path / "new" / "other.html"
    assert evaluate(capsys, run, other, "--output", str(page))["report"] == str(page)
    assert hashes(run.path) == before
    assert "<h1>" in page.read_text()
    said = refused(capsys, run, other, "--output", str(tmp_path / "other.pdf"))
    assert "--output" in said
    assert "--output" in refused(capsys, run, tiny_source, "--output", str(page))


def test_a_run_that_cannot_be_written_gives_scores_all_the_same(
    run: RunFolder, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = RunFolder(tmp_path / "kept")
    shutil.copytree(run.path, kept.path, ignore=shutil.ignore_patterns("sources"))
    (kept.path / "sources").touch()
    found = evaluate(capsys, kept, other)
    assert found["report"] is None
    assert found["plain"]["windows"] == 300
    arguments = ["evaluate", "--run", str(kept.path), "--data", str(other)]
    assert main(arguments) == 0
    assert "--output" in capsys.readouterr().out
    blocked = str(kept.path / "sources" / "page.html")
    assert main([*arguments, "--output", blocked]) == 2
