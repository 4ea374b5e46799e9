"""The command line: what is wrong is said in one line, with the way out and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.pipeline.cli.main import main

CASES = {
    "featurs": "Did you mean features?",
    "features --dta x.h5": "Did you mean --data?",
    "train --bugdet 3": "Did you mean --budget?",
    "train --budget lots": 'a size is wanted, such as "1.5GiB"',
    "train --set train=3": "this is a section",
    "train --set source.units=g": 'a list is wanted, such as ["a", "b"]',
    "train --set train.epocs=3": "unknown key train.epocs. Did you mean train.epochs?",
    "train --set epochs=3": "unknown key epochs. Did you mean train.epochs?",
    "train --epochs 3": "Did you mean --set train.epochs=...? See: headrace train --help",
    "features --workers 2": "Did you mean --set features.workers=...?",
    "features my.h5": "Did you mean --data my.h5?",
    "train my.toml": "Did you mean --config my.toml?",
    "train --repair": "It belongs to headrace features.",
    "features --set features.workers=many": "a whole number is wanted",
    "init gone.h5": "The source gone.h5 does not exist. Name an HDF5 file.",
    'train --set evaluate.views=["zoom"]': "a view is identity, noise, noise:SD or scale:FACTOR",
    "train": "No store is named. Name it: --config, --data or --store.",
    "features": "No source is named. Name the HDF5 file: --data",
    "features --data gone.h5": "The source gone.h5 does not exist",
    "inspect --store file.txt": "file.txt is a file, and a store is a folder",
    "features --data file.txt --store file.txt/x.zarr": "file.txt is a file, and a folder",
    "features --data file.txt --store file.txt": "file.txt is a file. A store is a folder",
    "features --data file.txt": "file.txt",
    "synth --windows 10 --output file.txt": "exists and is not a synthetic source",
    "synth --windows 0 --output new.h5": "0 is below 1",
    "train --config gone.toml": "The config gone.toml cannot be read",
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
    assert CASES[line] in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["file.txt"]


@pytest.mark.parametrize(
    ("line", "option", "values"),
    [
        ("features --data one.h5 --data two.h5", "--data", ("one.h5", "two.h5")),
        ("features --data one.h5 --input two.h5", "--data", ("one.h5", "two.h5")),
        ("train --store one.zarr --stor two.zarr", "--store", ("one.zarr", "two.zarr")),
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


def test_a_synthetic_source_may_be_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for windows in ("40", "60"):
        path = tmp_path / "synth.h5"
        line = ["synth", "--windows", windows, "--length", "32", "--channels", "3"]
        assert main([*line, "--output", str(path)]) == 0
    assert "60 windows of 32 x 3" in capsys.readouterr().out
