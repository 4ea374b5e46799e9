"""Writes the docs' reference from the code: `python -m docs.generate.reference FOLDER`."""

from __future__ import annotations

import inspect
import json
import re
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from headrace.pipeline.cli.option import Option
from headrace.pipeline.cli.parser import COMMANDS, STAGE_OPTIONS, as_sentence
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.marks import Affects, affects
from headrace.pipeline.process.exit_codes import in_words
from headrace.stores.marks import OwnSection

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

_COMMANDS = f"""# Commands

Generated from the command line's table; do not edit, run `python -m docs.generate.reference
docs/reference`.

`make STAGE` runs `headrace STAGE` and what it needs before it, with `CONFIG=`, `DATA=`, `STORE=`,
`RUN=`, `BUDGET=` and `SET=` for the options of these names.

Exit codes: {in_words()}.
"""

_TYPES = {bool: "true or false", int: "integer", float: "number", str: "text", PurePath: "path"}


def configuration_page() -> str:
    """Every section and key of a configuration, as Markdown."""
    parts = [_CONFIGURATION]
    for name, field in Config.model_fields.items():
        section = field.annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            continue
        parts.append(f"## `[{name}]`\n\n{_paragraphs(section.__doc__ or '')}\n")
        parts += [*_keys(section, affects(field)), ""]
        for key, option in section.model_fields.items():
            table = _table(option.annotation)
            if table is not None and OwnSection not in option.metadata:
                parts.append(f"### `{name}.{key}`\n\n{_paragraphs(table.__doc__ or '')}\n")
                parts += [*_keys(table, affects(option) or affects(field)), ""]
    return "\n".join(parts)


def _keys(section: type[BaseModel], otherwise: Affects | None) -> Iterator[str]:
    """Lines of a table of keys; those without a mark of their own affect what is given."""
    yield "| key | value | default | affects | meaning |\n|---|---|---|---|---|"
    for key, option in section.model_fields.items():
        if OwnSection in option.metadata:
            continue
        affected = affects(option) or otherwise
        row = (
            f"`{key}`",
            _kind(option),
            _default(option),
            affected.value if affected else "",
            _line(option.description or ""),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _table(annotation: Any) -> type[BaseModel] | None:
    """The table that a key takes, or a list of such; None: it takes values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table, get_args(annotation))), None)


def commands_page() -> str:
    """Every command and its options, as Markdown."""
    parts = [_COMMANDS, "## Options of every stage\n", _options(STAGE_OPTIONS), ""]
    for command in COMMANDS.values():
        needed = [option for option in command.options if not option.is_optional]
        words = [" ".join([*option.named, option.value]) for option in needed]
        usage = " ".join(["headrace", command.name, *words, "[options]"])
        about = as_sentence(_line(command.help))
        parts.append(f"## `{command.name}`\n\n{about}\n\n```text\n{usage}\n```\n")
        stage = set(STAGE_OPTIONS) <= set(command.options)
        if own := [each for each in command.options if not (stage and each in STAGE_OPTIONS)]:
            parts += [_options(own), ""]
        if stage:
            parts.append("And the options of every stage.\n")
    return "\n".join(parts)


def _options(options: Iterable[Option]) -> str:
    rows = [f"| {_option(option)} | {_line(option.help)} |" for option in options]
    return "\n".join(["| option | meaning |\n|---|---|", *rows])


def _option(option: Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.named)
    value = f"`{option.value}`" if option.value else ""
    return f"{names} {value}".strip().replace("|", "\\|")


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
    if issubclass(annotation, BaseModel):
        return "table"
    for known, name in _TYPES.items():
        if issubclass(annotation, known):
            return name
    return str(annotation.__name__)


def _default(option: FieldInfo) -> str:
    if option.is_required():
        return "needed"
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
