"""An option of the command line, and a command: what they are called, and what they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class Option:
    """An option of a command, or, where its name has no dashes, a word that stands alone.

    Attributes:
        names: all that it goes by.
        help: what it is for.
        key: of the configuration, which it overrides; empty: none.
        settings: the rest of what `argparse.ArgumentParser.add_argument` takes.
    """

    def __init__(self, *names: str, help: str, key: str = "", **settings: Any) -> None:
        self.names, self.help, self.key, self.settings = names, help, key, settings

    @property
    def named(self) -> tuple[str, ...]:
        """Its names with dashes."""
        return tuple(name for name in self.names if name.startswith("-"))

    @property
    def dest(self) -> str:
        """The attribute of the parsed options that holds its value."""
        return str(self.settings.get("dest", self.names[0].lstrip("-").replace("-", "_")))

    @property
    def value(self) -> str:
        """What is shown in place of its value; empty for a flag."""
        if self.settings.get("action") == "store_true":
            return ""
        choices = self.settings.get("choices")
        shown = f"{{{','.join(choices)}}}" if choices else self.dest.upper()
        shown = self.settings.get("metavar", shown)
        return f"[{shown}]" if self.settings.get("nargs") == "?" else shown

    @property
    def is_optional(self) -> bool:
        """Whether a command runs without it."""
        return bool(self.named) and not self.settings.get("required")


def flag(*names: str, help: str, **settings: Any) -> Option:
    """An option without a value."""
    return Option(*names, help=help, action="store_true", **settings)


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        name: the word that it is called by.
        help: what it does, in a line.
        run: "module:function"; it takes the parsed options, and returns what is JSON-able.
        options: in the order of its help.
    """

    name: str
    help: str
    run: str
    options: tuple[Option, ...]

    @property
    def option_names(self) -> list[str]:
        """Every name of every option."""
        return ["-h", "--help", *(name for option in self.options for name in option.names)]
