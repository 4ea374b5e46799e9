"""What `init` writes for trees of files that people publish is used as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.load import load_config
from headrace.stores.source.source import open_source
from tests.pipeline.commands.init_trees import TREES

pytestmark = pytest.mark.usefixtures("probed_here")


LONGER = ("pandas", "UCI HAR", "nested groups")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.cases if name in LONGER else ()) for name in TREES],
)
def test_what_init_writes_for_a_tree_opens_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree, folder = TREES[name], tmp_path / "tree"
    folder.mkdir()
    data, config = folder / tree.write(folder), tmp_path / "first.toml"
    code = main(["init", str(data), "--output", str(config), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (2 if tree.edits else 0), found
    if tree.edits:
        # The edits that the comments ask for, and no others.
        text = config.read_text()
        for key, value in tree.edits.items():
            assert f"# {key} = ???" in text
            text = text.replace(f"# {key} = ???", f"{key} = {value}  # was ???")
        config.write_text(text)
    options = load_config(config)
    assert options.paths.data == data
    with open_source(data, options.source) as source:
        assert set(source.classes) == set(tree.classes)
        assert source.groups == tree.groups
        assert len(source.spec.channels) == tree.channels
        assert source.spec.rate_hz == pytest.approx(tree.rate, rel=1e-6)
        assert tree.windows in (None, source.windows)
        assert source.windows > 0
    assert set(options.features.triads) == set(tree.triads)
