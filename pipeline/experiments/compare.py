"""Runs side by side: scores, what differs in their configurations, and whether it may be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.model.intervals import LEAST_GROUPS, paired_accuracy
from headrace.pipeline.evaluation.metrics import Metrics, read_metrics
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.record import flat_table, recorded_config, recorded_fingerprint
from headrace.stores.text import shortened

if TYPE_CHECKING:
    from headrace.pipeline.console import Console

MOST_DIFFERENCES = 30


@dataclass(frozen=True)
class Compared:
    """An evaluated run.

    Attributes:
        run: its folder.
        metrics: of its evaluation.
        config: its keys, flat: section.key -> value.
        fingerprint: of its store.
    """

    run: RunFolder
    metrics: Metrics
    config: Mapping[str, Any]
    fingerprint: str


def run_compare(runs: Sequence[Path], console: Console) -> dict[str, Any]:
    """Print the scores of evaluated runs, and of each against the first.

    The difference of accuracy is paired by group: its 95 % interval is of groups drawn anew for
    both runs alike, so what makes a group hard for both does not widen it.

    Returns:
        JSON-able: per run its scores and keys that differ; `differences`, of accuracy to the
        first run with interval, None where the tested groups are others.

    Raises:
        UserError: a folder holds no evaluated run.
    """
    found = [_read(path) for path in runs]
    first = found[0]
    differences = [_difference(first, other) for other in found[1:]]
    differing = _differing_keys(found)
    console.table(
        "Test groups, views averaged",
        ("run", "accuracy", "macro-F1", "balanced accuracy"),
        [(_name(each), *each.metrics.tta.texts()) for each in found],
    )
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
        "runs": [
            {
                "run": str(each.run.path),
                **each.metrics.tta.headlines(),
                "intervals": each.metrics.tta.intervals,
                "windows": each.metrics.tta.windows,
                "differing": {key: each.config.get(key) for key in differing},
            }
            for each in found
        ],
        "differences": differences,
    }


def _read(path: Path) -> Compared:
    run = RunFolder(path)
    config = recorded_config(run)
    metrics = read_metrics(run)
    keys = dict(flat_table(config.run_keys())) | dict(
        flat_table({"evaluate": config.evaluate.model_dump(mode="json")})
    )
    return Compared(run, metrics, keys, recorded_fingerprint(run))


def _difference(first: Compared, other: Compared) -> dict[str, Any] | None:
    """Accuracy of `other` less that of `first`; None if other windows were tested."""
    one, two = (each.metrics.tta.per_group for each in (first, other))
    windows = [{name: group.windows for name, group in each.items()} for each in (one, two)]
    if windows[0] != windows[1]:
        return None
    counts = [group.windows for group in one.values()]
    right, other_right = (
        [round(each[name].accuracy * each[name].windows) for name in one] for each in (one, two)
    )
    value, interval = paired_accuracy(counts, right, other_right)
    return {"run": str(other.run.path), "accuracy": value, "interval": interval}


def _said(first: Compared, other: Compared, difference: dict[str, Any] | None) -> str:
    names = f"{_name(other)} against {_name(first)}"
    if difference is None:
        return f"{names}: other windows were tested, so the scores do not compare."
    points = f"{100 * difference['accuracy']:+.2f} points of accuracy"
    if difference["interval"] is None:
        return f"{names}: {points}; one group says nothing of others."
    low, high = (100 * edge for edge in difference["interval"])
    verdict = "more than chance" if low > 0 or high < 0 else "may be chance"
    groups = len(first.metrics.tta.per_group)
    if groups < LEAST_GROUPS:
        verdict = f"{groups} groups are too few to tell that from chance"
    return f"{names}: {points} [{low:+.2f}, {high:+.2f}] over groups: {verdict}."


def _differing_keys(found: Sequence[Compared]) -> list[str]:
    keys = sorted({key for each in found for key in each.config})
    return [key for key in keys if len({repr(each.config.get(key)) for each in found}) > 1]


def _name(each: Compared) -> str:
    """Its folder and the one above: `watch/1f2e...`."""
    return "/".join(each.run.path.parts[-2:])


def _shown(value: Any) -> str:
    return shortened("-" if value is None else str(value))
