"""A first configuration for files that nobody has described."""

from __future__ import annotations

import json
import random
import re
import tempfile
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.cli.main import main
from headrace.pipeline.commands.guess.config import guess_config
from headrace.pipeline.commands.init import config_text
from headrace.pipeline.config.load import config_from_table, load_config
from headrace.stores.datasets.synthetic import write_synthetic
from headrace.stores.errors import CommandError, SourceError, UserError
from headrace.stores.source.probe.found import Contents, FoundArray, FoundFile
from headrace.stores.source.probe.probe import look_at
from headrace.stores.store import open_store
from tests.in_process import tasks_here
from tests.refusals import assert_names, assert_refused, says
from tests.stores.source_files import write_recordings, write_windows

pytestmark = pytest.mark.usefixtures("probed_here")


RNG = np.random.default_rng(0)


def odd_windows(path: Path) -> None:
    """What a thesis leaves: other names, strings, a rate and channels under names of their own."""
    with h5py.File(path, "w") as file:
        file["data/segments"] = RNG.normal(size=(60, 40, 6)).astype(np.float32)
        file["data/small"] = np.zeros((4, 5, 2))
        file["data/activity"] = np.repeat(["walk", "sit", "unlabelled"], 20).astype("S")
        file["meta/patient_no"] = np.tile(np.arange(6), 10)
        file.attrs["fs"] = 20
        axes = [f"{sensor}_{axis}" for sensor in ("wrist", "gyro") for axis in "XYZ"]
        file["data/segments"].attrs["channel_names"] = ",".join(axes)
        file["data/segments"].attrs["unit"] = "g,g,g,rad/s,rad/s,rad/s"


def init(path: Path, output: Path, *more: str) -> int:
    return main(["init", str(path), "--output", str(output), *more])


def test_the_page_of_all_keys_that_a_configuration_names_is_there(tmp_path: Path) -> None:
    odd_windows(tmp_path / "odd.h5")
    assert init(tmp_path / "odd.h5", tmp_path / "odd.toml") == 0
    named = re.findall(r"\S+configuration\.md", (tmp_path / "odd.toml").read_text())
    assert [Path(page).is_file() for page in named] == [True]


def test_a_file_of_other_names_is_understood_and_made_into_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd_windows(tmp_path / "odd.h5")
    config = tmp_path / "odd.toml"
    assert init(tmp_path / "odd.h5", config, "--json") == 0
    unsure = json.loads(capsys.readouterr().out)["unsure"]
    found = load_config(config)
    assert found.name == "odd"
    assert found.source.windows == "data/segments"
    assert found.source.labels == "data/activity"
    assert found.source.groups == "meta/patient_no"
    # The source takes it from the attribute, and refuses what says another.
    assert found.source.rate_hz is None
    assert found.features.triads["wrist"] == ("wrist_X", "wrist_Y", "wrist_Z")
    assert found.features.accelerometers == ("wrist",)
    for doubt in ("data/segments", "fs = 20", "unlabelled", "wrist"):
        assert any(says(text, doubt) for text in unsure)
    with tasks_here():
        made = main(
            ["features", "--quiet", "--config", str(config), "--store", str(tmp_path / "s")]
        )
    assert made == 0
    assert open_store(tmp_path / "s").spec.rate_hz == 20


