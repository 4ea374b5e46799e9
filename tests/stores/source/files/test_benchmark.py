"""What `benchmarks.sources` compares: files, and the same data as one HDF5 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.sources import ROW_BYTES, parse_with_pyarrow, pattern_of, write_files
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source


@pytest.mark.parametrize("kind", sorted(ROW_BYTES))
def test_the_contenders_read_the_same_windows(kind: str, tmp_path: Path) -> None:
    made = write_files(tmp_path, kind, 5, 1)
    assert write_files(tmp_path, kind, 5, 1) == made
    many = SourceOptions(rate_hz=50.0, files=[pattern_of(kind)])
    with (
        open_source(made / "raw", many) as files,
        open_source(made / "one.h5", SourceOptions(rate_hz=50.0)) as one,
    ):
        assert files.windows == one.windows > 0
        # Files stand in the order of their names, which begin with the label.
        found, expected = (each.read_windows(0, each.windows) for each in (files, one))
        assert sorted(map(bytes, found)) == sorted(map(bytes, expected))
        labels = [np.bincount(each.read_labels(0, each.windows).label) for each in (files, one)]
        np.testing.assert_array_equal(*labels)
    parse_with_pyarrow(made / "raw", kind)
