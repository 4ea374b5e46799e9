"""Writes the default data set, shoulder exercises with a smartwatch, from the wheel it ships in.

Run as `python -m headrace.stores.watch WHEEL OUTPUT`.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.stores.datasets.writing import (
    describe_channels,
    new_source,
    write_names,
    write_recordings,
)
from headrace.stores.errors import SourceError, UserError

MEMBER = "seglearn/data/watch_dataset.npy"
SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
RATE_HZ = 50.0
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
UNITS = ("g", "g", "g", "rad/s", "rad/s", "rad/s")
CHUNK_ROWS = 8192
ATTRIBUTES = {
    "title": "Shoulder exercises recorded with a smartwatch (subset of SPAR)",
    "licence": "BSD-3-Clause, Copyright (c) 2018, David M. Burns",
    "source": "Burns et al. 2018, arXiv 1802.01489; file watch_dataset.npy of the Python package "
    "seglearn 1.2.5",
}


def write_watch(wheel: Path, output: Path) -> None:
    """Write the recordings of `wheel` (seglearn 1.2.5) into the HDF5 file `output`.

    140 recordings of 10 subjects and 7 exercises, signals (244102, 6). They are stored as
    float32: the original holds float64 with 6 decimals of 16-bit sensors, whose resolution (1e-3
    rad/s at a range of 2000 degrees/s) is far coarser than float32's at these values (4e-6).

    Raises:
        UserError: the wheel cannot be read, or the file in it is not the published one.
    """
    content = _published(wheel)
    # The file is a pickle, which can run any code: it is loaded because its hash is known.
    data: dict[str, Any] = np.load(io.BytesIO(content), allow_pickle=True).item()
    lengths = np.array([len(signal) for signal in data["X"]], dtype=np.int64)
    with new_source(output) as file:
        signals = file.create_dataset(
            "signals",
            data=np.concatenate(data["X"]).astype(np.float32),
            chunks=(min(CHUNK_ROWS, int(lengths.sum())), len(CHANNELS)),
        )
        describe_channels(signals, RATE_HZ, CHANNELS, UNITS)
        file["labels"] = np.repeat(np.asarray(data["y"], dtype=np.uint8), lengths)
        write_names(file, "classes", [str(name) for name in data["y_labels"]])
        columns: dict[str, NDArray[Any]] = {
            "subject": np.asarray(data["subject"], dtype=np.int16),
            "side": np.asarray(data["side"], dtype=np.uint8),
        }
        write_recordings(file, lengths, columns)
        file.attrs.update(ATTRIBUTES)


def _published(wheel: Path) -> bytes:
    """The file in the wheel, after its hash was found to be that of the published one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise SourceError(
            f"{wheel} holds no {MEMBER} ({error}). Give the wheel of seglearn 1.2.5: "
            "pip download --no-deps seglearn==1.2.5."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise SourceError(
            f"{MEMBER} in {wheel} has the sha256 {found}, not {SHA256}: it is not the published "
            "file and is not opened. Fetch the wheel of seglearn 1.2.5 again."
        )
    return content


def main(arguments: list[str]) -> int:
    """Run `write_watch WHEEL OUTPUT`; 0 when done, 2 for the user's mistake."""
    if len(arguments) != 2:
        sys.stderr.write("Usage: python -m headrace.stores.watch WHEEL OUTPUT\n")
        return 2
    wheel, output = (Path(argument) for argument in arguments)
    try:
        write_watch(wheel, output)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{output} written.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
