"""The run folder: where one training lives, what it records, whether it is complete."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from headrace.pipeline.config.config import Config, digest
from headrace.pipeline.config.load import config_bytes, load_config
from headrace.pipeline.memory.machine import usable_cores
from headrace.pipeline.rows.split import Split
from headrace.pipeline.runs.inputs import ModelInputs, inputs_from_table
from headrace.stores.errors import RunError, first_line
from headrace.stores.io import disk
from headrace.stores.io.lock import locked

RUNS = Path("runs")
"""Default parent of all runs, in the working directory."""

BIT_DECIDING = ("tensorflow", "keras", "numpy", "numba")
"""Distributions whose version may change a weight's last bit: a run is not resumed across them."""
ORDER, ORDER_VERSION = "order of rows", "2"
"""Changes with `pipeline.order`: an epoch half done must not go on in another order."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one training. `model` is written last: its presence says complete."""

    path: Path

    @property
    def model(self) -> Path:
        """The trained network with its normalisation, Keras format."""
        return self.path / "model.keras"

    @property
    def config(self) -> Path:
        """The resolved configuration, TOML."""
        return self.path / "config.toml"

    @property
    def store(self) -> Path:
        """What the run was trained on, JSON: fingerprint, split, inputs of the network,
        and the config's SHA-256."""
        return self.path / "store.json"

    @property
    def versions(self) -> Path:
        """Versions of what trained it, JSON."""
        return self.path / "versions.json"

    @property
    def log(self) -> Path:
        """One row an epoch, CSV."""
        return self.path / "log.csv"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def state(self) -> Path:
        """What an interrupted training is resumed from, NumPy archive."""
        return self.path / "state" / "state.npz"

    @property
    def refit_state(self) -> Path:
        """The same of the second training, when there is one."""
        return self.path / "state" / "refit.npz"

    @property
    def refit_log(self) -> Path:
        """One row an epoch of the second training, CSV."""
        return self.path / "refit.csv"

    @property
    def curves(self) -> Path:
        """Learning curves, PNG."""
        return self.path / "curves.png"

    @property
    def metrics(self) -> Path:
        """Scores of the test folds, JSON."""
        return self.path / "metrics.json"

    @property
    def report(self) -> Path:
        """The scores and figures in one self-contained page, HTML."""
        return self.path / "report.html"

    @property
    def complete(self) -> bool:
        """Whether the training reached its end."""
        return self.model.is_file()


def run_digest(config: Config, fingerprint: str) -> str:
    """Sixteen hex digits of all that decides a run's result: the keys and the store."""
    return digest({"run": config.run_keys(), "store": fingerprint})


def default_run(config: Config, fingerprint: str, runs: Path = RUNS) -> RunFolder:
    """The newest run of this config and store: `runs/<name>/<digest>`, or its last `-2`, `-3`..."""
    return _newest(runs / config.name / run_digest(config, fingerprint))


def next_run(run: RunFolder) -> RunFolder:
    """The folder of another run of the same config and store: the next free suffix."""
    stem, number = _split_suffix(run.path)
    while _suffixed(stem, number).exists():
        number += 1
    return RunFolder(_suffixed(stem, number))


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
        disk.write_bytes(run.versions, json_bytes(current_versions()))
        trained_on = {
            "fingerprint": fingerprint,
            "split": split,
            "inputs": inputs.as_table(),
            "config": hashlib.sha256(config_bytes(config)).hexdigest(),
        }
        disk.write_bytes(run.store, json_bytes(trained_on))
        # Last of the three: it marks the folder as a run.
        disk.write_bytes(run.config, config_bytes(config))
    sweep(run)


def sweep(run: RunFolder) -> None:
    """Remove what interrupted writes have left of a run's own files; the caller is its writer."""
    for folder in (run.path, run.state.parent):
        disk.remove_strays(folder)


def with_threads(run: RunFolder, config: Config) -> Config:
    """`config` with `train.threads`: what the run records, else as named, else the usable cores.

    Raises:
        UserError: another number is named than the run was started with.
    """
    named, recorded = config.train.threads, None
    if run.config.is_file():
        recorded = recorded_config(run).train.threads
    if None not in (named, recorded) and named != recorded:
        raise RunError(
            f"The run {run.path} was started with train.threads = {recorded}, not {named}: with "
            "another number it would not give the same weights. Leave that key out, or start "
            "another with --new."
        )
    threads = recorded or named or usable_cores()
    return config.model_copy(update={"train": config.train.model_copy(update={"threads": threads})})


def recorded_config(run: RunFolder) -> Config:
    """The resolved config that a run records.

    Raises:
        UserError: the folder holds no run, or another config than was recorded.
    """
    if not run.config.is_file():
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


@contextlib.contextmanager
def only_writer(run: RunFolder) -> Iterator[None]:
    """Hold a run's folder, made if missing, as its only writer; no longer than the process lives.

    Raises:
        UserError: another process is writing to it.
    """
    disk.make_folder(run.path)
    busy = RunError(
        f"Another process is writing to the run {run.path}. Wait for it to end, or train another "
        "with --new."
    )
    with locked(run.path, busy):
        yield


def _newest(stem: Path) -> RunFolder:
    newest, number = stem, 2
    while _suffixed(stem, number).exists():
        newest, number = _suffixed(stem, number), number + 1
    return RunFolder(newest)


def _suffixed(stem: Path, number: int) -> Path:
    return stem if number == 1 else stem.with_name(f"{stem.name}-{number}")


def _split_suffix(path: Path) -> tuple[Path, int]:
    stem, dash, number = path.name.rpartition("-")
    if dash and number.isdigit() and path.with_name(stem).exists():
        return path.with_name(stem), int(number)
    return path, 1


def _refuse_foreign(path: Path) -> None:
    # A start that was cut short leaves these two, or one of them under a temporary name.
    ours = ("versions.json", "store.json", "config.toml.")
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


def _refuse_other_versions(run: RunFolder) -> None:
    recorded = recorded_versions(run)
    current = current_versions()
    changed = [
        f"{name} {recorded.get(name)}, now {current.get(name)}"
        # Runs of before Numba normalised batches do not name it.
        for name in (*(each for each in BIT_DECIDING if each in recorded), ORDER)
        if recorded.get(name) != current.get(name)
    ]
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
