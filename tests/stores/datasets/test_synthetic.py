from __future__ import annotations

import h5py
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from headrace.stores.datasets import synthetic
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused


def test_the_windows_layout_has_exactly_the_windows_asked_for(tmp_path):
    path = tmp_path / "s.h5"
    write_synthetic(path, windows=1001, time=32, channels=4, groups=7)
    with h5py.File(path) as file:
        assert file["X"].shape == (1001, 32, 4)
        assert file["X"].dtype == np.float32
        assert file["X"].attrs["sampling_rate_hz"] == 50
    with open_source(path, SourceOptions()) as source:
        labels = source.read_labels(0, source.windows)
        counts = np.bincount(labels.group)
        pairs = set(zip(labels.group.tolist(), labels.label.tolist(), strict=True))
    assert counts.tolist() == [143] * 7
    assert len(pairs) == 7 * 6
    first = [int(labels.label[labels.group == g][0]) for g in range(6)]
    assert len(set(first)) == 6


@pytest.mark.parametrize("time", [32, 128, 51])
def test_the_recordings_layout_gives_about_that_many_windows_by_default(tmp_path, time):
    path = tmp_path / "s.h5"
    write_synthetic(path, windows=2000, time=time, channels=2, layout="recordings")
    with open_source(path, SourceOptions()) as source:
        assert source.layout == "recordings"
        assert source.spec.time == time
        assert abs(source.windows - 2000) <= 40
        assert len(source.groups) == 20
        assert len(source.classes) == 6


@pytest.mark.parametrize("layout", ["windows", "recordings"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path, layout):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_synthetic(tmp_path / name, 200, 16, 3, groups=5, layout=layout, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_content_does_not_depend_on_what_follows(tmp_path):
    write_synthetic(tmp_path / "short", windows=300, time=16, channels=3, groups=1)
    write_synthetic(tmp_path / "long", windows=30000, time=16, channels=3, groups=100)
    with h5py.File(tmp_path / "short") as short, h5py.File(tmp_path / "long") as long:
        assert short["y"][:300].tolist() == long["y"][:300].tolist()


def test_classes_can_be_told_apart_in_groups_never_seen(tmp_path):
    path = tmp_path / "s.h5"
    write_synthetic(path, windows=1200, time=128, channels=3, groups=10)
    with open_source(path, SourceOptions()) as source:
        windows = source.read_windows(0, source.windows)
        labels = source.read_labels(0, source.windows)
    power = np.log(np.abs(np.fft.rfft(windows, axis=1)[:, 1:30]) ** 2 + 1).reshape(1200, -1)
    seen = labels.group < 7
    model = LogisticRegression(max_iter=500).fit(power[seen], labels.label[seen])
    score = model.score(power[~seen], labels.label[~seen])
    assert score > 0.6
    # A raw mean must not give the class away: groups differ in it, classes do not.
    means = windows.mean(axis=1)
    blind = LogisticRegression(max_iter=500).fit(means[seen], labels.label[seen])
    assert blind.score(means[~seen], labels.label[~seen]) < 0.5


def test_groups_differ_in_offset_and_noise(tmp_path):
    path = tmp_path / "s.h5"
    write_synthetic(path, windows=600, time=64, channels=2, groups=3)
    with h5py.File(path) as file:
        means = [file["X"][g * 200 : (g + 1) * 200].mean(axis=(0, 1)) for g in range(3)]
    assert np.ptp(means, axis=0).min() > 0.05


def test_an_error_leaves_nothing_behind_and_an_old_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "s.h5"
    path.write_bytes(b"old")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "_noise", fail)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic(path, windows=100, time=16, channels=2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.h5"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"windows": 3}, "windows"),
        ({"time": 1}, "time"),
        ({"groups": 0}, "groups"),
        ({"classes": 0}, "classes"),
        ({"channels": 0}, "channels"),
    ],
)
def test_impossible_numbers_are_refused(tmp_path, wrong, named):
    arguments = {"windows": 100, "time": 16, "channels": 2, "groups": 5} | wrong
    with refused(SourceError, named, str(wrong[named])):
        write_synthetic(tmp_path / "s.h5", **arguments)
    assert list(tmp_path.iterdir()) == []
