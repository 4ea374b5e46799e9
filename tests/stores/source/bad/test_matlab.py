"""MATLAB files of the versions 4 and 5 that are wrong or hostile; more lies in `formats`."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from headrace.stores.errors import SourceError
from headrace.stores.source.formats import packed
from tests.stores.source.bad.cases import assert_file_refused, read
from tests.stores.source.bad.memory import assert_bounded

AS_SAVED = {
    "int64 above 2**53": np.array([[2**53 + 1], [-(2**63)], [2**63 - 1]]),
    "uint64 above 2**63": np.array([[2**64 - 1]], np.uint64),
    "int8": np.array([[-128, 127]], np.int8),
    "uint8": np.array([[255, 0]], np.uint8),
    "single": np.array([[1.5, np.inf, -0.0]], np.float32),
    "whole numbers as doubles": np.array([[1.0, 2.0**60]]),
    "nothing": np.zeros((0, 3)),
    "truth": np.array([[True, False]]),
    "three axes": np.arange(24.0).reshape(2, 3, 4),
}


@pytest.mark.parametrize("name", AS_SAVED)
@pytest.mark.parametrize("pack", [False, True])
def test_values_are_those_that_were_saved(name, pack, tmp_path):
    savemat(tmp_path / "a.mat", {"x": AS_SAVED[name]}, do_compression=pack)
    assert list(map(repr, read(tmp_path / "a.mat", "x"))) == list(
        map(repr, AS_SAVED[name].tolist())
    )


NO_NUMBERS = {
    "sparse": csc_array(np.eye(3)),
    "complex": np.array([[1 + 2j]]),
    "texts of many lengths": np.array([["a", {"b": 1}]], dtype=object),
    "cells of cells": np.array([[np.array([[1, "a"]], dtype=object), 2]], dtype=object),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_is_no_matrix_of_numbers_is_no_array(name, tmp_path):
    savemat(tmp_path / "a.mat", {"x": NO_NUMBERS[name]})
    with pytest.raises((SourceError, AssertionError)) as caught:
        read(tmp_path / "a.mat", "x")
    assert "x" in str(caught.value) or "no dataset" in str(caught.value)


def test_a_name_that_leads_up_or_commands_is_but_a_name(tmp_path):
    name = b"up\x1b[2J\0"
    content = struct.pack("<5i", 0, 1, 1, 0, len(name)) + name + struct.pack("<d", 7)
    (tmp_path / "a.mat").write_bytes(content)
    assert read(tmp_path / "a.mat", r"up\x1b[2J") == [[7.0]]


def zeros(count: int) -> bytes:
    """A packed variable of zeros."""
    pack = zlib.compressobj(9)
    head = struct.pack("<2I", 6, 8) + struct.pack("<2I", 6, 0)
    head += struct.pack("<2I2i", 5, 8, count, 1) + struct.pack("<2I", 1, 1) + b"x".ljust(8, b"\0")
    head += struct.pack("<2I", 9, 8 * count)
    content = [pack.compress(struct.pack("<2I", 14, len(head) + 8 * count) + head)]
    content += [pack.compress(bytes(8 << 17)) for _ in range(count >> 17)]
    whole = b"".join(content) + pack.flush()
    begin = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    return begin + struct.pack("<2I", 15, len(whole)) + whole


def test_what_unpacks_to_a_thousand_times_is_refused_before_it_is_held(tmp_path, monkeypatch):
    (tmp_path / "a.mat").write_bytes(zeros(1 << 18))
    monkeypatch.setattr(packed, "SMALL_UNPACKED", 1 << 20)
    with assert_bounded(1 << 20):
        assert_file_refused(tmp_path / "a.mat", "x", SourceError)
    monkeypatch.setattr(packed, "SMALL_UNPACKED", 4 << 20)
    assert len(read(tmp_path / "a.mat", "x")) == 1 << 18


CUT = [0, 1, 19, 64, 127, 128, 135, 136, 200]


@pytest.mark.parametrize("at", CUT)
def test_a_file_that_ends_early_is_refused(at, tmp_path):
    savemat(tmp_path / "a.mat", {"x": np.eye(30)})
    content = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(content[:at])
    kinds = (SourceError, AssertionError) if at == 128 else SourceError
    with pytest.raises(kinds):
        read(tmp_path / "a.mat", "x")
