"""A disk that fails: at the n-th call, by an error or by losing power, as far as Python can see.

`stores.disk` is the only place that changes files, and it does so through `os`. There an object of
this module stands in for `os` and passes every call on to the real disk. When power fails, what
was not made durable is lost as a file system may lose it: bytes that no fsync followed are cut
off somewhere, and new names whose folder was not synced are gone again: in each folder the latest
first, as many as chance says.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("open", "write", "fsync", "close", "replace", "rename", "mkdir", "link", "unlink", "rmdir")
FAILURE = "as the test wants"
"""What an error of this disk says."""


class PowerLoss(BaseException):
    """The machine is off: nothing of the program runs any more."""


class FailingDisk:
    """In place of `os` in `stores.disk`.

    Attributes:
        calls: how many there were.
        at: number of the call that fails; None for none.
        kind: "error": it fails, and later ones do not; "power": it is done in part or not at all,
            and it is the last.
    """

    def __init__(self, at: int | None, kind: str = "error") -> None:
        self.calls, self.at, self.kind = 0, at, kind
        self._chance = random.Random(at)
        self._names: dict[int, Path] = {}
        self._unsynced: dict[Path, int] = {}
        self._synced: set[Path] = set()
        self._undo: list[tuple[Callable[..., None], list[Path], bytes | None]] = []
        self._off = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*given: Any, **named: Any) -> Any:
            return self._call(name, real, *given, **named)

        return call

    def _call(self, name: str, real: Callable[..., Any], *given: Any, **named: Any) -> Any:
        if self._off:
            raise PowerLoss
        self.calls += 1
        if self.calls - 1 == self.at:
            if name == "write":
                # Torn: a part arrives.
                real(given[0], given[1][: self._chance.randrange(len(given[1]))])
            if self.kind == "power":
                self._lose_power()
                raise PowerLoss
            kind = self._chance.choice((errno.EIO, errno.ENOSPC, errno.EDQUOT))
            raise OSError(kind, FAILURE)
        before = self._before(name, given)
        result = real(*given, **named)
        self._note(name, given, result, before)
        return result

    def _before(self, name: str, given: Any) -> bytes | None:
        """What a rename is about to replace."""
        if name != "replace" or not Path(given[1]).exists():
            return None
        return Path(given[1]).read_bytes()

    def _note(self, name: str, given: Any, result: Any, before: bytes | None) -> None:
        if name == "open":
            self._names[result] = Path(given[0])
            if given[1] & os.O_CREAT:
                self._unsynced[Path(given[0])] = 0
        elif name == "fsync":
            path = self._names[given[0]]
            self._unsynced.pop(path, None)
            self._synced.add(path)
            if path.is_dir():
                self._undo = [each for each in self._undo if each[1][-1].parent != path]
        elif name in ("replace", "rename"):
            source, target = Path(given[0]), Path(given[1])
            if name == "replace" and source not in self._synced:
                self._unsynced.setdefault(source, 0)  # Another library wrote it.
            self._follow(source, target)
            self._undo.append((_take_back, [source, target], before))
        elif name == "mkdir":
            self._undo.append((_remove_folder, [Path(given[0])], None))
        elif name == "link":
            self._undo.append((_unlink, [Path(given[1])], None))

    def _follow(self, source: Path, target: Path) -> None:
        """What was known of `source`, and of what is in it, is known of `target`."""

        def moved(path: Path) -> Path:
            return target / path.relative_to(source) if path.is_relative_to(source) else path

        self._unsynced = {moved(path): size for path, size in self._unsynced.items()}
        self._synced = {moved(path) for path in self._synced}
        self._undo = [(undo, [moved(p) for p in paths], old) for undo, paths, old in self._undo]

    def _lose_power(self) -> None:
        self._off = True
        for path, durable in self._unsynced.items():
            if path.is_file():
                size = path.stat().st_size
                os.truncate(path, self._chance.randint(min(durable, size), size))
        lost = []
        for folder in sorted({paths[-1].parent for _, paths, _ in self._undo}):
            own = [n for n, (_, paths, _) in enumerate(self._undo) if paths[-1].parent == folder]
            lost += own[self._chance.randint(0, len(own)) :]
        for number in sorted(lost, reverse=True):
            undo, paths, before = self._undo[number]
            undo(*paths, before)


def _take_back(source: Path, target: Path, before: bytes | None) -> None:
    if not target.exists() or source.exists() or not source.parent.exists():
        return
    target.rename(source)
    if before is not None:
        target.write_bytes(before)


def _remove_folder(folder: Path, _: None) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _unlink(path: Path, _: None) -> None:
    path.unlink(missing_ok=True)


def install(monkeypatch: Any, disk: FailingDisk) -> None:
    """Let `stores.disk` use `disk` until the test's monkeypatch is undone."""
    monkeypatch.setattr("headrace.stores.io.disk.os", disk)
