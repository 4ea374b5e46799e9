"""What a run records of itself when it starts, and what it refuses to go on with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.functions import copied_sources
from headrace.pipeline.config.load import config_bytes, load_config
from headrace.pipeline.config.marks import resource_keys
from headrace.pipeline.config.sections import StreamOptions
from headrace.pipeline.rows.split import Split
from headrace.pipeline.runs.folder import CROSSVAL_RESULT, RunFolder, is_crossval, sweep
from headrace.pipeline.runs.inputs import ModelInputs, inputs_from_table
from headrace.stores.errors import FunctionError, RunError, first_line
from headrace.stores.io import disk

BIT_DECIDING = ("tensorflow", "keras", "numpy", "numba")
"""Distributions whose version may change a weight's last bit: a run is not resumed across them."""
ORDER, ORDER_VERSION = "order of rows", "2"
"""Changes with `pipeline.rows.order`: an epoch half done must not go on in another order."""


def refuse_unfit(run: RunFolder, config: Config, fingerprint: str) -> None:
    """Check that a folder is free for this run, or already of this very run.

    Raises:
        UserError: the folder holds something else, or a run of another config or store, or an
            incomplete run of other library versions.
    """
    if not run.config.is_file():
        _refuse_foreign(run.path)
        return
    _refuse_other_run(run, config, fingerprint)
    if not run.complete:
        _refuse_other_versions(run)


def record_run(
    run: RunFolder,
    config: Config,
    fingerprint: str,
    split: Mapping[str, Any],
    inputs: ModelInputs,
) -> None:
    """Write down what a new run is; the caller is its only writer, and `refuse_unfit` passed.

    Args:
        run: nothing is written over one that is recorded already.
        config: resolved, with absolute paths.
        fingerprint: the store's.
        split: JSON-able; what the run goes on with, and is evaluated on.
        inputs: what the network takes.
    """
    if not run.config.is_file():
        # How far to read ahead is the affair of each start's own budget.
        read_ahead = set(resource_keys(StreamOptions))
        recorded = config_bytes(_with_own_code(run, config), {"stream": read_ahead})
        disk.write_bytes(run.versions, json_bytes(current_versions()))
        trained_on = {
            "fingerprint": fingerprint,
            "split": split,
            "inputs": inputs.as_table(),
            "config": hashlib.sha256(recorded).hexdigest(),
        }
        disk.write_bytes(run.store, json_bytes(trained_on))
        # Last of the three: it marks the folder as a run.
        disk.write_bytes(run.config, recorded)
    sweep(run)


def _with_own_code(run: RunFolder, config: Config) -> Config:
    """Copy the files of the user's functions into the run, which is used with those from then on.

    Raises:
        UserError: one was changed since the run's name was made of it.
    """
    sources = copied_sources(config)
    if not sources.digests():
        return config
    known = config.code.sources
    if any(digest != known.get(name, digest) for name, digest in sources.digests().items()):
        raise FunctionError("A file of your own functions was changed meanwhile. Start again.")
    for path, content in sources.files.items():
        disk.make_folder((run.code / path).parent)
        disk.write_bytes(run.code / path, content)
    # Relative to the run's own config.
    return config.changed("code", folder=Path(run.code.name))


def recorded_config(run: RunFolder) -> Config:
    """The resolved config that a run records.

    Raises:
        UserError: the folder holds no run, or another config than was recorded.
    """
    if not run.config.is_file():
        refuse_crossval(run.path)
        raise RunError(
            f"{run.path} holds no run (no config.toml). Train first: headrace train, with the "
            "same options."
        )
    # Runs of before it was kept have no digest of it.
    digest = _recorded(run.store, "fingerprint").get("config")
    if digest and hashlib.sha256(run.config.read_bytes()).hexdigest() != digest:
        raise RunError(
            f"{run.config} is not what the run was started with. Restore it, or train again: "
            "headrace train --new."
        )
    return load_config(run.config)


def refuse_crossval(path: Path) -> None:
    """Check that a folder is not that of a cross-validation, which has several runs.

    Raises:
        UserError: it is; names the runs of its folds, as far as they are recorded.
    """
    if not is_crossval(path):
        return
    try:
        folds = json.loads((path / CROSSVAL_RESULT).read_bytes())["folds"]
        runs = [str(fold["run"]) for fold in folds]
    except (OSError, ValueError, KeyError, TypeError):
        runs = []
    way = f"--run {', or '.join(runs[:3])}" if runs else "headrace runs lists them"
    raise RunError(
        f"{path} is a cross-validation, which is not one run but one for each fold. Name that of a "
        f"fold: {way}. Two cross-validations are compared by: headrace compare {path} OTHER"
    )


