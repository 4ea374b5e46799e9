"""The notebooks run, and are the scripts that they are paired with."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

from headrace.pipeline.runs.folder import RunFolder
from tests.conftest import ROOT

FOLDER = ROOT / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
LONG = ("augmentation", "bring_your_own")
"""They load TensorFlow: `make test-docs` runs them, with the commands of pages."""


@pytest.fixture(scope="module")
def checkout(
    tiny_store: Path,
    cheap_run: RunFolder,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with notebooks/, data/watch.zarr and two evaluated runs."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "notebooks").mkdir()
    shutil.copytree(tiny_store, folder / "data" / "watch.zarr")
    for name in ("one", "two"):
        shutil.copytree(cheap_run.path, folder / "runs" / "watch" / name)
    return folder


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(each, id=each.stem, marks=pytest.mark.docs if each.stem in LONG else ())
        for each in SCRIPTS
    ],
)
def test_a_notebook_runs(script: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    notebook = jupytext.read(script)
    client = NotebookClient(notebook, timeout=1800, kernel_name="python3")
    client.execute(cwd=str(checkout / "notebooks"))
    shown = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    assert shown
    text = "".join(output.get("text", "") for output in shown)
    assert "headrace: " not in text, text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_notebook_is_its_script_without_output(script: Path) -> None:
    one, two = jupytext.read(script), jupytext.read(script.with_suffix(".ipynb"))
    assert [cell.source for cell in one.cells] == [cell.source for cell in two.cells]
    assert not any(cell.get("outputs") for cell in two.cells)
