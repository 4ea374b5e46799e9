"""Runs below a folder, read from what each has written so far; no store and no network."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.pipeline.config.load import load_config
from headrace.pipeline.evaluation.metrics import Metrics, read_metrics
from headrace.pipeline.experiments.crossval_result import CrossvalResult, read_crossval
from headrace.pipeline.runs.folder import (
    CROSSVAL_FIRST_FOLD,
    CROSSVAL_RESULT,
    RunFolder,
    is_crossval,
)
from headrace.pipeline.runs.history import read_history
from headrace.pipeline.runs.record import recorded_config, recorded_fingerprint
from headrace.stores.errors import ARCHIVE_ERRORS, RunError, UserError, first_line

VALIDATED = ("val_loss", "val_accuracy", "val_macro_f1")
"""Columns of log.csv that say how well the best epoch did."""
TESTED = {
    "accuracy": ("plain", "accuracy"),
    "macro_f1": ("plain", "macro_f1"),
    "views_accuracy": ("tta", "accuracy"),
    "views_macro_f1": ("tta", "macro_f1"),
}
"""Scores of the test folds: name -> classifier and headline of `Metrics`."""
OF_A_RUN = ("config.toml", "store.json", "model.keras")
"""Any of them makes a folder a run."""
OF_RESULTS = ("ablation.json", "pace.json")
"""Any of them makes a folder that of results: its runs are elsewhere."""
NORMALISATION = ("layers/raw_normalisation/", "layers/feature_normalisation/")
"""How the names of weights begin that no training changes."""


@dataclass(frozen=True)
class FoundRun:
    """A run, whatever its state.

    Attributes:
        run: its folder.
        name: of its configuration.
        store: path or address of its store; empty: not recorded.
        fingerprint: of that store.
        epochs: that are finished, and that were asked for.
        best: row of log.csv with the lowest validation loss; empty before the first.
        metrics: of its evaluation, if there is one.
        parameters: weights of the trained network, without its normalisation; None: not complete.
    """

    run: RunFolder
    name: str
    store: str
    fingerprint: str
    epochs: tuple[int, int]
    best: Mapping[str, float]
    metrics: Metrics | None
    parameters: int | None

    @property
    def folder(self) -> Path:
        """Its own."""
        return self.run.path

    @property
    def state(self) -> str:
        """`interrupted` (or running at this moment), `complete` or `evaluated`."""
        if not self.run.complete:
            return "interrupted"
        return "complete" if self.metrics is None else "evaluated"

    @property
    def changed(self) -> float:
        """Seconds since 1970 of the last change to its files, as the file system has it."""
        run = self.run
        files = (run.config, run.log, run.refit_log, run.model, run.metrics)
        return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)

    def scores(self) -> dict[str, float]:
        """Those of SCORES that are known; averaged views only where there are several."""
        found: dict[str, float] = {}
        if self.metrics is not None:
            kinds = self.metrics.scores()
            shown = kinds if len(self.metrics.views) > 1 else {"plain"}
            found = {
                name: getattr(kinds[kind], key)
                for name, (kind, key) in TESTED.items()
                if kind in shown
            }
        return found | {name: self.best[name] for name in VALIDATED if name in self.best}


@dataclass(frozen=True)
class FoundCrossval:
    """A cross-validation, whatever its state.

    Attributes:
        folder: its own.
        name: of its configuration.
        result: its scores; None: not complete.
        changed: seconds since 1970 of the last change to its result, or its first fold's start.
    """

    folder: Path
    name: str
    result: CrossvalResult | None
    changed: float

    @property
    def state(self) -> str:
        """`interrupted` (or running at this moment), or `complete`."""
        return "interrupted" if self.result is None else "complete"

    def scores(self) -> dict[str, float]:
        """Means over the folds, with views averaged."""
        if self.result is None:
            return {}
        means = self.result.tta
        return {"views_accuracy": means.accuracy.mean, "views_macro_f1": means.macro_f1.mean}


@dataclass
class Found:
    """What is below a folder.

    Attributes:
        runs: in no particular order.
        crossvals: in no particular order.
        damaged: folder -> why it, or a part of it, cannot be read.
        foreign: folders without a run, the topmost of each.
    """

    runs: list[FoundRun] = field(default_factory=list)
    crossvals: list[FoundCrossval] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)


def find_runs(folder: Path) -> Found:
    """Look for runs in `folder` and all folders below it, links included.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise RunError(
            f"{folder} is no folder. Name the one that holds the runs: headrace runs FOLDER"
        )
    return _look(folder, set())


