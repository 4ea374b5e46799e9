"""Functions of the user's own, in folders of theirs whose files are called as ours, or NumPy is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from headrace.pipeline.functions.load import load_function
from headrace.pipeline.functions.reference import FunctionFault, find
from headrace.pipeline.functions.sources import sources_of
from tests.refusals import refused


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__of__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`model.py` imports siblings, a package and NumPy, as which a file is called too."""
    return write(
        tmp_path,
        model="import numpy as np\nimport parts.blocks\nfrom train import SCALE\n"
        "def build():\n    from parts import late\n"
        "    return np.ones(2) * SCALE * parts.blocks.WIDTH * late.LATE\n",
        train="from . import stores\nSCALE = 3 * stores.FACTOR\n",
        stores="FACTOR = 2\n",
        numpy="raise RuntimeError('stands in for NumPy')\n",
        parts__of____init__="",
        parts__of__blocks="from .width import WIDTH\n",
        parts__of__width="WIDTH = 5\n",
        parts__of__late="LATE = 7\n",
        unrelated="raise RuntimeError('is not imported')\n",
    )


def test_a_module_finds_its_siblings_and_no_other_module_does(folder: Path) -> None:
    path, before = list(sys.path), {"model", "train", "parts"} & set(sys.modules)
    function = load_function("model.build", "model:build", folder)
    np.testing.assert_array_equal(function(), [210, 210])
    assert sys.path == path
    assert {"model", "train", "parts"} & set(sys.modules) == before
    assert sys.modules["numpy"] is np
    assert not list(folder.rglob("__pycache__"))
    from headrace import model

    assert not hasattr(model, "build")


def test_its_sources_are_its_own_file_and_those_that_it_imports(folder: Path) -> None:
    sources = sources_of([find("model.build", "model:build", folder)], folder)
    assert set(sources.files) == {
        "model.py",
        "train.py",
        "stores.py",
        *(f"parts/{name}.py" for name in ("__init__", "blocks", "width", "late")),
    }
    before = sources.digests()
    (folder / "parts" / "late.py").write_text("LATE = 8\n")
    after = sources_of([find("model.build", "model:build", folder)], folder).digests()
    assert [name for name in before if before[name] != after[name]] == ["parts/late.py"]


def test_an_edited_file_is_another_module_and_refused_where_the_first_was_expected(
    folder: Path,
) -> None:
    expected = sources_of([find("k", "train:SCALE", folder)], folder).digests()
    write(folder, train="def scale():\n    return 1\n")
    assert load_function("k", "train:scale", folder)() == 1
    write(folder, train="def scale():\n    return 2\n")
    assert load_function("k", "train:scale", folder)() == 2
    with refused(FunctionFault, "k", str(folder / "train.py")):
        load_function("k", "train:scale", folder, expected)


def test_a_name_of_ours_is_ours_and_an_installed_module_is_found_but_not_run(
    folder: Path,
) -> None:
    write(folder, headrace__of____init__="raise RuntimeError\n", headrace__of__spam="x = 1\n")
    with refused(FunctionFault, "headrace.spam:x"):
        find("k", "headrace.spam:x", folder)
    found = find("k", "wsgiref.validate:validator", folder)
    assert not found.own
    assert found.file is not None
    assert found.file.name == "validate.py"
    assert "wsgiref.validate" not in sys.modules
    assert len(sources_of([found], folder).installed) == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("def other():\n    pass\n", ("net:build", "net.py", "other")),
        ("\n\nraise RuntimeError('at once')\n", ("net.py:3", "RuntimeError", "at once")),
        ("import sys\nsys.exit('no')\n", ("net.py:2", "SystemExit", "no")),
        ("def build(:\n", ("net.py:1",)),
        ("from nowhere import x\n", ("net.py:1", "nowhere")),
        ("import side\n", ("side.py:2", "ZeroDivisionError")),
        ("build = 3\n", ("net:build", "net.py")),
    ],
)
def test_what_fails_is_named_with_its_file_and_line(
    text: str, named: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path, net=text, side="\n1 / 0\n")
    with refused(FunctionFault, *named) as error:
        load_function("model.build", "net:build", tmp_path)
    assert "\n" not in str(error.value)


def test_the_closest_of_many_names_are_given_where_there_is_none_of_that(tmp_path: Path) -> None:
    others = "".join(f"def other_{number}():\n    pass\n" for number in range(12))
    write(tmp_path, net=f"{others}class Builds:\n    pass\ndef build():\n    pass\n")
    with refused(FunctionFault, "net:biuld", "net.py", "build", "Builds") as error:
        load_function("model.build", "net:biuld", tmp_path)
    text = str(error.value)
    assert text.index("build,") < text.index("other_")
    assert text.count("other_") == 6


@pytest.mark.parametrize("reference", ["net", "net:", ":build", "../net:build", "net.py:build x"])
def test_what_is_no_reference_is_refused(reference: str, tmp_path: Path) -> None:
    with refused(FunctionFault, "model.build", reference):
        find("model.build", reference, tmp_path)
