"""The documentation: it builds without a warning, is of this code, and its commands run."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from docs.generate.reference import PAGES
from headrace.pipeline.cli.main import ERRORS_PAGE
from headrace.pipeline.cli.parser import command_parser
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.features.stage import run_features
from headrace.stores.errors import ConfigError, SourceContentError, UserError
from tests.conftest import ROOT, request_for
from tests.refusals import refused
from tests.stores.source_files import write_windows

HEADINGS = [kind.heading for kind in UserError.__subclasses__()]
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


@pytest.mark.docs
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
    assert all(f'id="{heading}"' in errors for heading in HEADINGS)
    assert (tmp_path / "html" / "howto" / "from-csv.html").is_file()


@pytest.mark.parametrize("name", list(PAGES))
def test_the_reference_is_of_this_code(name: str) -> None:
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "python -m docs.generate.reference docs/reference"


def test_every_key_and_option_is_explained() -> None:
    for name in PAGES:
        rows = [line for line in PAGES[name]().splitlines() if line.startswith("| `")]
        assert len(rows) > 30
        assert not [row for row in rows if not re.search(r"\w[^|]*\|$", row)]


def test_every_error_has_a_heading_of_the_page() -> None:
    for folder in ("stores", "pipeline", "model"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UserError":
                    raise AssertionError(f"{path}:{node.lineno}: raise one of its kinds")
    headings = re.findall(r"^## (.*)$", ERRORS_PAGE.read_text(), flags=re.MULTILINE)
    assert {heading.lower().replace(" ", "-") for heading in headings} == set(HEADINGS)


def test_an_error_names_the_part_of_the_page_that_explains_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "headrace", "plan", "--set", "train.epoch=3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    page, _, heading = done.stderr.strip().rpartition(" More: ")[2].partition("#")
    assert (done.returncode, heading) == (2, ConfigError.heading)
    assert Path(page).samefile(DOCS / "errors.md")


def test_an_error_of_a_worker_keeps_its_kind(tmp_path: Path) -> None:
    """It crosses two processes."""
    source = tmp_path / "nan.h5"
    write_windows(source)
    with h5py.File(source, "r+") as file:
        file["X"][3] = np.nan
    config = config_from_table({"features": {"workers": 1}}, "one")
    with refused(SourceContentError, "source.non_finite", "3"):
        run_features(request_for(config, source, tmp_path / "nan.zarr"))


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
