"""Scores a trained network on a labelled source that its run did not see."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.scores import Scores
from headrace.pipeline.evaluation.applied import Applied, apply_run, predicted_blocks
from headrace.pipeline.evaluation.metrics import TITLES, ClassifierScores
from headrace.pipeline.evaluation.source_options import (
    labelled_options,
    open_as,
    unlabelled_options,
)
from headrace.pipeline.memory.machine import total_memory, usable_budget
from headrace.pipeline.memory.plan import MemoryPlan
from headrace.pipeline.request import require_data
from headrace.pipeline.rows.split import group_names
from headrace.pipeline.runs.folder import RunFolder
from headrace.pipeline.runs.parts import store_of_run
from headrace.pipeline.runs.record import recorded_config, recorded_split
from headrace.pipeline.runs.resolve import complete_run, evaluation_config, inputs_of_run
from headrace.stores.build.site import site_of
from headrace.stores.errors import (
    CommandError,
    GroupError,
    PredictionError,
    SourceContentError,
    SourceError,
    UserError,
)
from headrace.stores.source.files.located import source_exists
from headrace.stores.source.probe.probe import open_stranger
from headrace.stores.text import counted as in_words
from headrace.stores.text import listed

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.request import Request
    from headrace.stores.io.places import Place
    from headrace.stores.source.options import SourceOptions
    from headrace.stores.source.source import Source

DRAWN = 200
"""Bootstrap replicates whose confusion counts are held at a time."""


def names_new_source(request: Request) -> bool:
    """Whether `request.data` is another source than the store of `request.run` was made from.

    It is that source if its content has the fingerprint that the store records, whatever its path.
    Where the store cannot be asked, the path that the run records decides. A source that is gone
    is its own store's, if that is named and there.

    Raises:
        UserError: there is no such run; the source is not there.
    """
    if request.run is None or request.data is None:
        return False
    run = RunFolder(request.run)
    if not source_exists(request.data) and site_of(request.store).is_finished():
        return False
    return not _made_the_store(require_data(request), run, request)


def score_new_source(
    request: Request, baseline: bool, output: Path | None = None
) -> dict[str, Any]:
    """Score the network of `request.run` on every labelled window of `request.data`; report it.

    Windows, features and normalisation are those of the run. Classes are matched by name. The
    run's own scores and report stay as they are.

    Args:
        request: names both.
        baseline: refused, as it would take the windows of the training.
        output: the report; None: in the folder of the run.

    Returns:
        JSON-able: network (the run), source, the report's path (None where the run's folder
        cannot be written), the scores as `plain`, and the memory plan.

    Raises:
        UserError: the source has no labels, or a class that the network does not know; or it is
            not what the network takes, or does not fit the budget.
    """
    if baseline:
        raise CommandError(
            f"--baseline plays no part in scoring {request.data}, from which the run's store was "
            "not made. Leave it out, or leave out --data to score the run's own test folds."
        )
    from headrace.pipeline.evaluation.new_source_page import require_page, write_source_report

    require_page(output)
    run = complete_run(request.run)
    config = evaluation_config(run, request.config)
    data, console = require_data(request), request.console
    with _open(data, config, request.config.source, run) as source:
        applied = apply_run(run, config, source, console)
        counted = _counted(applied)
        plan = plan_new_source(applied, counted).require_fit()
        console.memory_plan("evaluate", plan)
        scores = _score(applied, counted, console)
        seen = _trained_on(source, run, request) if counted.grouped else []
        notes = [*_seen_notes(seen, counted), *_notes(applied, counted, scores)]
        page = write_source_report(applied, scores, notes, request, output)
    _print(console, data, run, scores, notes)
    if page is not None:
        console.say(f"Report: {page}")
    return {
        "network": str(run.path),
        "source": str(data),
        "report": None if page is None else str(page),
        "plain": scores.as_table(),
        "memory": plan.as_table(),
    }


@dataclass(frozen=True)
class Counted:
    """How windows of a source are counted.

    Attributes:
        classes: K names, of the network.
        number: of each class of the source, the class of the network; int32.
        groups: names; one for all where the source says nothing of groups.
        grouped: whether it does.
    """

    classes: tuple[str, ...]
    number: NDArray[np.int32]
    groups: tuple[str, ...]
    grouped: bool


def plan_new_source(applied: Applied, counted: Counted) -> MemoryPlan:
    """The memory plan: it grows with a block and with the groups, and not with the source."""
    cells = 8 * len(counted.classes) ** 2
    buffers = applied.buffers() | {
        "labels": 4 * 28 * applied.block_rows,
        "confusion counts": (3 * len(counted.groups) + 4 * DRAWN) * cells,
    }
    budget = usable_budget(applied.config.memory.budget)
    return MemoryPlan("evaluate", *applied.reserved(), buffers, budget, total_memory())


def _made_the_store(data: Place, run: RunFolder, request: Request) -> bool:
    """Whether the store of the run was made from this content, as far as it can be told."""
    trained = recorded_config(run)
    recorded = trained.paths.data is not None and data.absolute() == trained.paths.data.absolute()
    try:
        store = store_of_run(run, evaluation_config(run, request.config), request.store)
    except UserError:
        return recorded
    try:
        with open_stranger(data, trained.source) as source:
            known = (part.manifest.source["fingerprint"] for part in store.parts)
            return source.fingerprint() in known
    except UserError:
        return False


def _open(data: Place, config: Config, given: SourceOptions, run: RunFolder) -> Source:
    """The source with its labels, and with its groups if it has any.

    Raises:
        UserError: it cannot be read so; if it can without labels, the message says how.
    """
    trained, channels = config.source, inputs_of_run(run, config).spec.channels
    try:
        try:
            return open_as(data, trained, given, labelled_options, channels)
        except GroupError:
            alone = given.model_copy(update={"split_by_window": True})
            return open_as(data, trained, alone, labelled_options, channels)
    except SourceError as error:
        try:
            open_as(data, trained, given, unlabelled_options, channels).close()
        except UserError:
            raise error from None
        raise SourceError(
            f"{error} Scores need labels; without any, predict the windows: headrace predict "
            f"--run {run.path} --data {data} --output FILE.csv"
        ) from error


def _counted(applied: Applied) -> Counted:
    """Match the classes of the source to the network's.

    Raises:
        UserError: the network does not know one of them.
    """
    source, classes = applied.source, applied.inputs.classes
    unknown = [name for name in source.classes if name not in classes]
    if unknown:
        raise PredictionError(
            f"{source.path} has the classes {listed(unknown)}, which the network of "
            f"{applied.run.path} does not know: it tells {listed(classes)} apart. Leave their "
            "labels out with source.exclude_labels, or give them its names with source.class_map."
        )
    number = np.array([classes.index(name) for name in source.classes], np.int32)
    groups = source.groups if source.grouped else ("all windows",)
    return Counted(classes, number, groups, source.grouped)


def _score(applied: Applied, counted: Counted, console: Console) -> ClassifierScores:
    source, options = applied.source, applied.config.evaluate
    scores = Scores(counted.classes, counted.groups, mistakes=options.mistakes)
    windows = min(source.windows, options.max_windows or source.windows)
    with (
        closing(predicted_blocks(applied, windows, labels=True)) as predicted,
        console.progress("evaluate", windows, source.spec.stored_bytes) as progress,
    ):
        for block, probability in predicted:
            assert block.labels is not None
            label, group = block.labels.label, block.labels.group
            if (label < 0).any():
                raise SourceContentError(
                    f"Window {block.window[label < 0][0]} of {source.path} has a label that the "
                    "file's own list of classes lacks. Correct the list, or leave it out: --set "
                    "source.classes="
                )
            group = group if counted.grouped else np.zeros_like(group)
            scores.update(probability, counted.number[label], group, block.window)
            progress.advance(block.read)
    return ClassifierScores.model_validate(scores.summary())


def _trained_on(source: Source, run: RunFolder, request: Request) -> list[str]:
    """Groups of the source that the run trained or validated on, as far as its store is there."""
    try:
        store = store_of_run(run, evaluation_config(run, request.config), request.store)
    except UserError:
        return []
    split = recorded_split(run)
    known = set(group_names(store, (*split.train, *split.validation)))
    return [str(name) for name in source.groups if str(name) in known]


def _seen_notes(seen: Sequence[str], counted: Counted) -> list[str]:
    if not seen:
        return []
    return [
        f"Warning: {len(seen)} of {in_words(len(counted.groups), 'group')} of this source "
        f"({listed(seen)}) trained the network, so these scores are too high for new ones."
    ]


def _notes(applied: Applied, counted: Counted, scores: ClassifierScores) -> list[str]:
    """What a reader must know before trusting the scores."""
    notes, source = [], applied.source
    limit = applied.config.evaluate.max_windows
    read = min(source.windows, limit or source.windows)
    if not counted.grouped:
        notes.append(
            "The source's groups are not known (source.groups), so the scores have no intervals."
        )
    if read < source.windows:
        notes.append(f"Only the first {read:,} of {source.windows:,} windows are scored.")
    if scores.windows < read:
        notes.append(
            f"{in_words(read - scores.windows, 'window')} that hold NaN or infinity are "
            "left out (source.non_finite)."
        )
    return notes


def _print(
    console: Console, data: Place, run: RunFolder, scores: ClassifierScores, notes: Sequence[str]
) -> None:
    console.table(
        f"{scores.windows:,} windows of {data}",
        ("", "accuracy", "macro-F1", "balanced accuracy"),
        [(TITLES["plain"], *scores.texts())],
    )
    if scores.intervals:
        console.say(
            "In brackets: where 95 % of scores lie when whole groups are drawn anew (bootstrap)."
        )
    for note in notes:
        console.say(note)
    if scores.absent_classes:
        console.say(f"No window has the label {listed(scores.absent_classes)}.")
    console.say(f"The scores and the report of {run.path} itself are as they were.")
