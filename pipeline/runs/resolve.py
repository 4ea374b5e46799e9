"""A run's configuration, resolved once against its store; and a trained run, found again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.functions import with_sources
from headrace.pipeline.config.marks import resource_keys
from headrace.pipeline.config.of_store import store_config
from headrace.pipeline.config.sections import StreamOptions
from headrace.pipeline.functions.sources import content_digest
from headrace.pipeline.memory.machine import usable_cores
from headrace.pipeline.rows.order import buffer_chunks
from headrace.pipeline.runs.folder import RunFolder, default_run
from headrace.pipeline.runs.inputs import ModelInputs, inputs_of
from headrace.pipeline.runs.parts import begun_with, paths_of, store_of_run, with_own_paths
from headrace.pipeline.runs.record import (
    recorded_config,
    recorded_inputs,
    refuse_crossval,
)
from headrace.pipeline.stream.route import network_inputs
from headrace.stores.errors import PredictionError, RunError
from headrace.stores.text import counted, listed

if TYPE_CHECKING:
    from headrace.pipeline.request import Request
    from headrace.stores import Store
    from headrace.stores.io.places import Place


MODEL_ENDINGS = (".keras", ".h5", ".hdf5")
"""Of files that Keras loads a model from."""


def resolved_config(request: Request, store: Store) -> Config:
    """The config with what the run fixes at its first start: geometry, inputs, absolute paths.

    What the store was made with is taken from the store.

    Raises:
        UserError: the config names something else for the store than it was made with, or
            features for the network that the store does not hold; a function of the user's cannot
            be found.
    """
    config = store_config(request.config, store.manifest.config)
    config = _with_initial(with_sources(config))
    config = config.changed("model", inputs=network_inputs(store, config.model))
    chunks = buffer_chunks(config.stream, store.manifest.stretch)
    config = config.changed("stream", buffer_chunks=chunks)
    return config.changed("paths", data=_absolute(request.data), **paths_of(store))


def require_classes(store: Store) -> None:
    """Check that a network of this version can be trained on a store.

    Raises:
        UserError: its target is not one class a window.
    """
    if store.target.kind != "class":
        raise RunError(
            f'{store.path} has target.kind = "{store.target.kind}", and train takes "class" alone. '
            "Train a network of your own on headrace.Dataset, which delivers every kind."
        )


def newest_run(request: Request, store: Store) -> tuple[RunFolder, Config, Store]:
    """The newest run of a configuration and a store, or of those of its parts that one began with.

    Returns:
        the run, which may be none yet, its resolved configuration, and the store that it knows.

    Raises:
        UserError: as `resolved_config`.
    """
    config = resolved_config(request, store)

    def of(parts: Store) -> RunFolder:
        return default_run(config, parts.fingerprint)

    known = begun_with(store, lambda parts: of(parts).path.exists()) or store
    return of(known), config.changed("paths", **paths_of(known)), known


def _with_initial(config: Config) -> Config:
    """With the digest of the weights that a training begins with, as they are now.

    Raises:
        UserError: they are not there, or others than a run records.
    """
    path, known = config.train.initial, config.train.initial_weights
    if path is None:
        return config
    file = (RunFolder(path).model if path.is_dir() else path).absolute()
    if not file.is_file():
        if known is not None:  # A run that has begun goes on from its state.
            return config
        raise RunError(
            f"train.initial: there is no trained network in {path}. Name a complete run's folder, "
            "or a .keras file."
        )
    if file.suffix not in MODEL_ENDINGS:
        raise RunError(
            f"train.initial: {file} is no model. Name a complete run's folder, or a .keras file."
        )
    found = content_digest(file.read_bytes())
    if known not in (None, found):
        raise RunError(
            f"train.initial: {file} is not the model that this run was started from (its digest is "
            f"{found}, not {known}). Restore it, or start another run."
        )
    return config.changed("train", initial=file, initial_weights=found)


def initial_model(config: Config) -> Path:
    """The file of the model whose weights a training begins with.

    Raises:
        UserError: it is gone.
    """
    resolved = _with_initial(config)
    file = resolved.train.initial
    if file is None or not file.is_file():
        raise RunError(f"train.initial: {file} is gone. Restore it, or start another run.")
    return file


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
    return config.changed("train", threads=threads)


def evaluation_config(run: RunFolder, given: Config) -> Config:
    """The run's resolved config, with the given keys of `evaluate`, `memory`, `objects`, `paths`.

    Given means: in the file or on the command line, not a default.

    Raises:
        UserError: the folder holds no run.
    """
    recorded = recorded_config(run)
    sections: dict[str, Any] = {"paths": with_own_paths(recorded.paths, given.paths)}
    for name in ("evaluate", "memory", "objects"):
        own = getattr(given, name)
        update = {key: getattr(own, key) for key in own.model_fields_set}
        sections[name] = getattr(recorded, name).model_copy(update=update)
    # Runs of version 0.1 record how far was read ahead: that is this budget's affair.
    free = set(resource_keys(StreamOptions))
    stream = recorded.stream.model_dump(exclude=free) | given.stream.model_dump(
        include=given.stream.model_fields_set & free
    )
    sections["stream"] = StreamOptions.model_validate(stream)
    return recorded.model_copy(update=sections).reached()


def complete_run(path: Path | None) -> RunFolder:
    """The run in a folder, if its network is trained.

    Raises:
        UserError: none is named, or it is not.
    """
    if path is None:
        raise RunError("No run is named. Name the trained run's folder: --run runs/NAME/DIGEST.")
    run = RunFolder(path)
    if run.complete:
        return run
    if run.config.is_file():
        raise RunError(
            f"The run {path} is not trained to its end. Go on with it: headrace train --config "
            f"{run.config} --run {path}"
        )
    below = sorted(each.parent for each in path.glob(f"*/{run.model.name}"))
    if below:
        raise RunError(
            f"{path} is no run, and holds {counted(len(below), 'run')}. Name one: "
            f"--run {listed([str(each) for each in below])}"
        )
    refuse_crossval(path)
    raise RunError(f"{path} holds no trained network (no model.keras). Name another --run.")


def inputs_of_run(run: RunFolder, config: Config) -> ModelInputs:
    """What the network of a run takes; of runs that do not record it, as their store says.

    Raises:
        UserError: that store is not there any more.
    """
    recorded = recorded_inputs(run)
    if recorded is not None:
        return recorded
    path = config.paths.store
    try:
        if path is not None:
            return inputs_of(store_of_run(run, config, path))
    except RunError:
        pass
    raise PredictionError(
        f"The run {run.path} does not record what its network takes, and {path} is not the "
        "store it was trained on. Train again: headrace train --new."
    )


def _absolute(path: Place | None) -> Place | None:
    return None if path is None else path.resolve()
