"""A trained network applied to a source that it did not see, block by block in bounded memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headrace.pipeline.config.functions import code_folder
from headrace.pipeline.evaluation.blocks import BLOCKS_HELD, Block, read_blocks
from headrace.pipeline.features.catalogue import BATCH_WINDOWS, make_catalogue
from headrace.pipeline.features.checks import require_finite
from headrace.pipeline.memory.fit import RESERVED
from headrace.pipeline.memory.measured import known_reserved, shape_of
from headrace.pipeline.memory.plan import MIB, TYPICAL
from headrace.pipeline.runs.inputs import refuse_other_signals
from headrace.pipeline.runs.measure import require_measured
from headrace.pipeline.runs.resolve import inputs_of_run
from headrace.pipeline.tensorflow_setup import set_up_tensorflow
from headrace.stores.errors import PredictionError
from headrace.stores.source.source import Source

if TYPE_CHECKING:
    from headrace.pipeline.catalogue import Catalogue
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.console import Console
    from headrace.pipeline.runs.folder import RunFolder
    from headrace.pipeline.runs.inputs import ModelInputs

BLOCK_BYTES = 8 * MIB
"""Of the windows that are read, and passed on, together."""


@dataclass(frozen=True)
class Applied:
    """A trained network and the open source that it is applied to.

    Attributes:
        run, config: of the network.
        inputs: what it takes; the source delivers that.
        source: open.
        catalogue: the kernels of its features; None: it takes none.
    """

    run: RunFolder
    config: Config
    inputs: ModelInputs
    source: Source
    catalogue: Catalogue | None

    def reserved(self) -> tuple[int, str]:
        """Bytes of TensorFlow and the network, and where the figure comes from."""
        if self.config.model.build is None:
            return RESERVED, TYPICAL
        inputs = self.inputs
        shape = shape_of(inputs.spec, inputs.features, inputs.target)
        return known_reserved(self.config, shape)["evaluate"], "measured"

    @property
    def block_rows(self) -> int:
        """Windows of a block."""
        return max(1, min(BLOCK_BYTES // max(1, 2 * self.source.spec.stored_bytes), 4096))

    def buffers(self) -> dict[str, int]:
        """Bytes held by name: they grow with a block, and not with the source."""
        inputs, source, rows = self.inputs, self.source, self.block_rows
        window, features = inputs.spec.values, len(inputs.features)
        block = rows * (window * (source.spec.dtype.itemsize + 8) + 4 * features + 64)
        batch = self.config.evaluate.batch * 4 * (window + features)
        buffers = {
            "blocks of windows": BLOCKS_HELD * block,
            "source slices": source.buffer_bytes,
            "source chunk cache": source.chunk_cache_bytes,
            "tables of the source": source.table_bytes,
            "batch": 2 * batch,
        }
        if self.catalogue is not None:
            scratch = self.catalogue.scratch_bytes(BATCH_WINDOWS, np.float64)
            buffers["kernel scratch"] = int(scratch)
        return buffers


def apply_run(run: RunFolder, config: Config, source: Source, console: Console) -> Applied:
    """The network of a run, for `source`.

    Args:
        run: complete.
        config: `evaluation_config` of it.
        source: open.
        console: where to say what is measured.

    Raises:
        UserError: the source does not deliver what the network takes, or this version gives
            other features; the network is the user's, and does not fit the budget.
    """
    inputs = inputs_of_run(run, config)
    refuse_other_signals(inputs, source)
    require_measured(config, inputs, console)
    return Applied(run, config, inputs, source, _catalogue(config, inputs))


def predicted_blocks(
    applied: Applied, windows: int | None = None, labels: bool = False
) -> Generator[tuple[Block, NDArray[np.float32]]]:
    """Load the network, then give each block with its probabilities (n, K); close it at the end.

    Args:
        applied: what is applied to what.
        windows: how many of the source's, from its first; None: all.
        labels: read these too.

    Raises:
        UserError: the model is damaged; a window holds NaN and none may; the source cannot be
            read, or was changed meanwhile.
    """
    source, inputs, config = applied.source, applied.inputs, applied.config
    set_up_tensorflow(config.train)
    from headrace.pipeline.evaluation.predictor import block_predictor

    state = source.state()
    predict = block_predictor(applied.run.model, config.evaluate.batch, inputs)
    stop, rows = min(windows or source.windows, source.windows), applied.block_rows
    ranges = ((start, min(start + rows, stop)) for start in range(0, stop, rows))

    def predicted() -> Generator[tuple[Block, NDArray[np.float32]]]:
        stored = inputs.spec.dtype
        with closing(read_blocks(source, applied.catalogue, stored, ranges, labels)) as blocks:
            for block in blocks:
                if source.options.non_finite == "error":
                    require_finite(block.raw, block.window, source)
                yield block, predict(block.raw, block.features)
        source.require_state(state)

    return predicted()


def _catalogue(config: Config, inputs: ModelInputs) -> Catalogue | None:
    """The kernels of the run's features.

    Raises:
        UserError: they are others than the network was trained on.
    """
    if not inputs.features:
        return None
    found = make_catalogue(
        config.features.model_dump(),
        inputs.spec.channels,
        inputs.spec.rate_hz,
        inputs.spec.time,
        code_folder(config),
    )
    if found is None or found.names != inputs.features:
        raise PredictionError(
            "This version, or its features.custom, gives other features than the "
            f"{len(inputs.features)} that the network was trained on. Install the version of the "
            "run, or train again: headrace train --new."
        )
    return found
