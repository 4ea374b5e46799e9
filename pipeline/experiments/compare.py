"""Runs, or cross-validations, side by side: scores, keys that differ, and what may be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.model.intervals import LEAST_GROUPS, paired_accuracy
from headrace.pipeline.config.load import load_config
from headrace.pipeline.evaluation.metrics import HEADLINES, GroupScores, read_metrics
from headrace.pipeline.experiments.crossval_result import read_crossval
from headrace.pipeline.runs.folder import (
    CROSSVAL_FIRST_FOLD,
    CROSSVAL_RESULT,
    RunFolder,
    is_crossval,
)
from headrace.pipeline.runs.record import flat_table, recorded_config, recorded_fingerprint
from headrace.stores.errors import RunError
from headrace.stores.text import shortened

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console

MOST_DIFFERENCES = 30


@dataclass(frozen=True)
class Compared:
    """An evaluated run, or a cross-validation; scores are with views averaged.

    Attributes:
        path: its folder.
        folds: the groups that each fold tests; None: it is a run.
        texts: of the table.
        scores: JSON-able, by name.
        per_group: of the groups tested.
        config: its keys, flat: section.key -> value.
        fingerprint: of its store.
    """

    path: Path
    folds: list[list[str]] | None
    texts: Sequence[str]
    scores: Mapping[str, Any]
    per_group: Mapping[str, GroupScores]
    config: Mapping[str, Any]
    fingerprint: str


def run_compare(paths: Sequence[Path], console: Console) -> dict[str, Any]:
    """Print the scores of evaluated runs, or of cross-validations, and of each against the first.

    The difference of accuracy is paired by group: its 95 % interval is of groups drawn anew for
    both alike, so what makes a group hard for both does not widen it.

    Args:
        paths: folders of runs; or folders of cross-validations, or their crossval.json.
        console: where to speak.

    Returns:
        JSON-able: `runs` (of cross-validations: `crossvals`), each with its scores and the keys
        that differ; `differences`, of accuracy to the first with interval, None where runs tested
        other groups.

    Raises:
        UserError: a folder holds neither, or one that is not complete; both kinds are named; or
            cross-validations are of other stores, folds or windows.
    """
    found = [_read(path) for path in paths]
    first = found[0]
    for other in found[1:]:
        _refuse_unlike(first, other)
    differences = [_difference(first, other) for other in found[1:]]
    differing = _differing_keys(found)
    kind, title, more = ("run", "Test groups, views averaged", [])
    if first.folds is not None:
        title = "All folds, views averaged: mean and standard deviation"
        kind, more = ("crossval", ["accuracy of all windows"])
    columns = (kind, "accuracy", "macro-F1", "balanced accuracy", *more)
    console.table(title, columns, [(_name(each), *each.texts) for each in found])
    for other, difference in zip(found[1:], differences, strict=True):
        console.say(_said(first, other, difference))
    if differing:
        console.table(
            "Keys that differ",
            ("key", *(_name(each) for each in found)),
            [
                (key, *(_shown(each.config.get(key)) for each in found))
                for key in differing[:MOST_DIFFERENCES]
            ],
        )
    return {
        f"{kind}s": [
            {
                kind: str(each.path),
                **each.scores,
                "differing": {key: each.config.get(key) for key in differing},
            }
            for each in found
        ],
        "differences": [
            None if each is None else {kind: str(other.path)} | each
            for other, each in zip(found[1:], differences, strict=True)
        ],
    }


def _read(path: Path) -> Compared:
    folder = path.parent if path.name == CROSSVAL_RESULT else path
    return _read_folds(folder) if is_crossval(folder) else _read_run(path)


def _read_run(path: Path) -> Compared:
    run = RunFolder(path)
    config = recorded_config(run)
    scores = read_metrics(run).tta
    found = {"intervals": scores.intervals, "windows": scores.windows}
    return Compared(
        path=path,
        folds=None,
        texts=scores.texts(),
        scores=scores.headlines() | found,
        per_group=scores.per_group,
        config=_flat(config),
        fingerprint=recorded_fingerprint(run),
    )


def _read_folds(folder: Path) -> Compared:
    result = read_crossval(folder)
    scores = {key: getattr(result.tta, key) for key in HEADLINES}
    pooled, edges = result.tta.pooled.accuracy, result.tta.interval()
    texts = [f"{100 * each.mean:.2f} +- {100 * each.sd:.2f} %" for each in scores.values()]
    together = f" [{100 * edges[0]:.1f}, {100 * edges[1]:.1f}]" if edges else ""
    return Compared(
        path=folder,
        folds=[fold.test_groups for fold in result.folds],
        texts=[*texts, f"{100 * pooled:.2f} %{together}"],
        scores={
            **{key: each.model_dump() for key, each in scores.items()},
            "pooled_accuracy": pooled,
            "interval": edges,
            "windows": result.tta.pooled.windows,
        },
        per_group=result.tta.per_group,
        config=_flat(load_config(folder / CROSSVAL_FIRST_FOLD)),
        fingerprint=result.store,
    )


def _flat(config: Config) -> dict[str, Any]:
    evaluate = {"evaluate": config.evaluate.model_dump(mode="json")}
    return dict(flat_table(config.run_keys())) | dict(flat_table(evaluate))


def _refuse_unlike(first: Compared, other: Compared) -> None:
    """Refuse what has no difference that means anything; of runs the scores are shown at least."""
    if (first.folds is None) != (other.folds is None):
        run, folds = sorted((first, other), key=lambda each: each.folds is not None)
        raise RunError(
            f"{run.path} is a run, and {folds.path} is a cross-validation. Name two of one kind."
        )
    if first.folds is None or other.folds is None:
        return
    if first.fingerprint != other.fingerprint:
        raise RunError(
            f"{first.path} is of the store {first.fingerprint[:16]}, and {other.path} of "
            f"{other.fingerprint[:16]}. Only cross-validations of one store are compared."
        )
    if [sorted(fold) for fold in first.folds] != [sorted(fold) for fold in other.folds]:
        raise RunError(
            f"{first.path} has {len(first.folds)} folds, and {other.path} has "
            f"{len(other.folds)}, or other groups in them. Run both with the same split.folds."
        )
    if _windows(first) != _windows(other):
        raise RunError(
            f"{first.path} and {other.path} tested other windows. Run both with the same "
            "evaluate.max_windows."
        )


def _windows(each: Compared) -> dict[str, int]:
    return {name: group.windows for name, group in each.per_group.items()}


def _difference(first: Compared, other: Compared) -> dict[str, Any] | None:
    """Accuracy of `other` less that of `first`; None if other windows were tested."""
    windows = _windows(first)
    if windows != _windows(other):
        return None
    right, other_right = (
        [round(each.per_group[name].accuracy * count) for name, count in windows.items()]
        for each in (first, other)
    )
    value, interval = paired_accuracy(list(windows.values()), right, other_right)
    return {"accuracy": value, "interval": interval}


def _said(first: Compared, other: Compared, difference: dict[str, Any] | None) -> str:
    names = f"{_name(other)} against {_name(first)}"
    if difference is None:
        return f"{names}: other windows were tested, so the scores do not compare."
    points = f"{100 * difference['accuracy']:+.2f} points of accuracy"
    if difference["interval"] is None:
        return f"{names}: {points}; one group says nothing of others."
    low, high = (100 * edge for edge in difference["interval"])
    verdict = "more than chance" if low > 0 or high < 0 else "may be chance"
    groups = len(first.per_group)
    if groups < LEAST_GROUPS:
        verdict = f"{groups} groups are too few to tell that from chance"
    return f"{names}: {points} [{low:+.2f}, {high:+.2f}] over groups: {verdict}."


def _differing_keys(found: Sequence[Compared]) -> list[str]:
    keys = sorted({key for each in found for key in each.config})
    return [key for key in keys if len({repr(each.config.get(key)) for each in found}) > 1]


def _name(each: Compared) -> str:
    """Its folder and the one above: `watch/1f2e...`."""
    return "/".join(each.path.parts[-2:])


def _shown(value: Any) -> str:
    return shortened("-" if value is None else str(value))
