"""The packaging keeps its promises: one list of dependencies, exact locks, a light command."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from headrace.pipeline.config.load import load_config
from tests.conftest import ROOT


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as a user would: what an outer make hands down, as in `make test`, is left out."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=inherited, capture_output=True, text=True, check=True
    )


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
CONDA_NAMES = {"python-xxhash": "xxhash"}
TARGETS = {
    *("env", "data", "features", "train", "evaluate", "crossval"),
    *("plan", "inspect", "verify", "test", "lint", "bench", "clean"),
}
MOST_IMPORTED = 160
"""Modules that `--help` may import: 128 are measured."""
HEAVY = ("numpy", "tensorflow", "dask", "pydantic", "h5py", "zarr", "rich")


def conda_requirements() -> dict[str, str]:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    flat = [line for line in listed if isinstance(line, str)]
    flat += [line for entry in listed if isinstance(entry, dict) for line in entry["pip"]]
    named = [Requirement(line.replace(" ", "")) for line in flat]
    return {CONDA_NAMES.get(item.name, item.name): str(item.specifier) for item in named}


def locked(lock: Path, python: str) -> dict[str, str]:
    """Distribution -> exact version that `lock` gives to a Python version."""
    environment = {**default_environment(), "python_version": python}
    environment["python_full_version"] = f"{python}.0"
    lines = re.findall(r"^([A-Za-z0-9][^\\\n]*==[^\\\n]*)\\?$", lock.read_text(), flags=re.M)
    chosen = [item for item in map(Requirement, lines) if applies(item, environment)]
    assert len({item.name for item in chosen}) == len(chosen)
    return {canonicalize_name(item.name): str(item.specifier)[2:] for item in chosen}


def applies(item: Requirement, environment: dict[str, str]) -> bool:
    return item.marker is None or item.marker.evaluate(environment)


def test_conda_environment_names_the_dependencies_and_bounds_of_pyproject() -> None:
    wanted = {item.name: str(item.specifier) for item in map(Requirement, PROJECT["dependencies"])}
    offered = conda_requirements()
    assert {name: offered.get(name) for name in wanted} == wanted
    extra = set(offered) - set(wanted)
    assert extra == {"python", "pip", "setuptools"}
    assert set(offered["python"].split(",")) == set(PROJECT["requires-python"].split(","))


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_has_one_version_within_bounds_of_every_dependency(lock: Path, python: str) -> None:
    versions = locked(lock, python)
    extra = PROJECT["optional-dependencies"].get(lock.stem.removeprefix("requirements-"), [])
    for item in map(Requirement, [*PROJECT["dependencies"], *extra]):
        assert item.specifier.contains(versions[canonicalize_name(item.name)]), item


def test_the_locks_agree_with_one_another() -> None:
    runtime = locked(ROOT / "requirements.lock", "3.12")
    for lock in LOCKS:
        versions = locked(lock, "3.12")
        assert {name: versions.get(name) for name in runtime} == runtime, lock.name


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_locked_version_has_hashes_and_no_registry_is_named(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_make_alone_lists_every_target_with_a_description() -> None:
    done = make()
    listed = dict(re.findall(r"^  ([a-z]+) +(\S.*)$", done.stdout, flags=re.M))
    assert set(listed) >= TARGETS


def test_make_passes_every_option_to_a_stage_unharmed() -> None:
    variables = {
        "CONFIG": "configs/hapt.toml",
        "DATA": "my data/it's.h5",
        "BUDGET": "1.5GiB",
        "SET": """train.epochs=3 evaluate.views=["identity", "noise"] a.b='x y'""",
    }
    done = make("--dry-run", "features", *(f"{k}={v}" for k, v in variables.items()))
    line = done.stdout.splitlines()[-1].replace("exec ", "", 1)
    shown = "import sys; print(*sys.argv[1:], sep='\\n')"
    line = re.sub(r"-m headrace", lambda _: f'-c "{shown}"', line)
    line = re.sub(r"^\S+", lambda _: sys.executable, line)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        *("features", "--config", "configs/hapt.toml", "--data", "my data/it's.h5"),
        *("--budget", "1.5GiB", "--set", "train.epochs=3"),
        *("--set", 'evaluate.views=["identity", "noise"]', "--set", "a.b='x y'"),
    ]


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*.toml")), ids=lambda f: f.stem)
def test_every_shipped_config_is_valid_and_its_header_has_its_command(file: Path) -> None:
    config = load_config(file)
    assert config.name == file.stem
    header = [line for line in file.read_text().split("\n\n")[0].splitlines()]
    assert any(line.startswith("# Command: make ") for line in header)


def test_help_imports_nothing_heavy_and_does_not_restart() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "headrace", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "features" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "headrace.pipeline.launch" in imported
    assert not imported.intersection(HEAVY)
    # The interpreter's own are some 30. Each costs half a millisecond, and `--help` is asked often.
    assert len(imported) < MOST_IMPORTED


def test_the_face_and_its_extractor_load_neither_a_network_nor_a_scheduler() -> None:
    code = (
        "import sys, headrace\n"
        f"assert len(sys.modules) < {MOST_IMPORTED} and 'numpy' not in sys.modules\n"
        "import numpy\n"
        "headrace.UserError\n"
        "windows = numpy.zeros((2, 16, 1))\n"
        "headrace.FeatureExtractor(rate_hz=20).fit_transform(windows)\n"
        "print(*sys.modules)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "sklearn" in imported
    assert not imported.intersection(("tensorflow", "keras", "dask", "distributed"))


def test_feature_workers_do_not_load_scikit_learn() -> None:
    code = "import sys, headrace.pipeline.features.task\nsys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_command_is_installed_under_its_name_and_version() -> None:
    found = importlib.metadata.entry_points(group="console_scripts", name="headrace")
    if not found:
        pytest.skip("headrace is not installed in this environment: python -m pip install -e .")
    assert [entry.value for entry in found] == PROJECT["scripts"]["headrace"].split()
    assert importlib.metadata.version("headrace") == PROJECT["version"]
