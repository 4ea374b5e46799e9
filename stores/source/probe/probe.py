"""What is done with a source in a child first: libraries can crash on a stranger's file.

pyarrow ends the process on some damaged Parquet footers, and libhdf5 on some damaged trees. So
nothing of this process opens a source before a child has opened it, read some of it, and lived.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from headrace.stores import errors
from headrace.stores.errors import SourceError, UserError, first_line
from headrace.stores.io.places import Place, unpacked
from headrace.stores.source.files.census import census_from
from headrace.stores.source.files.located import folder_of
from headrace.stores.source.files.many import files_changed
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.child import DONE, REFUSED, limit, run_child
from headrace.stores.source.probe.found import Contents, Stretches, contents_of_json
from headrace.stores.source.probe.looking import look
from headrace.stores.source.probe.missing import Missing, missing_of
from headrace.stores.source.probe.stretches import stretches_of
from headrace.stores.source.source import Source, open_source


def open_stranger(path: Place, options: SourceOptions) -> Source:
    """`open_source`, once a child process has done so, read some of the data, and lived.

    Raises:
        UserError: as `open_source`; or the child was ended by a signal, or took too much.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        kept = Path(folder) / "census.npz"
        given = {"options": options.model_dump_json(), "census": str(kept)}
        _ask("open", path, json.dumps(given))
        census = census_from(kept, folder_of(path)) if kept.is_file() else None
    if census is not None and files_changed(census):
        census = None
    return open_source(path, options, census)


def look_at(path: Place) -> Contents:
    """What a file, or some files of a folder, a glob or a table hold, found by a child process.

    Raises:
        UserError: it is of no known format, or crashes what reads it.
    """
    return contents_of_json(_ask("contents", path, ""))


def look_at_stretches(path: Place, options: SourceOptions) -> Stretches:
    """How long labels last in the recordings of a source, found by a child process.

    Raises:
        UserError: as `open_stranger`.
    """
    return Stretches(**json.loads(_ask("stretches", path, options.model_dump_json())))


def look_at_missing(path: Place, options: SourceOptions) -> Missing:
    """Where values of a source are missing, found by a child process.

    Raises:
        UserError: as `open_stranger`.
    """
    return Missing(**json.loads(_ask("missing", path, options.model_dump_json())))


def _ask(purpose: str, path: Place, given: str) -> str:
    """What the child prints.

    Raises:
        UserError: as the child did; or the child was ended.
    """
    child = _run_child(purpose, path, given)
    if child.returncode == REFUSED:
        refusal = json.loads(child.stdout)
        kind: type[UserError] = getattr(errors, refusal["kind"], SourceError)
        raise kind(refusal["message"])
    return child.stdout


_run_child = run_child


def main() -> int:
    """The child: do what the first argument names with the source that the second one packs."""
    purpose, source, *opened = sys.argv[1:]
    limit(unpacked(source), *map(int, opened))
    return answer(purpose, source)


def answer(purpose: str, packed_source: str) -> int:
    """Print what is found, or the refusal, as JSON; what is given stands on standard input."""
    path, given = unpacked(packed_source), sys.stdin.read()
    try:
        print(_ANSWERS[purpose](path, given))
    except UserError as error:
        print(json.dumps({"kind": type(error).__name__, "message": str(error)}))
        return REFUSED
    except MemoryError as error:
        print(json.dumps({"kind": "SourceError", "message": _too_large(path, error)}))
        return REFUSED
    return DONE


def _too_large(path: Place, error: MemoryError) -> str:
    return (
        f"The source {path} takes more memory to open than this machine has free "
        f"({first_line(error)}). Free some; or it is damaged: restore it."
    )


def _open(path: Place, given: str) -> str:
    asked = json.loads(given)
    with open_source(path, SourceOptions.model_validate_json(asked["options"])) as source:
        found = source.fingerprint()
        if source.census is not None:
            Path(asked["census"]).write_bytes(source.census.to_bytes())
        return found


def _contents(path: Place, _: str) -> str:
    return look(path).as_json()


def _stretches(path: Place, given: str) -> str:
    return stretches_of(path, SourceOptions.model_validate_json(given)).as_json()


def _missing(path: Place, given: str) -> str:
    return missing_of(path, SourceOptions.model_validate_json(given)).as_json()


_ANSWERS = {
    "open": _open,
    "contents": _contents,
    "stretches": _stretches,
    "missing": _missing,
}
