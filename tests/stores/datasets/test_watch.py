from __future__ import annotations

import hashlib
import io
import pickle
import zipfile

import h5py
import numpy as np
import pytest

from headrace.stores.datasets import watch
from headrace.stores.datasets.watch import MEMBER, main, write_watch
from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused


class Exploit:
    """A pickle that would show that it was loaded."""

    def __reduce__(self):
        return (pytest.fail, ("an unknown pickle was loaded",))


def wheel_with(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, content)
    return path


def small_data():
    generator = np.random.default_rng(0)
    data = {
        "X": [generator.normal(size=(n, 6)) for n in (200, 150, 230)],
        "y": np.array([0, 1, 0]),
        "y_labels": ["PEN", "ABD"],
        "subject": np.array([2, 1, 10]),
        "side": np.array([1.0, 0.0, 1.0]),
    }
    stream = io.BytesIO()
    np.save(stream, np.array(data, dtype=object), allow_pickle=True)
    return data, stream.getvalue()


def test_recordings_become_a_source_that_can_be_read(tmp_path, monkeypatch):
    data, content = small_data()
    monkeypatch.setattr(watch, "SHA256", hashlib.sha256(content).hexdigest())
    output = tmp_path / "new" / "watch.h5"
    write_watch(wheel_with(tmp_path / "w.whl", content), output)
    with open_source(output, SourceOptions(window_s=2, step_s=1)) as source:
        assert source.spec.channels == ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
        assert source.spec.units == ("g", "g", "g", "rad/s", "rad/s", "rad/s")
        assert source.classes == ("PEN", "ABD")
        assert source.groups == ("1", "2", "10")
        assert source.windows == 3 + 2 + 3
        windows = source.read_windows(0, source.windows)
    assert np.array_equal(windows[1], data["X"][0][50:150].astype(np.float32))
    with h5py.File(output) as file:
        assert "David M. Burns" in file.attrs["licence"]
        assert "1802.01489" in file.attrs["source"]


def test_an_unknown_pickle_is_never_loaded(tmp_path):
    wheel = wheel_with(tmp_path / "w.whl", pickle.dumps(Exploit()))
    with refused(SourceError, "w.whl"):
        write_watch(wheel, tmp_path / "watch.h5")
    assert not (tmp_path / "watch.h5").exists()


def test_a_file_that_is_no_wheel_ends_with_code_2_and_one_line(tmp_path, capsys):
    (tmp_path / "w.whl").write_text("no zip")
    assert main([str(tmp_path / "w.whl"), str(tmp_path / "watch.h5")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([]) == 2