def _look(folder: Path, seen: set[Path]) -> Found:
    found = Found()
    try:
        real = folder.resolve()
        if real in seen:
            return found
        seen.add(real)
        if any((folder / name).is_file() for name in OF_A_RUN):
            _add(RunFolder(folder), found)
            return found
        crossed = is_crossval(folder)
        if crossed:
            _add_crossval(folder, found)
        ours = crossed or any((folder / name).is_file() for name in OF_RESULTS)
        with os.scandir(folder) as entries:
            names = sorted(each.name for each in entries if each.is_dir())
    except (OSError, RuntimeError) as error:  # Of a circle of links: RuntimeError.
        found.damaged[str(folder)] = first_line(error)
        return found
    for below in (_look(folder / name, seen) for name in names if not name.startswith(".")):
        found.runs += below.runs
        found.crossvals += below.crossvals
        found.damaged |= below.damaged
        found.foreign += below.foreign
    if not (ours or found.runs or found.crossvals or found.damaged):
        return Found(foreign=[str(folder)])
    return found


def _add_crossval(folder: Path, found: Found) -> None:
    first, result = folder / CROSSVAL_FIRST_FOLD, folder / CROSSVAL_RESULT
    try:
        found.crossvals.append(
            FoundCrossval(
                folder=folder,
                name=load_config(first).name if first.is_file() else "",
                result=read_crossval(folder) if result.is_file() else None,
                changed=max(file.stat().st_mtime for file in (first, result) if file.is_file()),
            )
        )
    except UserError as error:
        found.damaged[str(folder)] = first_line(error)


def _add(run: RunFolder, found: Found) -> None:
    """Add a run; what is damaged of it is named, and the rest shown."""
    try:
        config, fingerprint = recorded_config(run), recorded_fingerprint(run)
    except (UserError, OSError) as error:
        found.damaged[str(run.path)] = first_line(error)
        return
    parts: dict[str, Any] = {}
    for file, read in (
        (run.log, lambda: read_history(run.log)),
        (run.metrics, lambda: read_metrics(run)),
        (run.model, lambda: _parameters(run.model)),
    ):
        try:
            parts[file.name] = read() if file.is_file() else None
        except UserError as error:
            found.damaged[str(run.path)] = first_line(error)
    history = parts.get(run.log.name) or []
    validated = [row for row in history if {"val_loss", "epoch"} <= row.keys() and _is_finite(row)]
    found.runs.append(
        FoundRun(
            run=run,
            name=config.name,
            store="" if config.paths.store is None else str(config.paths.store),
            fingerprint=fingerprint,
            epochs=(len(history), config.train.epochs),
            best=min(validated, key=lambda row: row["val_loss"], default={}),
            metrics=parts.get(run.metrics.name),
            parameters=parts.get(run.model.name),
        )
    )


def _is_finite(row: Mapping[str, float]) -> bool:
    return all(map(math.isfinite, row.values()))


def _parameters(model: Path) -> int:
    """Weights in a model's archive; Keras does not compress it, so headers alone are read.

    Raises:
        UserError: it is damaged.
    """
    import h5py

    counts: list[int] = []

    def count(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and not name.startswith(NORMALISATION):
            counts.append(math.prod(node.shape))

    try:
        with (
            zipfile.ZipFile(model) as archive,
            archive.open("model.weights.h5") as stream,
            h5py.File(stream) as weights,
        ):
            weights.visititems(count)
    except ARCHIVE_ERRORS as error:
        raise RunError(f"{model} is damaged ({first_line(error)}).") from error
    return sum(counts)
