"""What a training stream reads of a window, and where that is put into units and normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from headrace.pipeline.stream.augment import augments, augments_in_units, partners
from headrace.pipeline.stream.buffers import block_rows, buffer_rows, window_shape
from headrace.stores.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from headrace.model.options import NetworkOptions
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store


@dataclass(frozen=True)
class Route:
    """The way of windows from the store into batches, decided once for a stream.

    Attributes:
        inputs: arrays that the network takes.
        carried: arrays that are read: inputs, label, and the source index, which chance is hashed
            from, if anything is drawn.
        scaled_early: raw is normalised while its rows are put in order, as nothing needs it in
            units; else in blocks, after what augments it there.
        cuts: whether buffers hold stretches, and a block's windows are cut from them.
        jitter_seed: of chance that moves windows within their stretches; None: they stay.
        partners: rows that a block holds beyond its own, to be mixed with.
        rows: of a block, its partners apart.
    """

    inputs: tuple[str, ...]
    carried: tuple[str, ...]
    scaled_early: bool
    cuts: bool
    jitter_seed: int | None
    partners: int
    rows: int

    @property
    def scaled_late(self) -> bool:
        """Whether blocks hold raw that is not normalised yet."""
        return "raw" in self.inputs and not self.scaled_early


def route_of(store: Store, config: Config) -> Route:
    """The route of a training on `store`.

    Blocks are larger, a quarter of a buffer, where they leave raw and features alone: fewer calls,
    and no more buffers are held than otherwise.

    Raises:
        UserError: as `network_inputs`, or windows are to be moved that are not cut.
    """
    inputs, section = input_names(store, config), config.augment
    in_units = store.spec.dtype == np.float32 and all(factor == 1 for factor in store.spec.scale)
    scaled_early = in_units and not augments_in_units(section)
    drawn, batch = augments(section), config.train.batch
    rows = block_rows(window_shape(store, config), batch)
    cuts = "raw" in inputs and store.manifest.stretches > 0
    if not drawn and not cuts and ("raw" not in inputs or scaled_early):
        rows = max(rows, buffer_rows(config, store) // 4 // batch * batch)
    seed = config.train.seed if config.stream.jitter and "raw" in inputs else None
    if seed is not None and not cuts:
        raise ConfigError(
            f"stream.jitter moves windows within stretches, and {store.path} holds windows. Set "
            'stream.jitter = false, or store.raw = "stretches" for a new store.'
        )
    carried = (*inputs, "label", *(("source_index",) if drawn or seed is not None else ()))
    return Route(inputs, carried, scaled_early, cuts, seed, partners(section), rows)


def input_shapes(store: Store, config: Config) -> dict[str, tuple[int, ...]]:
    """Shape of a window of each array that the network takes: `raw` (T, C), `features` (F,).

    Raises:
        UserError: as `network_inputs`.
    """
    shapes = {"raw": store.spec.shape, "features": (len(store.feature_names),)}
    return {name: shapes[name] for name in input_names(store, config)}


def input_names(store: Store, config: Config) -> tuple[str, ...]:
    """Arrays that the network takes: `raw`, `features` or both.

    Raises:
        UserError: as `network_inputs`.
    """
    inputs = network_inputs(store, config.model)
    return ("raw", "features") if inputs == "hybrid" else (inputs,)


def network_inputs(store: Store, options: NetworkOptions) -> Literal["hybrid", "raw", "features"]:
    """`model.inputs`; of a store without features raw alone, unless it says otherwise.

    Raises:
        UserError: it does, and names features.
    """
    if store.feature_names or options.inputs == "raw":
        return options.inputs
    if "inputs" in options.model_fields_set:
        raise StoreError(
            f'model.inputs = "{options.inputs}" needs features, and {store.path} holds none '
            '(features.select = []). Set model.inputs = "raw", or features.select = ["*"] for a '
            "new store."
        )
    return "raw"
