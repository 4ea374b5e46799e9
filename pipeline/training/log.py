"""What is seen of a training: log.csv, TensorBoard's events and one printed line an epoch.

All are projections of the history in the training's state and are written after it, so that an
interruption leaves no epoch twice and none out.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from headrace.pipeline.training.state import Row
from headrace.stores.errors import first_line
from headrace.stores.io import disk
from headrace.stores.text import format_seconds

TIME_COLUMNS = (
    "seconds",
    "wait_seconds",
    "val_seconds",
    "cpu_seconds",
    "val_cpu_seconds",
)
COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "val_macro_f1",
    "learning_rate",
    *TIME_COLUMNS,
)
"""Epochs count from 1. Of `seconds`, `wait_seconds` is how long steps waited for their batch, and
`val_seconds` how long the validation took. `cpu_seconds` and `val_cpu_seconds` are what all threads
worked in the steps and in the validation, whatever else the machine does; empty with a GPU."""


def write_log(path: Path, history: Sequence[Row]) -> None:
    """Replace a log by all finished epochs; columns that a training does not have stay empty.

    What only the user's own network or metrics log is in further columns, last.
    """
    text = io.StringIO()
    more = dict.fromkeys(name for row in history for name in row if name not in COLUMNS)
    writer = csv.DictWriter(text, (*COLUMNS, *more), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    disk.write_bytes(path, text.getvalue().encode())


def epoch_line(row: Row, epochs: int, best: bool) -> str:
    """One epoch for the terminal, and how long the rest takes if none stops it.

    `best` marks the lowest validation loss so far.
    """
    validation = (
        f"val_loss {row['val_loss']:.4f}  val accuracy {row['val_accuracy']:.1%}  "
        f"val macro-F1 {row['val_macro_f1']:.3f}  "
        if "val_loss" in row
        else f"accuracy {row.get('accuracy', math.nan):.1%}  "
    )
    return (
        f"epoch {row['epoch']:>3.0f}/{epochs}  loss {row['loss']:.4f}  {validation}"
        f"{row['seconds']:.1f} s ({row['wait_seconds']:.1f} s waiting for data)"
        f"{'  best' if best else ''}{_time_left(row, epochs)}"
    )


def _time_left(row: Row, epochs: int) -> str:
    left = (epochs - row["epoch"]) * row["seconds"]
    return f"  {format_seconds(left)} left at most" if left else ""


class TensorBoardLog:
    """An open file of TensorBoard events; it starts with the history that there is."""

    def __init__(self, folder: Path, history: Sequence[Row]) -> None:
        """Replace the folder: events of an epoch that was not finished are gone."""
        import tensorflow as tf

        disk.remove_folder(folder)
        # TensorFlow's own op: `tf.summary.scalar` needs the tensorboard package, only to write.
        self._write: Any = tf.summary.write
        self._metadata: Any = tf.compat.v1.SummaryMetadata(
            data_class="DATA_CLASS_SCALAR",
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
        )
        self._folder, self._errors = folder, tf.errors.OpError
        with self._explained():
            self._writer = tf.summary.create_file_writer(str(folder))
        for row in history:
            self.write(row)

    def write(self, row: Row) -> None:
        """Add one epoch.

        Raises:
            UserError: the disk takes no more.
        """
        with self._explained():
            with self._writer.as_default(step=int(row["epoch"])):
                for name, value in row.items():
                    if name != "epoch":
                        self._write(name, np.float32(value), metadata=self._metadata)
            self._writer.flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        with disk.explained(self._folder):
            try:
                yield
            except self._errors as error:
                # "{{node}} FILE; REASON"
                reason = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:.*", "", first_line(error))
                raise OSError(reason.rpartition("; ")[2]) from error

    def close(self) -> None:
        """Close the file.

        Raises:
            UserError: the disk takes no more.
        """
        with self._explained():
            self._writer.close()
