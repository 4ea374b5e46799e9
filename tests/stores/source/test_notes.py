"""Notes: what is seen in a source is said in one line, and decides nothing."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest

from headrace.stores.errors import SourceError
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import assert_names, refused
from tests.stores.source_files import C, N, T, write_recordings, write_windows


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


def with_attributes(path, place="X", **said):
    with h5py.File(path, "r+") as file:
        for name, value in said.items():
            file[place].attrs[name] = value


def windows_with(tmp_path, place="X", **said):
    write_windows(tmp_path / "s.h5", X=np.arange(N * T * C).reshape(N, T, C).astype("u2"))
    with_attributes(tmp_path / "s.h5", place, **said)
    return tmp_path / "s.h5"


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("gain", 24, "source.scale"),
        ("acc_lsb", 0.5, "source.scale"),
        ("Sensitivity", [1.0, 2.0, 3.0], "source.scale"),
        ("calibrationFactor", 0.25, "source.scale"),
        ("scale", 0.125, "source.scale"),
        ("offset", 32768, "source.offset"),
        ("baseline", -3.5, "source.offset"),
        ("unit", "m/s2", "source.units"),
        ("Fs", 100.0, "source.rate_hz"),
        ("dt", 0.02, "source.rate_hz"),
        ("sampling_rate", 100, "source.rate_hz"),
        ("t0", "2020-01-01", "source.rate_hz"),
    ],
)
@pytest.mark.parametrize("place", ["X", "/"])
def test_attributes_that_look_like_options_and_are_not_used_are_named(
    tmp_path, place, name, value, key
):
    path = windows_with(tmp_path, place, **{name: value})
    source, notes = notes_of(path)
    value = value if isinstance(value, list) else [value]
    note = the_note(notes, key, name, *(f"{each:g}" for each in value if not isinstance(each, str)))
    assert not note.warning
    assert source.spec.scale == (1, 1, 1)


def test_attributes_that_say_what_is_used_or_belong_to_something_else_are_not_named(tmp_path):
    path = windows_with(
        tmp_path, fs=20.0, description="of a person", filter_frequency=5.0, gain=1.0, subject=3
    )
    assert notes_of(path)[1] == ()


def test_attributes_are_not_named_where_their_option_is_given(tmp_path):
    path = windows_with(tmp_path, gain=24.0, fs=100.0)
    assert notes_of(path, scale=[24.0] * 3, rate_hz=100.0)[1] == ()


def test_attributes_of_a_group_are_named_too(tmp_path):
    path = tmp_path / "s.h5"
    write_windows(path)
    with h5py.File(path, "r+") as file:
        file["session/X"] = file["X"][...]
        file["session"].attrs["gain"] = 7.0
    the_note(notes_of(path, windows="session/X")[1], "source.scale", "gain", "7")


def test_values_that_netcdf_packs_are_unpacked_and_that_is_said(tmp_path):
    path = windows_with(tmp_path, scale_factor=0.5, add_offset=-2.0)
    the_note(notes_of(path)[1], "source.scale", "scale_factor", "0.5", "add_offset", "-2")
    with open_source(path, SourceOptions()) as source:
        first = source.read_windows(0, 1)[0, 0] * np.array(source.spec.scale)
    assert first.tolist() == [-2.0, -1.5, -1.0]
    with open_source(path, SourceOptions(scale=[], offset=[])) as source:
        assert source.read_windows(0, 1)[0, 0].tolist() == [0, 1, 2]
        assert source.spec.scale == (1, 1, 1)


def test_an_offset_of_netcdf_goes_with_the_scale_that_the_file_says(tmp_path):
    path = windows_with(tmp_path, scale_to_units=[0.5] * 3, add_offset=-2.0, offset=4)
    with open_source(path, SourceOptions()) as source:
        notes = source.notes
        first = source.read_windows(0, 1)[0, 0] * np.array(source.spec.scale)
    assert first.tolist() == [-2.0, -1.5, -1.0]
    the_note(notes, "source.offset", "offset", "4")


@pytest.mark.parametrize("name", ["fs", "Fs", "sample_rate", "samplingRate", "sampling_frequency"])
@pytest.mark.parametrize("value", [50.0, 50, np.float32([50]), "50", "50 Hz", "0.05 kHz"])
def test_a_rate_of_another_name_is_taken_where_there_is_none_of_ours(tmp_path, name, value):
    write_windows(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        del file.attrs["sampling_rate_hz"]
        file.attrs[name] = value
    with open_source(tmp_path / "s.h5", SourceOptions()) as source:
        assert source.spec.rate_hz == 50


def test_rates_that_disagree_are_refused_and_one_that_is_not_sure_is_named(tmp_path):
    write_windows(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        del file.attrs["sampling_rate_hz"]
        file.attrs["dt"] = 0.02
    with refused(SourceError, "dt", "0.02", "source.rate_hz"):
        notes_of(tmp_path / "s.h5")
    with_attributes(tmp_path / "s.h5", fs=50.0, sample_rate=100.0)
    with refused(SourceError, "fs", "50", "sample_rate", "100", "source.rate_hz"):
        notes_of(tmp_path / "s.h5")
    assert notes_of(tmp_path / "s.h5", rate_hz=50.0)


def test_arrays_side_by_side_keep_what_each_says_of_its_channels(tmp_path):
    path = tmp_path / "s.h5"
    content = write_windows(path, X=None)
    assert content
    with h5py.File(path, "r+") as file:
        for name, scale, unit in (("acc", 0.5, "g"), ("gyr", 0.25, "dps")):
            file[name] = np.ones((N, T, 3), "i2")
            file[name].attrs["scale_to_units"], file[name].attrs["units"] = scale, unit
            file[name].attrs["channels"] = [f"{name}_{axis}" for axis in "xyz"]
        file["hr"] = np.ones((N, T), "i2")
        file["hr"].attrs["channels"] = "bpm"
    with open_source(path, SourceOptions(windows=["acc", "gyr", "hr"])) as source:
        assert source.spec.scale == (0.5,) * 3 + (0.25,) * 3 + (1,)
        assert source.spec.units == ("g",) * 3 + ("dps",) * 3 + ("",)
        assert source.spec.channels[2:] == ("acc_z", "gyr_x", "gyr_y", "gyr_z", "bpm")


def test_more_channels_than_samples_are_asked_about_unless_the_axes_are_said(tmp_path):
    path = tmp_path / "s.h5"
    write_windows(path, X=np.random.default_rng(0).normal(size=(N, 40, 22)).astype("f4"))
    assert notes_of(path)[1] == ()
    write_windows(path, X=np.random.default_rng(0).normal(size=(N, 8, 22)).astype("f4"))
    the_note(notes_of(path)[1], "source.axes", "22", "8", '["window", "channel", "time"]')
    assert notes_of(path, axes=["window", "channel", "time"])[1] == ()
    assert notes_of(path, axes=["window", "time", "channel"])[1] == ()


def test_channels_without_a_signal_are_named(tmp_path):
    values = np.random.default_rng(0).normal(size=(N, T, C)).astype("f4")
    values[..., 0], values[..., 1] = 9.5, np.nan
    write_windows(tmp_path / "s.h5", X=values)
    notes = notes_of(tmp_path / "s.h5", channels=["still", "dead", "fine"])[1]
    the_note(notes, "source.signals", "still", "9.5")
    the_note(notes, "source.non_finite", "dead")


def test_what_the_label_rule_drops_is_said_by_class_and_lost_classes_are_a_warning(tmp_path):
    labels = np.zeros(200, int)
    labels[20:26] = labels[60:68] = 1
    labels[100:140] = 2
    write_recordings(tmp_path / "s.h5", rows=(200,), labels=labels)
    source, notes = notes_of(tmp_path / "s.h5", window_samples=10, overlap=0.0)
    note = the_note(notes, "source.label_rule", "walk", "18", "20", "0", "0.7", '"majority"')
    assert note.warning
    by_class = {each.name: each for each in source.label_losses.classes}
    assert (by_class["walk"].stretches, by_class["walk"].rows) == (2, 14)
    assert (by_class["walk"].pure, by_class["walk"].majority) == (0, 2)
    assert by_class["walk"].median_s == 0.7
    assert by_class["run"].pure == by_class["run"].majority == 4
    assert sum(each.pure for each in by_class.values()) == source.windows
    source, notes = notes_of(
        tmp_path / "s.h5", window_samples=10, overlap=0.0, label_rule="majority"
    )
    assert not [each for each in notes if each.key == "source.label_rule"]
    assert sum(each.majority for each in by_class.values()) == source.windows
    with open_source(tmp_path / "s.h5", SourceOptions(window_samples=6)) as source:
        assert "walk" in source.classes


def test_labels_that_are_left_out_are_counted_in_both_layouts(tmp_path):
    write_windows(tmp_path / "w.h5")
    notes = notes_of(tmp_path / "w.h5", exclude_labels=["1"])[1]
    the_note(notes, "source.exclude_labels", "30", "90", "1")
    write_recordings(tmp_path / "r.h5")
    notes = notes_of(tmp_path / "r.h5", exclude_labels=["none"], window_samples=10)[1]
    the_note(notes, "source.exclude_labels", "none", "200")


def test_minus_one_is_left_out_as_any_other_label(tmp_path):
    labels = np.where(np.arange(N) % 4 == 0, -1, np.arange(N) % 2)
    write_windows(tmp_path / "s.h5", y=labels)
    source, notes = notes_of(tmp_path / "s.h5", exclude_labels=["-1"])
    assert source.classes == ("0", "1")
    the_note(notes, "source.exclude_labels", "-1")


def test_labels_that_are_nan_are_left_out_by_choice_or_refused_with_their_row(tmp_path):
    labels = np.where(np.arange(N) == 7, np.nan, np.arange(N) % 2)
    write_windows(tmp_path / "s.h5", y=labels)
    with refused(SourceError, "7", 'source.exclude_labels = ["nan"]'):
        notes_of(tmp_path / "s.h5")
    source, notes = notes_of(tmp_path / "s.h5", exclude_labels=["nan"])
    assert (source.classes, source.windows) == (("0", "1"), N - 1)
    the_note(notes, "source.exclude_labels", "nan", "1", "90")
    values = np.where(np.arange(200) == 7, np.nan, np.arange(200) // 50 % 2)
    write_recordings(tmp_path / "r.h5", labels=values, classes=None)
    with refused(SourceError, "7", 'source.exclude_labels = ["nan"]'):
        notes_of(tmp_path / "r.h5", window_samples=10)
    source, _ = notes_of(tmp_path / "r.h5", window_samples=10, exclude_labels=["nan"])
    assert source.classes == ("0", "1")


def test_many_whole_numbers_as_labels_are_asked_about_unless_they_have_names(tmp_path):
    write_windows(tmp_path / "s.h5", y=np.arange(N) % 20)
    with refused(SourceError, "target.kind", "20", "0", "19"):
        notes_of(tmp_path / "s.h5")
    classes = {"low": [str(n) for n in range(10)], "high": [str(n) for n in range(10, 20)]}
    assert notes_of(tmp_path / "s.h5", class_map=classes)[1] == ()
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["classes"] = [f"gesture {n}" for n in range(20)]
    assert notes_of(tmp_path / "s.h5")[1] == ()


def test_several_names_in_a_cell_are_named_unless_none_comes_again(tmp_path):
    write_windows(tmp_path / "s.h5", y=["AF;ST", "ST", "SB"] * (N // 3))
    the_note(notes_of(tmp_path / "s.h5")[1], "target.kind", "AF;ST", '"labels"')
    write_windows(tmp_path / "s.h5", y=["sit, slow", "walk, fast", "lie"] * (N // 3))
    assert notes_of(tmp_path / "s.h5")[1] == ()


def test_a_label_that_is_no_whole_number_is_refused_with_its_value_and_row(tmp_path):
    write_windows(tmp_path / "s.h5", y=np.arange(N) % 2 + 0.5 * (np.arange(N) == 9))
    with refused(SourceError, "1.5", "9", "source.labels"):
        notes_of(tmp_path / "s.h5")


def test_labels_of_several_columns_that_are_to_be_classes_are_refused(tmp_path):
    marks = np.zeros((N, 4), "u1")
    marks[:30, 0] = marks[10:40, 1] = 1
    write_windows(tmp_path / "s.h5", y=marks)
    with refused(SourceError, "source.labels", "4", "90", "20", "50", "target.kind") as caught:
        notes_of(tmp_path / "s.h5", target={"kind": "class"})
    assert "argmax" not in str(caught.value)
    write_windows(tmp_path / "s.h5", y=np.eye(4)[np.arange(N) % 4])
    with refused(SourceError, "source.labels", "4", "90"):
        notes_of(tmp_path / "s.h5")


def test_notes_are_the_same_every_time_and_few(tmp_path):
    many = {f"gain_{n}": n + 2.0 for n in range(50)}
    path = windows_with(tmp_path, **many)
    first = notes_of(path)[1]
    assert first == notes_of(path)[1]
    assert len(first) == 1
    assert len(str(first[0])) < 400


@pytest.mark.parametrize(
    ("name", "option"), [("fs", "rate_hz"), ("scale_factor", "scale"), ("add_offset", "offset")]
)
def test_recordings_that_say_different_things_under_usual_names_are_refused(tmp_path, name, option):
    for number in (1, 2, 3):
        with h5py.File(tmp_path / f"s{number}.h5", "w") as file:
            file["signals"], file["labels"] = np.ones((60, 2), "i2"), np.arange(60) // 30
            file["signals"].attrs["fs"] = 10.0
            file["signals"].attrs[name] = 2.0 + (number == 3)
    options = {"files": ["s{subject}.h5"], "window_samples": 10}
    with refused(SourceError, f"source.{option}"):
        notes_of(tmp_path, **options)
    given = 2.0 if option == "rate_hz" else [2.0, 2.0]
    assert notes_of(tmp_path, **options, **{option: given})


def test_labels_that_differ_in_case_are_one_class_by_choice_or_refused(tmp_path):
    labels = np.array([b"Walk", b"walk", b"run"])[np.arange(N) % 3]
    write_windows(tmp_path / "s.h5", y=labels)
    with refused(SourceError, "Walk", "walk", "source.class_map", "source.exclude_labels"):
        notes_of(tmp_path / "s.h5")
    joined = {"walking": ["Walk", "walk"], "running": ["run"]}
    assert notes_of(tmp_path / "s.h5", class_map=joined)[0].classes == ("walking", "running")
    assert notes_of(tmp_path / "s.h5", exclude_labels=["Walk"])[0].classes == ("run", "walk")
    write_windows(tmp_path / "s.h5", groups=labels)
    with refused(SourceError, "Walk", "walk", "source.groups"):
        notes_of(tmp_path / "s.h5")


def test_signals_of_channels_first_are_told_by_their_labels(tmp_path):
    write_recordings(tmp_path / "s.h5", signals=np.zeros((C, 200), "f4"))
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["recordings/length"][...] = 1
        file["recordings/start"][...] = [0, 1, 2]
    with refused(SourceError, "200", "3", "source.axes"):
        notes_of(tmp_path / "s.h5")


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("s.bin", b"", "empty"),
        ("s.bin", b"nothing known", "nothing known"),
        ("s.edf", b"0       " + b" " * 300, "EDF"),
        ("s.pkl", b"\x80\x04\x95", "numpy.save"),
        ("s.xlsx", b"PK\x03\x04" + b"0" * 100, "CSV"),
        ("s.json", b'{"x": [1]}', "CSV"),
        ("s.h5", b"\x00" * 5000, "HDF5"),
    ],
)
def test_a_file_of_no_known_format_is_said_to_be_what_it_seems(tmp_path, name, content, named):
    (tmp_path / name).write_bytes(content)
    with refused(SourceError, name, named):
        notes_of(tmp_path / name)


def test_arrays_of_several_rates_are_noted_as_one(tmp_path):
    generator = np.random.default_rng(0)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for name, rate in (("ecg", 40), ("acc", 20)):
            file[name] = generator.normal(size=(rate * 30, 1)).astype("f4")
            file[name].attrs["fs"], file[name].attrs["gain"] = rate, 1.0 + rate
        file["recordings/start"] = np.arange(3) * 400
        file["recordings/length"] = np.full(3, 400)
        file["recordings/subject"] = np.arange(3)
    cut = {"window_samples": 8, "labels": ""}
    notes = notes_of(tmp_path / "s.h5", signals=["ecg", "acc"], **cut)[1]
    assert [note.key for note in notes] == ["source.scale"]
    the_note(notes, "source.scale", "41", "21")


def rows_with(path, extra, people=6, length=1600):
    """Recordings of a few people, with further channels by name."""
    rows = people * length
    signal = np.random.default_rng(3).normal(size=(rows, 2))
    label = np.arange(rows) // (length // 2) % 2
    channels = {"x": signal[:, 0], "y": signal[:, 1]} | extra(np.arange(rows), length, label)
    with h5py.File(path, "w") as file:
        file["signals"] = np.stack([*map(np.float32, channels.values())], axis=1)
        file["signals"].attrs["channels"] = list(channels)
        file["labels"], file["groups"] = label, np.arange(rows) // length
        file.attrs["sampling_rate_hz"] = 50.0
    return path


@pytest.mark.parametrize(
    ("extra", "leaks"),
    [
        (lambda row, length, label: {"weight": 70.5 + row // length}, False),
        (lambda row, length, label: {"trial": row // (length // 2)}, False),
        (lambda row, length, label: {"code": 7.0 - 3 * label}, True),
        (lambda row, length, label: {"frame": row % length + 1.0}, False),
        (lambda row, length, label: {"sec [s]": row / 50}, False),
        (lambda row, length, label: {"walk": label, "run": 1 - label}, True),
    ],
)
def test_channels_that_measure_nothing_are_named_and_can_be_left_out(tmp_path, extra, leaks):
    path = rows_with(tmp_path / "s.h5", extra)
    names = list(extra(np.arange(2), 10, np.zeros(2)))
    _, notes = notes_of(path)
    note = the_note(notes, "source.use_channels", *names)
    assert ("labels" in str(note)) == leaks
    source, notes = notes_of(path, use_channels=re.findall(r'"(![^"]+)"', str(note)))
    assert source.spec.channels == ("x", "y")
    assert "source.use_channels" not in {note.key for note in notes}


@pytest.mark.parametrize(
    "extra",
    [
        lambda row, length, label: {"heart": 70 + row // 50 % 7},
        lambda row, length, label: {"touch": row // 9 % 2, "press": row // 13 % 2},
        lambda row, length, label: {"far": np.sqrt(row)},
        lambda row, length, label: {"nan": np.where(row % 7, row // length, np.nan)},
    ],
)
def test_slow_and_odd_channels_are_measurements(tmp_path, extra):
    _, notes = notes_of(rows_with(tmp_path / "s.h5", extra), non_finite="fill")
    assert [note for note in notes if note.key == "source.use_channels"] == []


def test_a_channel_without_a_value_in_some_recordings_is_named_where_it_is_filled(tmp_path):
    path = rows_with(
        tmp_path / "s.h5",
        lambda row, length, label: {
            "heart": np.where(row // length == 2, np.nan, row % 7),
            "skin": np.where(row % 50, np.nan, row % 11),
        },
    )
    _, notes = notes_of(path, non_finite="fill")
    note = the_note(notes, "source.non_finite", "heart", "2", "source.use_channels")
    assert "skin" not in str(note)
