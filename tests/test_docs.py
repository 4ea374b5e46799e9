"""The documentation: it builds without a warning, is of this code, and its commands run."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.cli import command_parser
from pipeline.config import Config, load_config
from pipeline.error_pages import MODULES, PAGE, page_of
from pipeline.features import run_features
from pipeline.reference import PAGES
from stores.errors import UserError
from tests.conftest import request_for
from tests.stores.source_files import write_windows

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUN_ELSEWHERE = ("README.md", "CONTRIBUTING.md")
"""Pages whose commands other tests, and CI, run: they fetch and install."""


def pages() -> list[Path]:
    found = [ROOT / name for name in RUN_ELSEWHERE]
    found += [page for page in DOCS.rglob("*.md") if "_build" not in page.parts]
    return sorted(found)


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language in languages]


COMMANDED = [page for page in pages() if page.name not in RUN_ELSEWHERE and blocks(page, "sh")]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", tmp_path / "trees", DOCS, tmp_path / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    errors = (tmp_path / "html" / "errors.html").read_text()
    assert all(f'id="{heading}"' in errors for heading in MODULES)
    assert (tmp_path / "html" / "howto" / "from-csv.html").is_file()


@pytest.mark.parametrize("name", list(PAGES))
def test_the_reference_is_of_this_code(name: str) -> None:
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "python -m pipeline.reference docs/reference"


def test_every_key_and_option_is_explained() -> None:
    for name in PAGES:
        rows = [line for line in PAGES[name]().splitlines() if line.startswith("| `")]
        assert len(rows) > 30
        assert not [row for row in rows if not re.search(r"\w[^|]*\|$", row)]


def test_every_error_has_a_heading() -> None:
    raising = set()
    for path in (*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("stores/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = getattr(node.exc.func, "id", "")
                if name in ("UserError", "SourceContentError", "DamageError"):
                    raising.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    explained = {module for modules in MODULES.values() for module in modules}
    for name in explained - raising:  # A function of a module.
        module, _, function = name.rpartition(".")
        assert hasattr(import_module(module), function) or name == "pipeline.addresses", name
    assert raising <= explained
    headings = re.findall(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    assert [heading.lower().replace(" ", "-") for heading in headings] == list(MODULES)


def test_an_error_names_the_part_of_the_page_that_explains_it(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        load_config(None, ["train.epoch=3"])
    assert page_of(raised.value) == f"{PAGE}#configuration"
    assert page_of(ValueError("of nobody")) is None


def test_an_error_of_a_worker_keeps_its_heading(tmp_path: Path) -> None:
    """It crosses two processes, and what raises it here is another module."""
    source = tmp_path / "nan.h5"
    write_windows(source)
    with h5py.File(source, "r+") as file:
        file["X"][3] = np.nan
    with pytest.raises(UserError, match="NaN or infinity") as raised:
        run_features(request_for(Config(), source, tmp_path / "nan.zarr"))
    assert page_of(raised.value) == f"{PAGE}#source"


def test_the_commands_of_all_pages_are_commands() -> None:
    parser, lines = command_parser(), 0
    for page in pages():
        for text in blocks(page, "sh", "console"):
            for line in text.splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words[:1] == ["headrace"] and not {"|", "||", "&&"} & set(words):
                    parser.parse_args(words[1:])
                    lines += 1
                if words[:1] == ["make"]:
                    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
                    assert words[1] in targets, line
    assert lines > 30


@pytest.mark.docs
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", COMMANDED, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """In a new folder, one after another; the first that fails ends it."""
    beside = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks(page, "sh"))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
