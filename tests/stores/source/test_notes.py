"""Notes: what is seen in a source is said in one line, and decides nothing."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import assert_names
from tests.stores.source_files import N, write_recordings, write_windows


def notes_of(path, **options):
    with open_source(path, SourceOptions(**options)) as source:
        return source, source.notes


def the_note(notes, key, *named):
    """The one note of a key that names these."""
    found = [note for note in notes if note.key == key]
    assert len(found) == 1, notes
    assert_names(str(found[0]), *named)
    assert "\n" not in str(found[0])
    return found[0]


def test_a_usual_file_has_no_notes(tmp_path):
    write_windows(tmp_path / "s.h5")
    _, notes = notes_of(tmp_path / "s.h5")
    assert notes == ()


@pytest.mark.parametrize(
    "spellings",
    [
        (b"P1", b"P1   "),
        (b"P1", b"P1\r"),
        (b"P1", b"\tP1"),
        (b"P1", "P1\u00a0".encode()),
        ("Zo\u00eb".encode(), "Zoe\u0308".encode()),
        (b"P  1", b"P 1"),
        ("P\u200b1".encode(), b"P1"),
    ],
)
def test_names_that_look_alike_are_one_and_that_is_said(tmp_path, spellings):
    groups = np.array([*spellings, b"other", b"third"], dtype="S12")[np.arange(N) % 4]
    write_windows(tmp_path / "s.h5", groups=groups)
    source, notes = notes_of(tmp_path / "s.h5")
    assert len(source.groups) == 3
    the_note(notes, "source.groups", "1")


def test_names_with_blanks_around_them_are_read_without_and_that_is_said(tmp_path):
    write_windows(tmp_path / "s.h5", groups=np.array([" a", "b ", "c"], "S3")[np.arange(N) % 3])
    source, notes = notes_of(tmp_path / "s.h5")
    assert source.groups == ("a", "b", "c")
    the_note(notes, "source.groups", "2")


def test_an_accent_written_in_two_ways_is_found_by_either_in_the_configuration(tmp_path):
    labels = np.array(["Cafe\u0301".encode(), b"walk"], dtype="S8")[np.arange(N) % 2]
    write_windows(tmp_path / "s.h5", y=labels)
    source, _ = notes_of(tmp_path / "s.h5", exclude_labels=["Caf\u00e9"])
    assert source.classes == ("walk",)


def test_padded_names_of_classes_are_those_that_labels_count_into(tmp_path):
    write_windows(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["classes"] = np.array([b"walk  ", b"run   ", b"fall"], dtype="S6")
    source, _ = notes_of(tmp_path / "s.h5")
    assert source.classes == ("walk", "run", "fall")


def test_recordings_that_give_no_window_are_a_warning_that_names_the_lost_groups(tmp_path):
    write_recordings(tmp_path / "s.h5")
    _, notes = notes_of(tmp_path / "s.h5", window_samples=60, label_rule="majority")
    assert the_note(notes, "source.window_s", "1", "2").warning
