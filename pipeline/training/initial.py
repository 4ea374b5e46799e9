"""Where a training begins: at weights of another run, or where a shorter one of the same ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.model.layers_by_name import head_layers, take_weights
from headrace.pipeline.config.config import digest
from headrace.pipeline.evaluation.predictor import load_model
from headrace.pipeline.runs.folder import RunFolder, run_digest
from headrace.pipeline.runs.record import (
    recorded_config,
    recorded_fingerprint,
    recorded_inputs,
    recorded_split,
    same_versions,
)
from headrace.pipeline.runs.resolve import initial_model
from headrace.pipeline.training.state import read_state
from headrace.stores.errors import RunError, UserError
from headrace.stores.text import counted, listed

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.rows.split import Split
    from headrace.pipeline.training.prepare import Training
    from headrace.pipeline.training.state import TrainingState


def take_initial(training: Training, config: Config, console: Console) -> None:
    """Give the network the weights that `train.initial` names, and say which it took.

    Raises:
        UserError: the model is gone or is another, or nothing of it fits.
    """
    if config.train.initial is None:
        return
    file = initial_model(config)
    run = RunFolder(file.parent)
    known = recorded_inputs(run) if run.config.is_file() else None
    others = known is not None and known.classes != training.fitted.target.classes
    new = head_layers(training.network) if others else ()
    taken = take_weights(training.network, _initial_network(file), new)
    if not taken.layers:
        why = next(iter(taken.left.items()), ("", "it has no weights"))
        raise RunError(
            f"train.initial: no layer of {file} fits the network ({': '.join(why)}). Layers are "
            "matched by name and shapes: name one of the same network."
        )
    console.say(f"Taken from {file}: {counted(len(taken.layers), 'layer')}.")
    if taken.left:
        said = [f"{name} ({why})" for name, why in taken.left.items()]
        more = f" and {len(said) - 6} more" if len(said) > 6 else ""
        console.say(f"Not taken, but new: {'; '.join(said[:6])}{more}.")
    if known is not None and known.spec.channels != training.fitted.inputs.channels:
        console.say(f"Warning: its channels were {listed(known.spec.channels)}.")


def _initial_network(file: Path) -> keras.Model:
    try:
        return load_model(file)
    except RunError as error:
        raise RunError(
            f"train.initial: {file} is damaged or no model of this program. Name a complete run's "
            "folder, or a .keras file that takes raw and features by name."
        ) from error


def shorter_state(
    run: RunFolder, training: Training, split: Split, config: Config, console: Console
) -> TrainingState | None:
    """The state of a run beside this one that differs by fewer epochs alone, as this one's.

    Only where no step depends on how many epochs there are to be: with a learning rate that a
    network compiled by the user sets, or a constant one. Then the epochs that it has trained are
    the first of this training, to the bit.
    """
    if not (training.fitted.compiled_by_user or config.train.final_learning_rate == 1):
        return None
    found: tuple[TrainingState, RunFolder] | None = None
    for file in sorted(run.path.parent.glob(f"*/{run.config.name}")):
        other = RunFolder(file.parent)
        try:
            state = _state_of_shorter(other, run, split, config)
        except UserError:
            continue
        if state is not None and (found is None or state.progress.epoch > found[0].progress.epoch):
            found = state, other
    if found is None:
        return None
    console.say(f"Going on from {found[1].path}, which was trained alike for fewer epochs.")
    return replace(found[0], run=training.identity)


def _state_of_shorter(
    other: RunFolder, run: RunFolder, split: Split, config: Config
) -> TrainingState | None:
    if other.path == run.path:
        return None
    known = recorded_config(other)
    fingerprint = recorded_fingerprint(run)
    longer = known.changed("train", epochs=config.train.epochs)
    alike = (
        known.train.epochs < config.train.epochs
        and known.train.threads == config.train.threads
        and run_digest(longer, fingerprint) == run_digest(config, fingerprint)
        and recorded_fingerprint(other) == fingerprint
        and recorded_split(other) == split
        and same_versions(other)
    )
    state = read_state(other.state) if alike else None
    identity = digest({"run": run_digest(known, fingerprint), "folds": split.train})
    return state if state is not None and state.run == identity else None