def recorded_fingerprint(run: RunFolder) -> str:
    """The fingerprint of the store that a run was trained on."""
    return str(_recorded(run.store, "fingerprint")["fingerprint"])


def recorded_split(run: RunFolder) -> Split:
    """The folds that a run was started with, whatever this version would choose.

    Raises:
        UserError: the record is missing or damaged.
    """
    try:
        split = TypeAdapter(Split).validate_python(_recorded(run.store, "split")["split"])
    except ValidationError as error:
        raise _damaged_split(run) from error
    parts = (split.train, split.validation, split.test)
    if not all(parts) or len({*split.train, *split.validation, *split.test}) < sum(map(len, parts)):
        raise _damaged_split(run)
    return split


def _damaged_split(run: RunFolder) -> RunError:
    return RunError(f"{run.store} is damaged (its split). Train again: headrace train --new.")


def recorded_inputs(run: RunFolder) -> ModelInputs | None:
    """What the network of a run takes; None for a run of before it was recorded.

    Raises:
        UserError: the record is damaged.
    """
    found = _recorded(run.store, "fingerprint")
    return inputs_from_table(found["inputs"], run.store) if "inputs" in found else None


def recorded_versions(run: RunFolder) -> Mapping[str, Any]:
    """Versions of what trained a run.

    Raises:
        UserError: the record is missing or damaged.
    """
    return _recorded(run.versions, "python")


def _recorded(path: Path, key: str) -> Mapping[str, Any]:
    """What a run records in a JSON file, `key` among it.

    Raises:
        UserError: it is not there, or damaged.
    """
    try:
        found = json.loads(path.read_bytes())
        found[key]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{path} is missing or damaged ({first_line(error)}). Train again: "
            "headrace train --new."
        ) from error
    return dict(found)


def current_versions() -> dict[str, str]:
    """Python and every distribution that a run's result or its files depend on."""
    found = {"python": platform.python_version(), ORDER: ORDER_VERSION}
    for name in (*BIT_DECIDING, "headrace", "zarr", "numcodecs", "scipy", "scikit-learn"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """JSON for people: indented, and ended by a line break."""
    return (json.dumps(value, indent=2) + "\n").encode()


def _refuse_foreign(path: Path) -> None:
    # A start that was cut short leaves some of these, or one of them under a temporary name.
    ours = ("versions.json", "store.json", "config.toml.", "code")
    found = [child.name for child in path.iterdir()] if path.is_dir() else []
    if path.is_file() or not all(name.startswith(ours) for name in found):
        raise RunError(
            f"{path} is not a run folder and not empty. Name a new folder with --run, or none: "
            "the default is made of the config and the store."
        )


def _refuse_other_run(run: RunFolder, config: Config, fingerprint: str) -> None:
    changed = _changed_keys(recorded_config(run).run_keys(), config.run_keys())
    if changed:
        raise RunError(
            f"The run {run.path} was started with other options ({'; '.join(changed)}). "
            f"Continue it with --config {run.config}, or name another folder with --run."
        )
    recorded = recorded_fingerprint(run)
    if recorded != fingerprint:
        raise RunError(
            f"The run {run.path} was started on another store (fingerprint {recorded[:16]}, "
            f"this one has {fingerprint[:16]}). Name that store with --store, or another "
            "folder with --run."
        )


def same_versions(run: RunFolder) -> bool:
    """Whether what decides a weight's last bit is of the versions that a run was started with."""
    return not _changed_versions(run)


def _changed_versions(run: RunFolder) -> list[str]:
    recorded = recorded_versions(run)
    current = current_versions()
    return [
        f"{name} {recorded.get(name)}, now {current.get(name)}"
        # Runs of before Numba normalised batches do not name it.
        for name in (*(each for each in BIT_DECIDING if each in recorded), ORDER)
        if recorded.get(name) != current.get(name)
    ]


def _refuse_other_versions(run: RunFolder) -> None:
    changed = _changed_versions(run)
    if changed:
        raise RunError(
            f"The run {run.path} was started with {'; '.join(changed)}: resumed, it would not "
            "give the same weights. Install those versions, or start another with --new."
        )


def _changed_keys(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """`section.key = old, not new` of the first three keys that differ."""
    old, new = dict(flat_table(recorded)), dict(flat_table(wanted))
    changed = [
        f"{key} = {old.get(key)}, not {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    more = [f"{len(changed) - 3} more"] if len(changed) > 3 else []
    return changed[:3] + more


def flat_table(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`section.key`, value of every key of a nested table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat_table(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
