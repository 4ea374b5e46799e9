"""The stream of an evaluation: every window of some folds, as it is, for TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from headrace.pipeline.augmentations.chance import Sample
from headrace.pipeline.rows.ranges import cut_ranges, first_rows, merge_ranges
from headrace.pipeline.rows.split import fold_ranges
from headrace.pipeline.stream.buffers import (
    LEAST_PREFETCHED,
    PREPARE_CALLS,
    evaluation_buffers,
    evaluation_rows,
    window_shape,
)
from headrace.pipeline.stream.graph import columns_from_graph, in_units, with_bounds
from headrace.pipeline.stream.route import input_names

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store


def evaluation_stream(
    store: Store,
    folds: Sequence[str],
    config: Config,
    max_windows: int | None = None,
) -> tf.data.Dataset:
    """Every window of the folds once, in the order of the store, neither augmented nor normalised.

    Args:
        store: where the windows are.
        folds: names of the folds.
        config: its sections stream, model (inputs) and evaluate.
        max_windows: take the first windows of each fold, in proportion, this many in all.

    Returns:
        Finite dataset of dicts: float32 `raw` (B, T, C) in units and `features` (B, F), those that
        `model.inputs` names, `label` and `group` (B,) int32, `source_index` (B,) int64.

    Raises:
        UserError: features are asked for and the store has none.
    """
    names = (*input_names(store, config), "label", "group", "source_index")
    chosen = first_rows(fold_ranges(store, folds), max_windows)
    starts = store.part_starts
    pieces = cut_ranges(merge_ranges(chosen, starts), evaluation_rows(store), starts)

    def read(number: np.int64) -> list[NDArray[Any]]:
        columns = store.read_many(names, [pieces[int(number)]])
        return [columns[name] for name in names]

    @tf.autograph.experimental.do_not_convert
    def raw_in_units(sample: Sample) -> Sample:
        return sample | {"raw": in_units(sample["raw"], store.spec)} if "raw" in sample else sample

    @tf.autograph.experimental.do_not_convert
    def tensors(number: tf.Tensor) -> Sample:
        return columns_from_graph(store, names, read, [number])

    return with_bounds(
        tf.data.Dataset.range(len(pieces))
        .map(
            tensors,
            num_parallel_calls=config.stream.read_threads,
            deterministic=True,
        )
        .rebatch(config.evaluate.batch)
        .map(raw_in_units, num_parallel_calls=PREPARE_CALLS, deterministic=True),
        config.stream,
        LEAST_PREFETCHED,
        evaluation_buffers(config, window_shape(store, config), evaluation_rows(store)),
    )
