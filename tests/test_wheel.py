"""The wheel, installed: it brings one name, `headrace`; all others are the user's.

The environment is a new one, with the dependencies of the one that runs the tests and without its
headrace.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli_w

from headrace import stores
from headrace.stores.errors import ConfigError
from tests.conftest import ROOT, SMALL

FOLDERS = ("stores", "model", "pipeline")
BUILT_FROM = ("headrace", *FOLDERS, "docs", "pyproject.toml", "README.md", "LICENSE")
USERS = ("model.py", "stores.py", "pipeline/__init__.py")
"""Modules of the user's that have the names of our folders."""
HIDDEN = ("HEADRACE_", "MALLOC_", "KERAS_", "NUMBA_CACHE_DIR", "PYTHON")
"""How the names begin of what the tests' process may have set, and would hand down."""
TABLE = {
    "name": "small",
    "paths": {"data": "tiny.h5"},
    **SMALL,
    "split": {"folds": 3},
    "train": {**SMALL["train"], "epochs": 1, "refit": False},
    "augment": {f"{name}_probability": 0 for name in ("mask", "scale", "noise", "mix")},
    # Of features, a network has the fewest variants: an ablation trains four.
    "model": {"inputs": "features", "feature_units": [4], "filters": 4, "dilations": [1]},
}
OWNERS = """
import headrace, headrace.stores.errors, headrace.model.intervals, headrace.pipeline.launch
import model, stores, pipeline
print(model.owner, stores.owner, pipeline.owner)
"""
WITHOUT_WHEEL = """
import importlib.util, sys, sysconfig
sys.path.remove(sysconfig.get_path("purelib"))
found = {name: importlib.util.find_spec(name) for name in sys.argv[1:]}
print(*(spec.origin if spec else None for spec in found.values()), sep="\\n")
"""
BOTH_PATHS = pytest.mark.parametrize("python_path", ["", "."], ids=["plain", "with PYTHONPATH"])


@dataclass(frozen=True)
class Environment:
    """An environment with the wheel installed."""

    folder: Path
    wheel: Path

    def run(self, *words: str, cwd: Path, python_path: str = "", code: int = 0) -> str:
        """Run one of its programs; returns what it wrote."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}
        program = self.folder / "bin" / words[0]
        done = subprocess.run(
            [program, *words[1:]],
            cwd=cwd,
            env=inherited | ({"PYTHONPATH": python_path} if python_path else {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    if importlib.util.find_spec("pip") is None:
        pytest.skip("no pip in this environment: python -m ensurepip")
    folder = tmp_path_factory.mktemp("wheel")
    checkout, environment = folder / "checkout", folder / "environment"
    copy_checkout(checkout)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    alone = ("--no-deps", "--no-index")
    checked(*pip, "wheel", *alone, "--no-build-isolation", "--wheel-dir", folder, checkout)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(checkout)
    checked(sys.executable, "-m", "venv", "--without-pip", environment)
    checked(*pip, "--python", environment / "bin" / "python", "install", *alone, wheel)
    # Only now: pip would find a headrace there. Of a folder that a .pth names, .pth files are not
    # read, and so no editable install.
    places = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text("".join(f"{place}\n" for place in places))
    return Environment(environment, wheel)


def copy_checkout(target: Path) -> None:
    """What the wheel is made from, links as links; pip leaves a build folder there."""
    target.mkdir()
    left_out = shutil.ignore_patterns("__pycache__", "_build")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=left_out)
        else:
            shutil.copy(ROOT / name, target / name)
    # As in a checkout that is used.
    compiled = target / "pipeline" / "catalogue" / "__pycache__" / "kernels-0"
    compiled.mkdir(parents=True)
    (compiled / "kernel.py").touch()


def checked(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of the user's, with modules that say so when they are executed, and fail."""
    folder = tmp_path / "home"
    for name in USERS:
        write_trap(folder / name)
    (folder / "whole.toml").write_text(tomli_w.dumps(TABLE))
    # No features: the kernels need not be compiled in this environment.
    bare = {"features": {**SMALL["features"], "select": []}, "model": {"inputs": "raw"}}
    (folder / "raw.toml").write_text(tomli_w.dumps({**TABLE, **bare}))
    return folder


