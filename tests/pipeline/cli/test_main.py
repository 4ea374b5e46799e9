"""The command line: what is wrong is said in one line, with the way out and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.pipeline.cli.main import main
from headrace.stores.errors import (
    CommandError,
    ConfigError,
    DiskError,
    SourceError,
    StoreError,
    UserError,
)
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import assert_names, assert_refused

CASES: dict[str, tuple[type[UserError] | None, *tuple[str, ...]]] = {
    "featurs": (None, "featurs", "features"),
    "features --dta x.h5": (None, "--dta", "--data"),
    "train --bugdet 3": (None, "--bugdet", "--budget"),
    "train --budget lots": (ConfigError, "memory.budget", "lots", "1.5GiB"),
    "train --set train=3": (ConfigError, "train", "3"),
    "train --set source.units=g": (ConfigError, "source.units", "'g'", '["a", "b"]'),
    "train --set train.epocs=3": (ConfigError, "train.epocs", "train.epochs"),
    "train --set epochs=3": (ConfigError, "epochs", "train.epochs"),
    "train --epochs 3": (None, "--epochs", "--set train.epochs", "headrace train --help"),
    "features --workers 2": (None, "--workers", "--set features.workers"),
    "features my.h5": (None, "--data my.h5"),
    "train my.toml": (None, "--config my.toml"),
    "train --repair": (None, "--repair", "headrace features"),
    "features --set features.workers=many": (ConfigError, "features.workers", "many"),
    "init gone.h5": (SourceError, "gone.h5"),
    'train --set evaluate.views=["zoom"]': (
        ConfigError,
        "evaluate.views.0",
        "zoom",
        "noise:SD",
        "scale:FACTOR",
    ),
    "train": (CommandError, "--config", "--data", "--store"),
    "features": (CommandError, "--data", "paths.data"),
    "features --data gone.h5": (CommandError, "gone.h5", "--data"),
    "inspect --store file.txt": (StoreError, "file.txt", "--data"),
    "features --data file.txt --store file.txt/x.zarr": (DiskError, "file.txt"),
    "features --data file.txt --store file.txt": (StoreError, "file.txt", "--store"),
    "features --data file.txt": (SourceError, "file.txt", "empty"),
    "synth --windows 10 --output file.txt": (CommandError, "file.txt", "--output"),
    "synth --windows 0 --output new.h5": (None, "--windows", "0", "1"),
    "train --config gone.toml": (ConfigError, "gone.toml", "--config"),
}


@pytest.mark.parametrize("line", CASES)
def test_one_line_leads_on_and_nothing_is_written(
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("not data")
    try:
        code = main(line.split())
    except SystemExit as left:
        code = int(left.code or 0)
    error = capsys.readouterr().err
    assert code == 2
    kind, *named = CASES[line]
    assert_refused(error, kind, *named)
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["file.txt"]


@pytest.mark.parametrize(
    ("line", "option", "values"),
    [
        ("features --data one.h5 --data two.h5", "--data", ("one.h5", "two.h5")),
        ("features --data one.h5 --input two.h5", "--data", ("one.h5", "two.h5")),
        ("train --run one --ru two", "--run", ("one", "two")),
        ("features --repair --repair=source", "--repair", ("checksums", "source")),
        ("synth --seed 0 --seed 5 --windows 9 --output new.h5", "--seed", ("0", "5")),
        ("export --run one --run two --output new", "--run", ("one", "two")),
    ],
)
def test_an_option_of_one_value_that_is_given_twice_is_refused(
    line: str,
    option: str,
    values: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(line.split())
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert all(word in error for word in (option, *values))
    assert not list(tmp_path.iterdir())


def test_both_layouts_of_a_synthetic_source_have_the_rate_that_is_named(tmp_path: Path) -> None:
    rates = []
    for layout in ("windows", "recordings"):
        path = tmp_path / f"{layout}.h5"
        line = ["synth", "--windows", "40", "--length", "64", "--layout", layout, "--rate", "50"]
        assert main([*line, "--quiet", "--output", str(path)]) == 0
        samples = 64 if layout == "recordings" else None
        with open_source(path, SourceOptions(window_samples=samples)) as source:
            rates.append((source.spec.rate_hz, source.spec.time))
    assert rates == [(50.0, 64), (50.0, 64)]


def test_a_synthetic_source_may_be_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for windows in ("40", "60"):
        path = tmp_path / "synth.h5"
        line = ["synth", "--windows", windows, "--length", "32", "--channels", "3"]
        assert main([*line, "--output", str(path)]) == 0
    assert_names(capsys.readouterr().out, "60", "32", "3")
