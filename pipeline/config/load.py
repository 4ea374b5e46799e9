"""A configuration from TOML and overrides, or one line that says what is wrong, and back."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.functions import named_functions
from headrace.pipeline.config.marks import Says
from headrace.stores.errors import ConfigError

MOST_CONFIG_BYTES = 1 << 20
HDF5_BEGINS = b"\x89HDF\r\n"


def load_config(
    file: Path | None = None,
    overrides: Iterable[str] = (),
    name: str | None = None,
) -> Config:
    """Read a TOML file, apply `section.key=value` overrides and validate.

    The config is called after its file; without one `name`, else "default".

    Values of overrides are TOML where they parse as TOML, else text: `train.epochs=3`,
    `memory.budget=2GiB`, `folds.test_groups=["3", "7"]`.

    Raises:
        UserError: the file is missing or not TOML, a key is unknown (with the closest name), a
            value is out of its range, or two overrides are of one key.
    """
    table: dict[str, Any] = {} if file is None else _read_toml(file)
    table.setdefault("name", file.stem if file is not None else name or "default")
    # The file alone first, so that its own faults are told from those of the command line.
    config = config_from_table(table, str(file))
    given: dict[str, str] = {}
    for override in overrides:
        key, value = _apply(table, override)
        if key in given:
            raise ConfigError(f"{key} is given twice, as {given[key]} and {value}: keep one.")
        given[key] = value
    if given:
        config = config_from_table(table, "the command line")
    return _with_code_folder(config, file)


def config_from_table(table: Mapping[str, Any], where: str) -> Config:
    """Validate a nested table; `where` is named in the error.

    Raises:
        UserError: as `load_config`.
    """
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_problem(error)}") from error


def config_bytes(config: Config, left_out: Mapping[str, set[str]] | None = None) -> bytes:
    """A config as TOML that `load_config` reads back to an equal one, but for keys left out."""
    # TOML has no null: a key that is None is left out, None being its default.
    return tomli_w.dumps(
        config.model_dump(mode="json", exclude_none=True, exclude=dict(left_out or {}))
    ).encode()


def toml_value(value: Any) -> str:
    """A value as TOML, in one line; what TOML has no type for, as a path, is text."""
    if isinstance(value, Mapping):
        inner = (f"{toml_value(key)} = {toml_value(each)}" for key, each in value.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    # JSON's text is TOML's, but for DEL, and for the pairs that JSON writes large code points as.
    return json.dumps(value, default=str, ensure_ascii=False).replace("\x7f", "\\u007f")


def _with_code_folder(config: Config, file: Path | None) -> Config:
    """Where the user's own functions are, if any are named: beside the file, unless it says."""
    if not (named_functions(config) or config.features.custom):
        return config
    # What a shell makes of <(command) is in no folder of the user's.
    beside = file.parent if file is not None and file.is_file() else Path()
    folder = Path(os.path.abspath(beside / (config.code.folder or "")))
    return config.changed("code", folder=folder)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        # What a shell makes of <(command) is a pipe, and has a writer.
        if not file.is_file() and file.exists() and not str(file).startswith("/dev/fd/"):
            raise ConfigError(f"The config {file} is no file. Name another with --config.")
        with file.open("rb") as stream:
            text = stream.read(MOST_CONFIG_BYTES + 1)
        if text.startswith(HDF5_BEGINS):
            raise ConfigError(f"{file} is an HDF5 file, no config. Name it with --data.")
        if len(text) > MOST_CONFIG_BYTES:
            raise ConfigError(f"{file} is too large for a config. Name another with --config.")
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}. Correct that line.") from error
    except RecursionError as error:
        raise ConfigError(f"{file} nests too deeply for a config. Correct it.") from error
    except OSError as error:
        raise ConfigError(
            f"The config {file} cannot be read ({error.strerror}). Name another with --config."
        ) from error


def _apply(table: dict[str, Any], override: str) -> tuple[str, str]:
    """Put an override into the table, and return its key and value, as texts."""
    key, equals, text = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise ConfigError(f"--set takes section.key=value, not {override!r}.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text.strip()
    section = table
    for part in path[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {key}: {part} is a value, not a section.")
    section[path[-1]] = value
    return key.strip(), text.strip()


_PLAIN = {
    "byte_size": 'a size is wanted, such as "1.5GiB"',
    "byte_size_unit": 'a size is wanted, such as "1.5GiB"',
    "model_type": "this is a section: write its keys below a line [section], or section.key=value",
    "list_type": 'a list is wanted, such as ["a", "b"]',
    "tuple_type": 'a list is wanted, such as ["a", "b"]',
    "dict_type": 'a table is wanted, such as {acc = ["x", "y", "z"]}',
    "int_parsing": "a whole number is wanted",
    "int_from_float": "a whole number is wanted",
    "float_parsing": "a number is wanted",
    "bool_parsing": "true or false is wanted",
}
"""Our words for pydantic's kinds of error where its own lead no further."""


def _first_problem(error: ValidationError) -> str:
    """One line for the first of pydantic's complaints: the key, the rule, the value."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    others = len({each["loc"][:2] for each in error.errors()}) - 1
    more = f" ({others} more problem{'s' * (others > 1)})" if others else ""
    if problem["type"] == "extra_forbidden":
        known, wrong = _known_keys(problem["loc"][:-1]), str(problem["loc"][-1])
        close = difflib.get_close_matches(wrong, known, n=1)
        section = "".join(f"{part}." for part in problem["loc"][:-1])
        meant = [f"{section}{close[0]}"] if close else keys_called(wrong)
        hint = f"Did you mean {meant[0]}?" if meant else f"Known keys: {', '.join(known)}."
        return f"unknown key {key}. {hint}{more}"
    shown = f" = {problem['input']!r}" if key and not isinstance(problem["input"], dict) else ""
    said = _said(problem["loc"]) if problem["type"].startswith("string_") else None
    message = said or _PLAIN.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    return f"{key}{shown}: {message.rstrip('.')}.{more}" if key else f"{message.rstrip('.')}.{more}"


def keys_called(name: str) -> list[str]:
    """`section.key` of every key of that name."""
    return [
        f"{section}.{name}" for section in Config.model_fields if name in _known_keys((section,))
    ]


def _known_keys(path: Iterable[int | str]) -> list[str]:
    model: Any = Config
    for part in path:
        field = _fields(model).get(str(part))
        model = field.annotation if field else None
    return list(_fields(model))


def _said(path: Iterable[int | str]) -> str | None:
    """What the last key of `path` says itself; behind it may be the number of an item."""
    model: Any = Config
    said = None
    for part in path:
        if field := _fields(model).get(str(part)):
            model = field.annotation
            said = next((mark.sentence for mark in field.metadata if isinstance(mark, Says)), None)
    return said


def _fields(model: Any) -> dict[str, FieldInfo]:
    """Of a section; none of a value."""
    return getattr(model, "model_fields", {})