def write_trap(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    mark = f"open({str(file.with_suffix('.executed'))!r}, 'w').close()"
    file.write_text(f"{mark}\nraise RuntimeError('a module of the user was executed')\n")


def executed(folder: Path) -> list[str]:
    """Names of the user's modules that something has executed."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.executed"))


def synth(installed: Environment, home: Path, python_path: str = "") -> None:
    size = ("--windows", "330", "--length", "64", "--channels", "3", "--groups", "6")
    installed.run(
        "headrace", "synth", *size, "--output", "tiny.h5", cwd=home, python_path=python_path
    )


def test_the_wheel_holds_the_package_and_nothing_else(installed: Environment) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert [name for name in tops if not name.endswith(".dist-info")] == ["headrace"]
    modules = {name.removeprefix("headrace/") for name in names if name.endswith(".py")}
    wanted = set()
    for within, folders in ((ROOT / "headrace", (".",)), (ROOT, FOLDERS)):
        # What of these are links are folders of their own, and are not followed.
        for folder in folders:
            found = (
                path.relative_to(within).as_posix() for path in (within / folder).rglob("*.py")
            )
            wanted |= {name for name in found if "__pycache__" not in name}
    assert modules == wanted


def test_the_environment_has_the_dependencies_and_no_headrace_but_the_wheel(
    installed: Environment, tmp_path: Path
) -> None:
    asked = ("-P", "-c", WITHOUT_WHEEL, "numpy", "headrace", *FOLDERS)
    numpy, *ours = installed.run("python", *asked, cwd=tmp_path).splitlines()
    assert Path(numpy).is_file()
    assert not [origin for origin in ours if Path(origin).is_relative_to(ROOT)]
    where = "import headrace; print(headrace.__file__)"
    file = Path(installed.run("python", "-P", "-c", where, cwd=tmp_path).strip())
    assert file.is_relative_to(installed.folder)


@BOTH_PATHS
def test_a_command_starts_beside_modules_of_the_same_names(
    installed: Environment, home: Path, python_path: str
) -> None:
    for line in ("headrace --version", "python -m headrace --version"):
        installed.run(*line.split(), cwd=home, python_path=python_path)
    synth(installed, home, python_path)
    assert not executed(home)


@pytest.mark.wheel
@BOTH_PATHS
def test_commands_run_beside_modules_of_the_same_names(
    installed: Environment, home: Path, python_path: str
) -> None:
    synth(installed, home, python_path)
    for line in (
        "headrace --version",
        "headrace init tiny.h5",
        "headrace plan --config raw.toml",
        "headrace features --config raw.toml",
        "headrace verify --config raw.toml",
        "headrace inspect --config raw.toml",
        "headrace doctor",
        "python -m headrace --version",
        "python -m headrace inspect --config raw.toml",
    ):
        installed.run(*line.split(), cwd=home, python_path=python_path)
        assert not executed(home), line


@pytest.mark.wheel
@pytest.mark.timeout(3600)
@BOTH_PATHS
def test_every_command_runs_beside_modules_of_the_same_names(
    installed: Environment, home: Path, python_path: str
) -> None:
    synth(installed, home, python_path)
    ablation = ("ablation", "--run", "ablation")
    commands: list[tuple[str, ...]] = [("features",), ("inspect",), ("crossval",), ablation]
    if not python_path:
        trained, predicted = ("--run", "trained"), ("--output", "predicted.csv")
        commands[2:2] = [
            ("verify", "--source"),
            ("plan", "--measure"),
            ("train", *trained),
            ("evaluate", *trained, "--baseline"),
            ("predict", *trained, "--data", "tiny.h5", *predicted),
            ("train", "--run", "other", "--set", "train.seed=1"),
            ("evaluate", "--run", "other"),
        ]
    for command, *options in commands:
        words = (command, "--config", "whole.toml", *options)
        installed.run("headrace", *words, cwd=home, python_path=python_path)
        assert not executed(home), command
    if not python_path:
        for words in (
            ("headrace", "compare", "trained", "other"),
            ("headrace", "export", "--run", "trained", "--output", "exported"),
            ("headrace", "doctor", "--devices"),
            ("python", "-m", "headrace", "crossval", "--config", "whole.toml"),
        ):
            installed.run(*words, cwd=home)
            assert not executed(home), words
        assert (home / "exported" / "model.keras").is_file()
    assert json.loads((home / "ablation" / "ablation.json").read_text())["rows"]


@pytest.mark.wheel
def test_a_feature_of_the_users_is_the_one_module_of_theirs_that_is_executed(
    installed: Environment, home: Path
) -> None:
    (home / "mine.py").write_text(
        "import headrace\n"
        "open('mine.executed', 'w').close()\n"
        "@headrace.feature_function('first_sample', 'last_sample')\n"
        "def ends(windows, rate_hz):\n"
        "    return windows[:, [0, -1], 0]\n"
    )
    synth(installed, home)
    words = ("--config", "raw.toml", "--store", "own.zarr")
    own = ("--set", 'features.custom=["mine:ends"]')
    installed.run("headrace", "features", *words, *own, cwd=home, python_path=".")
    assert executed(home) == ["mine.executed"]
    assert stores.open(home / "own.zarr").feature_names == ("first_sample", "last_sample")


def test_the_names_of_our_folders_are_the_users_to_import(
    installed: Environment, tmp_path: Path
) -> None:
    for name in USERS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("owner = 'user'\n")
    assert installed.run("python", "-c", OWNERS, cwd=tmp_path).split() == ["user"] * 3


@pytest.mark.wheel
def test_a_headrace_of_the_users_takes_no_place_in_the_children(
    installed: Environment, home: Path
) -> None:
    write_trap(home / "headrace.py")
    synth(installed, home)
    installed.run("headrace", "features", "--config", "raw.toml", cwd=home)
    assert not executed(home)


def test_an_error_names_a_page_that_is_installed_too(
    installed: Environment, tmp_path: Path
) -> None:
    wrong = ("headrace", "plan", "--set", "train.epoch=3")
    said = installed.run(*wrong, cwd=tmp_path, code=2)
    page, _, heading = said.strip().rpartition(" ")[2].partition("#")
    assert heading == ConfigError.heading
    assert Path(page).is_relative_to(installed.folder)
    headings = re.findall(r"^## (.*)$", Path(page).read_text(), flags=re.MULTILINE)
    assert heading in {each.lower().replace(" ", "-") for each in headings}