@pytest.mark.parametrize("layout", ["windows", "recordings"])
def test_a_file_of_usual_names_has_nothing_to_ask_for(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "s.h5"
    write_synthetic(source, windows=300, time=64, channels=3, groups=6, layout=layout)
    assert init(source, tmp_path / "s.toml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unsure"] == []
    assert found["problem"] is None
    assert "???" not in (tmp_path / "s.toml").read_text().split("\n", 1)[1]


def no_attributes(file: Any) -> None:
    file.attrs.clear()
    file["X"].attrs.clear()


def changes() -> dict[str, tuple[Any, str]]:
    return {
        "no rate": (no_attributes, "rate_hz"),
        "no groups": (lambda f: f.pop("groups"), "groups"),
        "no labels": (lambda f: f.pop("y"), "labels"),
    }


@pytest.mark.parametrize("what", changes())
def test_what_is_missing_is_asked_for(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_windows(tmp_path / "s.h5")
    change, key = changes()[what]
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        change(file)
        if "classes" in file:
            del file["classes"]
    assert init(tmp_path / "s.h5", tmp_path / "s.toml", "--json") == 2
    said = capsys.readouterr()
    assert_refused(said.err, CommandError, "s.toml")
    found = json.loads(said.out)
    assert found["unsure"]
    assert_names(found["problem"], f"source.{key}")
    assert f"# {key} = ???" in (tmp_path / "s.toml").read_text()


def test_axes_in_another_order_are_seen(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["X"] = np.zeros((30, 6, 128), np.float32)
    guess = guess_config(look_at(tmp_path / "s.h5"), "s.h5")
    assert any(says(doubt, "128") and says(doubt, "6") for doubt in guess.unsure)


def test_a_table_of_other_names_is_found(tmp_path: Path) -> None:
    write_recordings(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file.move("recordings", "trials")
        file.move("trials/start", "trials/begin")
        file.move("trials/length", "trials/rows")
        file.move("trials/subject", "trials/participant")
    guess = guess_config(look_at(tmp_path / "s.h5"), "s.h5")
    found = config_from_table(tomllib.loads(config_text(guess, tmp_path / "s.h5", "s")), "a test")
    assert found.source.recordings == "trials"
    assert (found.source.start_column, found.source.length_column) == ("begin", "rows")
    assert found.source.groups == "participant"


def test_what_cannot_be_signals_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["names"] = ["a", "b"]
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "there.toml").write_text("mine")
    cases: tuple[tuple[str, str, type[UserError], tuple[str, ...]], ...] = (
        ("s.h5", "new.toml", CommandError, ("s.h5", "names (2,)")),
        ("text.h5", "new.toml", SourceError, ("text.h5", "HDF5")),
        ("gone.h5", "new.toml", SourceError, ("gone.h5",)),
        ("s.h5", "there.toml", CommandError, ("there.toml", "--output")),
    )
    for path, output, kind, named in cases:
        assert init(tmp_path / path, tmp_path / output) == 2
        said = capsys.readouterr().err
        assert_refused(said, kind, *named)
        assert said.count("\n") == 1
    assert not (tmp_path / "new.toml").exists()
    assert (tmp_path / "there.toml").read_text() == "mine"


def test_names_of_a_stranger_make_no_other_config(tmp_path: Path) -> None:
    evil = 'x"\n[memory]\nbudget = "1TiB"\n#'
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file[evil] = np.zeros((30, 16, 3), np.float32)
        file["y"] = [evil, "b"] * 15
        file.attrs["fs"] = 20
        file.attrs["channel_names"] = [f"{evil}_x", "b", "c"]
    guess = guess_config(look_at(tmp_path / "s.h5"), "s.h5")
    table = tomllib.loads(config_text(guess, tmp_path / "s.h5", "s"))
    assert "memory" not in table
    assert table["source"]["windows"] == evil


NAMES = st.text(min_size=1, max_size=12)
"""Any text that a file of UTF-8 can hold: control characters, quotes, backslashes, line ends."""


@given(
    names=st.lists(NAMES, min_size=3, max_size=3, unique=True),
    channels=st.lists(NAMES, min_size=3, max_size=3),
    stem=NAMES,
    fact=NAMES,
)
def test_whatever_names_a_file_holds_the_config_names_exactly_those(
    names: list[str], channels: list[str], stem: str, fact: str
) -> None:
    windows, labels, group = names
    channels = [f"{stem}{channel}_{axis}" for channel, axis in zip(channels, "xyz", strict=True)]
    attributes = {"channel_names": channels, "unit": channels, "sampling_rate_hz": fact}
    arrays = (
        FoundArray(f"a/{windows}", (30, 16, 3), "f", attributes),
        FoundArray(f"b/{labels}/label", (30,), "O", {}, [fact, *channels]),
        FoundArray(f"c/{group}/subject", (30,), "O", {}, [stem, fact]),
    )
    contents = Contents((FoundFile("", "hdf5", arrays),))
    guess = guess_config(contents, "odd.h5")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "odd.toml")
        file.write_bytes(config_text(guess, Path("odd.h5"), "odd").encode())
        table = tomllib.loads(file.read_bytes().decode())
        found = load_config(file)
    assert set(table) <= {"name", "paths", "source", "features", "train"}
    assert found.source.windows == f"a/{windows}"
    assert found.source.labels == f"b/{labels}/label"
    assert found.source.groups == f"c/{group}/subject"
    assert found.source.channels == found.source.units == channels
    assert {name for axes in found.features.triads.values() for name in axes} <= set(channels)


def test_a_real_file_of_odd_names_is_written_down_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path, odd = Path("\N{CHART WITH UPWARDS TREND}.h5"), "\x1b[2J\x7f\\\"'\r\n\U0001f4c8"
    with h5py.File(path, "w") as file:
        file[odd] = np.zeros((30, 16, 3), np.float32)
        file["y"] = np.array([odd, "b"] * 15, object)
        file.attrs["sampling_rate_hz"] = f"{odd}\n[memory]\nbudget = 1"
        file.attrs["channels"] = [f"{odd}{axis}" for axis in "xyz"]
    output = path.with_suffix(".toml")
    assert main(["init", str(path), "--output", str(output)]) == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    found = load_config(output)
    assert (found.name, found.paths.data) == (path.stem, path)
    assert found.source.windows == odd
    assert found.memory.budget is None


@pytest.mark.parametrize("rate", [np.inf, np.nan, -1.0])
def test_a_rate_that_is_none_is_asked_for(rate: float, tmp_path: Path) -> None:
    write_windows(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file.attrs.clear()
        file["X"].attrs.clear()
        file.attrs["fs"] = rate
    guess = guess_config(look_at(tmp_path / "s.h5"), "s.h5")
    assert guess.source["rate_hz"][0] is None
    assert "rate_hz" not in tomllib.loads(config_text(guess, Path("s.h5"), "s"))["source"]


def test_what_is_no_text_is_not_written_down(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["named"] = np.zeros((30, 16, 3), np.float32)
        file[b"larger\xff"] = np.zeros((90, 16, 3), np.float32)
        columns = np.array([b"x\xff", b"y", b"z"], h5py.string_dtype())
        file["named"].attrs.create("columns", columns, dtype=h5py.string_dtype())
    guess = guess_config(look_at(tmp_path / "s.h5"), "s.h5")
    assert guess.source["windows"][0] == "named"
    assert guess.source["channels"][0] is None
    assert config_text(guess, Path("s.h5"), "s").encode()


def test_values_in_other_files_are_not_looked_at(tmp_path: Path) -> None:
    np.arange(30).tofile(tmp_path / "secret")
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["X"] = np.zeros((30, 16, 3), np.float32)
        file.create_dataset("y", (30,), "i8", external=[(tmp_path / "secret", 0, 240)])
        file["link"] = h5py.ExternalLink(tmp_path / "other.h5", "/y")
    found = look_at(tmp_path / "s.h5")
    assert found.named("X") is not None
    assert found.named("y") is None
    assert found.named("link") is None


def test_damaged_files_are_looked_at_or_refused(tmp_path: Path) -> None:
    write_windows(tmp_path / "s.h5")
    true, path = (tmp_path / "s.h5").read_bytes(), tmp_path / "damaged.h5"
    for seed in range(8):
        chance, content = random.Random(seed), bytearray(true)
        for _ in range(chance.choice((1, 5, 40))):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content[: chance.choice((len(content), chance.randrange(len(content))))])
        with suppress(UserError):
            guess_config(look_at(path), "damaged.h5")


def test_what_is_printed_fits_a_screen_whatever_a_file_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for number in range(300):
            file[f"{'long' * 20}/windows {number} {'x' * 60}"] = np.zeros((30, 6, 16), np.int16)
        file["y"] = np.array([f"none {'z' * 90} {n % 15}" for n in range(30)], object)
    assert init(tmp_path / "s.h5", tmp_path / "s.toml") == 2
    lines = capsys.readouterr().out.splitlines()
    assert sum(-(-len(line) // 80) for line in lines) <= 24
    assert max(map(len, (tmp_path / "s.toml").read_text().splitlines())) < 1000
