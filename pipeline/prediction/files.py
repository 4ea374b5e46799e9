"""Files of predictions: CSV, Parquet or a Zarr group, block by block, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import CommandError
from headrace.stores.io import disk
from headrace.stores.shards.array_format import ArrayFormat, group_metadata

ENDINGS = (".csv", ".parquet", ".zarr")
ORIGIN = ("name", "file")
"""Columns of a table in place of origin."""
ZARR_ROWS = 1 << 16
"""Rows of a chunk of a Zarr group, which are held until they are full."""
Columns = dict[str, NDArray[Any]]
Origins = tuple[list[str], list[str]] | None
"""Names of recordings and of their files, that the column origin counts in; None of one file."""


class PredictionFile(Protocol):
    """Takes predictions in the order of the windows."""

    def write(
        self, columns: Columns, label: NDArray[np.int64], probability: NDArray[np.float32]
    ) -> None:
        """Add n windows: what they are, the number of the class (n,), probabilities (n, K)."""
        ...


def refuse_output(output: Path) -> None:
    """Check that predictions can be written to `output`.

    Raises:
        UserError: its ending is unknown, or it is there already.
    """
    if output.suffix not in ENDINGS:
        raise CommandError(f"--output {output} has to end in one of {', '.join(ENDINGS)}.")
    for path in (output, timeline_path(output)):
        if path.exists():
            raise CommandError(f"{path} is there already. Remove it, or name another --output.")


def timeline_path(output: Path) -> Path:
    """The file of intervals beside the predictions."""
    return output.with_name(f"{output.stem}.timeline.csv")


@contextmanager
def prediction_file(
    output: Path, classes: Sequence[str], located: bool, origins: Origins = None
) -> Iterator[PredictionFile]:
    """A file that gets its name when the block ends without an error.

    Args:
        output: its ending says what is written.
        classes: K names.
        located: whether windows have a recording, start and time.
        origins: what recordings of many files are called.

    Raises:
        UserError: the disk takes no more.
    """
    if output.suffix == ".zarr":
        with _zarr_group(output, classes, located, origins) as group:
            yield group
        return
    with disk.whole_file(output) as temporary:
        if output.suffix == ".csv":
            with temporary.open("w", newline="", encoding="utf-8") as stream:
                yield _Csv(stream, classes, origins)
        else:
            with _parquet(temporary, classes, origins) as table:
                yield table


def _frame(
    columns: Columns,
    label: NDArray[np.int64],
    probability: NDArray[np.float32],
    classes: Sequence[str],
    origins: Origins,
) -> Any:
    """A pandas table: what the windows are, class, probability, and a column a class."""
    import pandas as pd

    table: dict[str, Any] = {}
    for name, values in columns.items():
        if name == "origin" and origins is not None:
            of_each = zip(ORIGIN, origins, strict=True)
            table |= {what: [all_of[n] for n in values.tolist()] for what, all_of in of_each}
        else:
            table[name] = values
    table["class"] = pd.Categorical.from_codes(label, categories=pd.Index(classes))
    table["probability"] = probability.max(axis=1, initial=0)
    each = {f"p_{name}": probability[:, number] for number, name in enumerate(classes)}
    return pd.DataFrame(table | each)


class _Csv:
    def __init__(self, stream: Any, classes: Sequence[str], origins: Origins) -> None:
        self._stream, self._classes, self._origins = stream, classes, origins
        self._begun = False

    def write(
        self, columns: Columns, label: NDArray[np.int64], probability: NDArray[np.float32]
    ) -> None:
        frame = _frame(columns, label, probability, self._classes, self._origins)
        header = not self._begun
        frame.to_csv(self._stream, index=False, header=header, float_format="%.6g")
        self._begun = True


@contextmanager
def _parquet(path: Path, classes: Sequence[str], origins: Origins) -> Iterator[PredictionFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    class Table:
        writer: Any = None

        def write(
            self, columns: Columns, label: NDArray[np.int64], probability: NDArray[np.float32]
        ) -> None:
            frame = _frame(columns, label, probability, classes, origins)
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if self.writer is None:
                self.writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            self.writer.write_table(table)

    found = Table()
    try:
        yield found
    finally:
        if found.writer is not None:
            found.writer.close()


@contextmanager
def _zarr_group(
    output: Path, classes: Sequence[str], located: bool, origins: Origins
) -> Iterator[PredictionFile]:
    with disk.whole_folder(output) as temporary:
        group = _Zarr(temporary, classes, located, origins)
        yield group
        group.finish()


class _Zarr:
    def __init__(
        self, folder: Path, classes: Sequence[str], located: bool, origins: Origins
    ) -> None:
        self._folder, self._classes, self._origins = folder, classes, origins
        types = {"window": "i8"} | ({} if origins is None else {"origin": "i4"})
        if located:
            types |= {"recording": "i4", "start": "i8", "time_s": "f8"}
        types |= {"label": "i4", "probability": "f4"}
        self._types = {name: np.dtype(kind) for name, kind in types.items()}
        self._held: dict[str, list[NDArray[Any]]] = {name: [] for name in types}
        self._rows = self._written = 0

    def write(
        self, columns: Columns, label: NDArray[np.int64], probability: NDArray[np.float32]
    ) -> None:
        for name, values in {**columns, "label": label, "probability": probability}.items():
            self._held[name].append(values)
        self._rows += len(label)
        while self._rows - self._written * ZARR_ROWS >= ZARR_ROWS:
            self._write_chunk(ZARR_ROWS)

    def finish(self) -> None:
        """Write what is left, and the metadata."""
        left = self._rows - self._written * ZARR_ROWS
        if left:
            self._write_chunk(left)
        for name in self._types:
            attributes = {"names": list(self._classes)} if name == "label" else {}
            if name == "probability":
                attributes = {"classes": list(self._classes)}
            if name == "origin" and self._origins is not None:
                attributes = dict(zip(("names", "files"), self._origins, strict=True))
            metadata = self._format(name).metadata(attributes)
            disk.write_bytes(self._folder / name / "zarr.json", metadata)
        group = group_metadata({"classes": list(self._classes)})
        disk.write_bytes(self._folder / "zarr.json", group)

    def _write_chunk(self, rows: int) -> None:
        for name, kind in self._types.items():
            values = np.concatenate(self._held[name])
            self._held[name] = [values[rows:].copy()]
            format_ = self._format(name)
            parts = format_.encode(iter([values[:rows].astype(kind)]))
            disk.write_bytes(self._folder / name / format_.key(self._written), parts)
        self._written += 1

    def _format(self, name: str) -> ArrayFormat:
        wide = name == "probability"
        return ArrayFormat(
            name=name,
            rows=self._rows,
            row_shape=(len(self._classes),) if wide else (),
            dtype=self._types[name],
            dimensions=("window", "class") if wide else ("window",),
            chunk_rows=ZARR_ROWS,
            shard_rows=ZARR_ROWS,
            compressor="zstd",
            level=1,
        )
