"""CONTRIBUTING.md says where to go: every place it names is there, and no room is left out."""

from __future__ import annotations

import re

from tests.conftest import ROOT

MAP = [
    line
    for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| to change")
]


def test_every_place_that_the_map_names_is_there() -> None:
    named = {place for row in MAP for place in re.findall(r"`([^`\s]+/[^`\s]*)`", row)}
    assert len(named) > len(MAP)
    assert [place for place in sorted(named) if not (ROOT / place).exists()] == []


def test_the_map_has_a_row_for_each_thing_and_one_for_each_room() -> None:
    assert len(MAP) >= 25
    assert len({row.split("|")[1] for row in MAP}) == len(MAP)
    goes_to = " ".join(row.split("|")[2] for row in MAP)
    rooms = [
        folder.relative_to(ROOT).as_posix()
        for package in ("stores", "pipeline")
        for folder in sorted((ROOT / package).iterdir())
        if (folder / "__init__.py").is_file()
    ]
    assert len(rooms) > 20
    assert [room for room in rooms if f"`{room}/" not in goes_to] == []
