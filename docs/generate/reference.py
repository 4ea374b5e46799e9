"""Writes the docs' reference from the code: `python -m docs.generate.reference FOLDER`."""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import json
import re
import sys
import textwrap
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from headrace.pipeline.cli.commands import as_sentence
from headrace.pipeline.cli.main import command_parser
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.marks import affects

_CONFIGURATION = """# Configuration

Generated from the models that check it; do not edit, run `python -m docs.generate.reference
docs/reference`.

`name`, above all sections, names the folder of the runs and the default store; without it, the
file's own name does.

A configuration is a TOML file, one table a section. Every key has a default, and an unknown key is
refused with the closest name. On the command line `--set section.key=value` overrides the file,
`--budget` is `memory.budget`, `--data` and `--store` are `paths.data` and `paths.store`. A run
records the whole of what it was trained with in its `config.toml`.

A key that affects the store makes another store when it changes; one that affects the run makes
another run. The run's last bits depend on the machine: the run records that key at its first start
and is resumed with the same. What affects no result can change at any time, between an interruption
and the next start too. A path affects nothing by itself: what a source or a store holds does.
"""

_COMMANDS = """# Commands

Generated from the command line's parser; do not edit, run `python -m docs.generate.reference
docs/reference`.

`make STAGE` runs `headrace STAGE` and what it needs before it, with `CONFIG=`, `DATA=`, `STORE=`,
`RUN=`, `BUDGET=` and `SET=` for the options of these names. Exit codes: 0 done, 1 a fault of the
program, 2 the input, 130 interrupted, 141 nobody read the output to its end, 143 stopped by
SIGTERM.
"""

PLAINEST = "inspect"
_TYPES = {bool: "true or false", int: "integer", float: "number", str: "text", PurePath: "path"}


def configuration_page() -> str:
    """Every section and key of a configuration, as Markdown."""
    parts = [_CONFIGURATION]
    for name, field in Config.model_fields.items():
        section = field.annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            continue
        said = _attribute_docstrings(section)
        parts.append(f"## `[{name}]`\n\n{_paragraphs(section.__doc__ or '')}\n")
        parts.append("| key | value | default | affects | meaning |\n|---|---|---|---|---|")
        for key, option in section.model_fields.items():
            meaning = option.description or said.get(key, "")
            affected = affects(option) or affects(field)
            row = (
                f"`{key}`",
                _kind(option),
                _default(option),
                affected.value if affected else "",
                _line(meaning),
            )
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        parts.append("")
    return "\n".join(parts)


def commands_page() -> str:
    """Every command and its options, as Markdown."""
    found = _commands()
    # `inspect` has the options that all stages have, and no other.
    common = {action.option_strings[0]: action for action in _shown(found[PLAINEST][1])}
    parts = [_COMMANDS, "## Options of every stage\n", _options(common.values()), ""]
    for name, (text, parser) in found.items():
        positional = [action.metavar or action.dest for action in parser._get_positional_actions()]
        named = [
            f"{action.option_strings[0]} {action.metavar}"
            for action in _shown(parser)
            if action.required and action.option_strings
        ]
        usage = " ".join(["headrace", name, *map(str, positional), *named, "[options]"])
        parts.append(f"## `{name}`\n\n{as_sentence(_line(text))}\n\n```text\n{usage}\n```\n")
        stage = set(common) <= set(parser._option_string_actions)
        own = [
            action
            for action in _shown(parser)
            if not (stage and common.keys() & set(action.option_strings))
        ]
        if own:
            parts.append(_options(own))
            parts.append("")
        if stage:
            parts.append("And the options of every stage.\n")
    return "\n".join(parts)


def _options(actions: Iterable[argparse.Action]) -> str:
    rows = [f"| {_option(action)} | {_line(action.help or '')} |" for action in actions]
    return "\n".join(["| option | meaning |\n|---|---|", *rows])


def _commands() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """Name -> what it does and its parser, in the order of `headrace --help`."""
    for action in command_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {each.dest: each.help or "" for each in action._choices_actions}
            return {name: (said[name], parser) for name, parser in action.choices.items()}
    return {}


def _shown(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if action.option_strings != ["-h", "--help"] and action.help is not argparse.SUPPRESS:
            yield action


def _option(action: argparse.Action) -> str:
    value = action.metavar or (
        f"{{{','.join(map(str, action.choices))}}}" if action.choices else ""
    )
    if action.nargs == "?":
        value = f"[{value}]"
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{value or action.dest}`"
    if not action.option_strings or action.nargs == 0:
        return names
    return f"{names} `{value or action.dest.upper()}`".replace("|", "\\|")


def _attribute_docstrings(section: type[BaseModel]) -> dict[str, str]:
    """Field -> the string that stands below it in the source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        one.target.id: two.value.value
        for one, two in itertools.pairwise(body)
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.target, ast.Name)
        and isinstance(two, ast.Expr)
        and isinstance(two.value, ast.Constant)
        and isinstance(two.value.value, str)
    }


def _kind(option: FieldInfo) -> str:
    """What a value may be: its type, and its bounds if it has any."""
    bounds = [
        f"{sign} {value:g}"
        for limit in option.metadata
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
        if (value := getattr(limit, name, None)) is not None
    ]
    return ", ".join([_type_name(option.annotation), *bounds])


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(each) for each in inner if each is not type(None))
    if origin in (list, tuple):
        several = [each for each in inner if each is not Ellipsis]
        if len(set(several)) == 1 and len(several) > 1:
            return f"{len(several)} of {_type_name(several[0])}"
        return f"list of {_type_name(several[0])}"
    if origin is dict:
        return f"table of {_type_name(inner[1])}"
    if hasattr(annotation, "__metadata__"):
        return _type_name(inner[0])
    if annotation.__name__ == "ByteSize":
        return 'bytes, or text such as `"1.5GiB"`'
    for known, name in _TYPES.items():
        if issubclass(annotation, known):
            return name
    return str(annotation.__name__)


def _default(option: FieldInfo) -> str:
    value = option.get_default(call_default_factory=True)
    return "" if value is None else f"`{json.dumps(value, default=list)}`"


def _line(text: str) -> str:
    """Reads as one line, with `*` and `<` as they are."""
    line = " ".join(text.split())
    return re.sub(r"(?<![`\w])([*<])(?![`\w])", r"\\\1", line)


def _paragraphs(text: str) -> str:
    return "\n\n".join(_line(part) for part in inspect.cleandoc(text).split("\n\n"))


PAGES = {"configuration.md": configuration_page, "commands.md": commands_page}


def main(arguments: Sequence[str]) -> int:
    """Write both pages into a folder."""
    (folder,) = arguments
    for name, page in PAGES.items():
        Path(folder, name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
