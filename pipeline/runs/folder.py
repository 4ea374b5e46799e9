"""The run folder: where one training lives, what its files are called, and its only writer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.pipeline.config.config import Config, digest
from headrace.stores.errors import RunError
from headrace.stores.io import disk
from headrace.stores.io.lock import locked

RUNS = Path("runs")
"""Default parent of all runs, in the working directory."""


CROSSVAL_RESULT = "crossval.json"
CROSSVAL_FIRST_FOLD = "fold-0.toml"
"""Of a cross-validation's folder: what it came to; and the configuration of its first fold, the
others differ in the fold alone."""


def is_crossval(folder: Path) -> bool:
    """Whether it is the folder of a cross-validation, complete or not."""
    return any((folder / name).is_file() for name in (CROSSVAL_RESULT, CROSSVAL_FIRST_FOLD))


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
    def code(self) -> Path:
        """Copies of the files that the user's own functions are made of; none without any."""
        return self.path / "code"

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

    def source_report(self, fingerprint: str) -> Path:
        """The page of scores on another source, HTML; beside it the same as JSON."""
        return self.path / "sources" / f"{fingerprint[:16]}.html"

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


def sweep(run: RunFolder) -> None:
    """Remove what interrupted writes have left of a run's own files; the caller is its writer."""
    for folder in (run.path, run.state.parent):
        disk.remove_strays(folder)


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
