"""A store as people see it in a notebook: HTML, tables, labelled arrays, plots."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from headrace import stores
from headrace.stores.errors import StoreError
from headrace.stores.parts.part import StorePart
from headrace.stores.shards.reader import ShardReader
from headrace.stores.views.notebook import NotebookStore
from tests.refusals import refused


@pytest.fixture
def store(tiny_store: Path) -> NotebookStore:
    return stores.open(tiny_store)


@pytest.fixture(autouse=True)
def _no_figure_stays() -> Iterator[None]:
    yield
    plt.close("all")


class Seen(HTMLParser):
    """Tags that are open and text that is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_window_shows_itself_in_one_line_and_as_signals(store: NotebookStore) -> None:
    window = store.window(3)
    assert repr(window) == f"<Window {window.title}: 64 x 3, {len(window.features)} features>"
    seen = Seen(window._repr_html_())
    assert window.title in seen.text
    assert "script" not in seen.tags
    assert seen.open == []
    assert all(channel in seen.text for channel in store.spec.channels)
    assert len(store) == store.windows
    assert store.fold(3) == store.fold("3")


def test_html_describes_the_store_and_reads_one_chunk_of_an_array(
    store: NotebookStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = ShardReader._decode

    def counting(reader: ShardReader, number: int, target: Any) -> None:
        if "manifest" not in str(reader._folder):
            decoded.append(number)
        decode(reader, number, target)

    monkeypatch.setattr(ShardReader, "_decode", counting)
    seen = Seen(store._repr_html_())
    assert decoded == [0] * len(store.manifest.arrays())
    assert not seen.open
    assert not seen.tags & {"script", "img", "link", "iframe"}
    for wanted in (
        "530 windows of 64",
        "144 features",
        "✓ complete",
        *store.spec.channels,
        "window 530",
    ):
        assert wanted in seen.text
    assert all(f"{fold.stop - fold.start:,}" in seen.text for fold in store.folds)
    assert "530 windows" in repr(store)


def test_html_runs_nothing_that_a_stranger_wrote(store: NotebookStore, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>'\"&"
    names = {"channels": (evil, "b", "c"), "groups": (evil, *store.groups[1:])}
    names |= {"classes": (evil, *store.classes[1:]), "units": (evil, "", "")}
    folder = tmp_path / "<script>.zarr"
    shutil.copytree(store.path, folder)
    html = NotebookStore(StorePart(folder, store.manifest.model_copy(update=names)))._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;.zarr" in html
    assert not Seen(html).open


def test_html_says_what_is_missing_or_damaged(tiny_store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "harmed.zarr"
    shutil.copytree(tiny_store, copy)
    (copy / "label" / "c.3").unlink()
    content = bytearray((copy / "raw" / "c.0.0.0").read_bytes())
    content[50] ^= 1
    (copy / "raw" / "c.0.0.0").write_bytes(content)
    text = Seen(stores.open(copy)._repr_html_()).text
    assert "1 files are missing. Mend it with: headrace features --repair." in text
    assert "✓" not in text
    assert "is damaged: chunk 0 has another checksum" in text


def test_a_window_is_in_units_and_knows_what_it_is(store: NotebookStore) -> None:
    window = store.window(-3)
    assert window.row == 527
    raw = store.read("raw", 527, 528)[0]
    np.testing.assert_array_equal(window.raw, raw * store.spec.scale)
    assert window.time_s[1] == 1 / store.spec.rate_hz
    values = list(window.features.values())
    np.testing.assert_array_equal(values, store.read("features", 527, 528)[0])
    assert tuple(window.features) == store.feature_names
    assert window.label == store.classes[store.read("label", 527, 528)[0]]
    assert window.group == store.groups[store.read("group", 527, 528)[0]]
    fold = store.fold(window.fold)
    assert fold.start <= 527 < fold.stop
    assert window.recording is None
    for row in (530, -531):
        with refused(IndexError, str(row), "530"):
            store.window(row)


def test_a_frame_of_features_takes_slices_and_lists(store: NotebookStore) -> None:
    frame = store.features_frame(rows=[5, -1, 3, 4])
    assert frame.index.tolist() == [5, 529, 3, 4]
    assert frame.index.name == "row"
    np.testing.assert_array_equal(
        frame[list(store.feature_names)].to_numpy()[0], store.read("features", 5, 6)[0]
    )
    assert frame["source_index"].tolist()[1] == store.read("source_index", 529, 530)[0]
    fold = store.folds[2]
    whole = store.features_frame(rows=fold.rows)
    assert whole.index.tolist() == list(range(fold.start, fold.stop))
    assert set(whole["fold"]) == {fold.name}
    assert set(whole["group"]) == {store.groups[number] for number in fold.groups}
    codes = store.read("label", fold.start, fold.stop)
    assert whole["label"].tolist() == [store.classes[code] for code in codes]
    assert len(store.features_frame()) == 530


def test_a_frame_that_would_not_fit_is_refused(
    store: NotebookStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.stores.views.window.MOST_TABLE_BYTES", 1000)
    with refused(StoreError, "530", "rows", "to_xarray"):
        store.features_frame()


def test_the_labelled_dataset_is_lazy_and_reads_what_the_store_reads(store: NotebookStore) -> None:
    data = store.to_xarray()
    assert not data["raw"].variable._in_memory
    assert data["raw"].chunks is None
    chosen = data["raw"].isel(window=slice(60, 70)).sel(channel="ch1")
    np.testing.assert_array_equal(chosen.values, store.read("raw", 60, 70)[:, :, 1])
    rms = data["features"].sel(feature="ch0__rms")
    np.testing.assert_array_equal(
        rms.values, store.read("features", 0, 530)[:, store.feature_names.index("ch0__rms")]
    )
    assert data["time"].values[1] == 1 / store.spec.rate_hz
    assert data["label"].attrs["names"] == list(store.classes)
    assert len(data["label"].attrs["flag_meanings"].split()) == len(store.classes)
    assert data.attrs["folds"][store.folds[1].name] == [store.folds[1].start, store.folds[1].stop]


def test_plots_show_every_channel_and_class(store: NotebookStore) -> None:
    panels = store.plot_window(7)
    assert sum(len(panel.lines) for panel in panels) == len(store.spec.channels)
    assert panels[0].get_title(loc="left") == store.window(7).title
    axes = store.plot_feature("ch0__rms", by="group", rows=store.folds[0].rows)
    shown = [label.get_text().split(" (")[0] for label in axes.get_yticklabels()]
    assert shown == [store.groups[number] for number in store.folds[0].groups]
    assert len(store.plot_feature("ch0__rms").get_yticklabels()) == len(store.classes)
    with refused(StoreError, "ch0_rms", "ch0__rms"):
        store.plot_feature("ch0_rms")
    with refused(StoreError, "subject", "label", "group", "fold"):
        store.plot_feature("ch0__rms", by="subject")
