"""What is seen in a source is said once by plan, features and init, before anything is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headrace.pipeline.catalogue import Triad, build_catalogue
from headrace.pipeline.catalogue.constant import constant_columns
from headrace.pipeline.cli.main import main
from headrace.stores.errors import ConfigError
from headrace.stores.store import open_store
from tests.refusals import assert_refused, says

pytestmark = pytest.mark.usefixtures("made_here")
TABLE = """
[source]
window_samples = 16
overlap = 0.0
groups = "subject"
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Recordings of which the rule for windows loses a class, at a rate of no bands."""
    generator, rows = np.random.default_rng(0), 2400
    labels = np.arange(rows) // 40 % 2
    labels[labels == 1] += np.arange(rows)[labels == 1] % 400 < 100
    labels[100:108] = 3
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["signals"] = generator.normal(size=(rows, 2)).astype("f4")
        file["labels"], file["classes"] = labels, ["sit", "walk", "run", "fall"]
        file["recordings/start"] = np.arange(6) * 400
        file["recordings/length"] = np.full(6, 400)
        file["recordings/subject"] = np.arange(6)
        file.attrs["sampling_rate_hz"], file["signals"].attrs["gain"] = 0.01, 24.0
    (tmp_path / "s.toml").write_text(
        f'name = "s"\n[paths]\ndata = "{tmp_path}/s.h5"\nstore = "{tmp_path}/s.zarr"\n{TABLE}'
    )
    return tmp_path


def keys(notes: list[dict[str, Any]]) -> list[str]:
    return [note["key"] for note in notes]


EXPECTED = ["source.label_rule", "source.scale", "features.select"]


def test_plan_and_features_say_the_same_notes_once(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {}
    for command in ("plan", "features"):
        assert main([command, "--config", str(source / "s.toml"), "--json"]) == 0
        found[command] = json.loads(capsys.readouterr().out)
        if command == "plan":
            assert main([command, "--config", str(source / "s.toml")]) == 0
            lines = capsys.readouterr().out.splitlines()
            warned = [line for line in lines if line.startswith("Warning: source.label_rule")]
            assert len(warned) == 1
            assert says(warned[0], "fall")
            assert len([line for line in lines if line.startswith("Note: ")]) == 2
    assert keys(found["plan"]["notes"]) == keys(found["features"]["notes"]) == EXPECTED
    assert found["plan"]["notes"] == found["features"]["notes"]
    rule = {each["name"]: each for each in found["plan"]["label_rule"]}
    assert rule["fall"]["pure"] == 0
    assert rule["fall"]["stretches"] == 1
    assert sum(each["pure"] for each in rule.values()) == found["features"]["windows"]


def test_init_says_what_is_seen_in_the_file(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = source / "new.toml"
    with h5py.File(source / "s.h5", "r+") as file:
        file.attrs["sampling_rate_hz"] = 16 / 2.56
    main(["init", str(source / "s.h5"), "--output", str(output), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"source.label_rule", "source.scale"} <= set(keys(found["notes"]))


def test_features_that_cannot_vary_are_left_out_as_the_note_says() -> None:
    names = build_catalogue(("a", "b"), 0.01, 16).names
    constant = constant_columns(names, ("a", "b"), (), 0.01, 16)
    kinds = list(dict.fromkeys(name.rpartition("__")[2] for name in constant))
    left = build_catalogue(("a", "b"), 0.01, 16, (), tuple(f"!*__{kind}" for kind in kinds)).names
    assert constant_columns(left, ("a", "b"), (), 0.01, 16) == ()
    assert len(left) == len(names) - len(constant)


@pytest.mark.parametrize("rate", [0.05, 0.5, 2.0, 12.5, 50.0, 48828.0])
@pytest.mark.parametrize("time", [8, 31, 144])
def test_features_that_are_said_not_to_vary_are_those_that_do_not(rate: float, time: int) -> None:
    generator, channels = np.random.default_rng(0), ("x", "y", "z")
    triads = [Triad("acc", (0, 1, 2), True)]
    catalogue = build_catalogue(channels, rate, time, triads)
    phase = np.arange(time)[None, :, None] * generator.uniform(0, np.pi, (60, 1, 3))
    noise = generator.normal(size=(120, time, 3))
    windows = np.concatenate([noise, noise.cumsum(axis=1), np.sin(phase)]).astype(np.float32)
    features = catalogue.extract(windows)
    same = {
        name
        for name, spread in zip(catalogue.names, np.ptp(features, axis=0), strict=True)
        if spread < 1e-5
    }
    assert set(constant_columns(catalogue.names, channels, triads, rate, time)) == same


@pytest.mark.parametrize("select", ["[]", '["!*"]'])
def test_windows_too_short_for_features_are_stored_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], select: str
) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["X"] = np.random.default_rng(0).normal(size=(60, 5, 2)).astype("f4")
        file["y"], file["groups"] = np.arange(60) % 2, np.arange(60) // 10
        file.attrs["sampling_rate_hz"] = 1 / 86400
    named = ["--data", str(tmp_path / "s.h5"), "--store", str(tmp_path / "s.zarr")]
    assert main(["features", *named]) == 2
    assert_refused(capsys.readouterr().err, ConfigError, "8", "5", "features.select = []")
    assert main(["plan", *named, "--set", f"features.select={select}"]) == 0
    assert main(["features", *named, "--set", f"features.select={select}"]) == 0
    assert open_store(tmp_path / "s.zarr").manifest.features == ()
