"""A store that grew as people see it: windows, tables, labelled arrays, HTML and plots."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from headrace import stores
from headrace.stores.views.describe import describe_store
from headrace.stores.views.notebook import NotebookStore
from tests.stores.views.test_views import Seen


@pytest.fixture(scope="session")
def grown(grown_path: Path) -> NotebookStore:
    return stores.open(grown_path)


def test_a_window_says_which_part_it_stands_in(grown: NotebookStore) -> None:
    for row, part in ((0, 0), (351, 0), (352, 1), (526, 1), (527, 2), (-1, 2)):
        window = grown.window(row)
        at = window.row
        assert (window.part, at) == (part, row % 596)
        raw = grown.read("raw", at, at + 1)[0] * np.array(grown.spec.scale)
        np.testing.assert_allclose(window.raw, raw)
        fold = grown.fold(window.fold)
        assert any(start <= at < stop for start, stop in fold.ranges)
        assert grown.groups.index(window.group) in fold.groups
        alone = stores.open(grown.parts[part].path, parts=1)
        own = alone.window(at - grown.part_starts[part])
        assert (own.label, own.group, own.fold) == (window.label, window.group, window.fold)
        assert (own.recording, own.start) == (window.recording, window.start)


def test_a_frame_of_features_takes_the_rows_of_a_fold(grown: NotebookStore) -> None:
    for fold in grown.folds:
        frame = grown.features_frame(rows=fold.rows)
        assert len(frame) == fold.windows
        assert set(frame["fold"]) == {fold.name}
        assert set(frame["group"]) == {grown.groups[number] for number in fold.groups}
        assert frame["label"].value_counts().reindex(list(grown.classes)).tolist() == (
            grown.class_counts([fold.name]).tolist()
        )
    frame = grown.features_frame()
    assert frame["source_index"].is_unique
    features = frame[list(grown.feature_names)].to_numpy()
    np.testing.assert_array_equal(features, grown.read("features", 0, 596))


def test_the_labelled_dataset_is_lazy_and_crosses_parts(grown: NotebookStore) -> None:
    data = grown.to_xarray()
    assert dict(data.sizes) == {"window": 596, "time": 32, "channel": 2, "feature": 2}
    assert not data["raw"].variable._in_memory
    raw = grown.read("raw", 0, 596)
    chosen = data["raw"].isel(window=slice(350, 360), time=slice(3, 20, 2)).sel(channel="ch1")
    np.testing.assert_array_equal(chosen.values, raw[350:360, 3:20:2, 1])
    rows = [595, 3, 352, 351, 3]
    np.testing.assert_array_equal(data["raw"].isel(window=rows).values, raw[rows])
    np.testing.assert_array_equal(data["raw"].isel(window=400).values, raw[400])
    for fold in grown.folds:
        group = data["group"].isel(window=np.arange(596)[fold.rows]).values
        assert set(group.tolist()) == set(fold.groups)
    feature = data["features"].sel(feature="ch1__std").values
    np.testing.assert_array_equal(feature, grown.read("features", 0, 596)[:, 1])
    assert data["label"].attrs["names"] == list(grown.classes)
    assert data.attrs["folds"]["1"] == [list(each) for each in grown.fold("1").ranges]
    assert data.attrs["folds"]["0"] == list(grown.fold("0").ranges[0])


def test_a_description_is_of_all_parts(grown: NotebookStore) -> None:
    told = json.loads(json.dumps(describe_store(grown)))
    assert told["windows"] == 596
    assert [part["windows"] for part in told["parts"]] == [352, 175, 69]
    assert [part["path"] for part in told["parts"]] == [str(part.path) for part in grown.parts]
    assert told["parts"][1]["classes"] == ["run", "walk"]
    assert [fold["windows"] for fold in told["folds"]] == [fold.windows for fold in grown.folds]
    assert sum(sum(fold["class_counts"]) for fold in told["folds"]) == 596
    array = next(each for each in told["arrays"] if each["name"] == "features")
    files = [path for path in grown.path.rglob("features/c.*")]
    assert array["shape"] == [596, 2]
    assert array["stored_bytes"] == sum(path.stat().st_size for path in files)
    assert array["missing_shards"] == 0
    assert told["fingerprint"] == grown.fingerprint


def test_html_and_plots_show_all_parts(grown: NotebookStore) -> None:
    seen = Seen(grown._repr_html_())
    assert not seen.open
    assert "596 windows of 32" in seen.text
    assert all(name in seen.text for name in (*grown.classes, *grown.groups[:3]))
    assert all(f"{fold.windows:,}" in seen.text for fold in grown.folds)
    axes = grown.plot_feature("ch0__mean", by="group", rows=grown.fold("3").rows)
    shown = [label.get_text().split(" (")[0] for label in axes.get_yticklabels()]
    assert shown == [grown.groups[number] for number in grown.fold("3").groups]
    plt.close("all")
