"""What names, numbers and lengths of labels are taken for."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pipeline.commands.guess.axes import triads_of, units_in
from headrace.pipeline.commands.guess.config import guess_config
from headrace.pipeline.commands.guess.facts import Guess
from headrace.pipeline.commands.guess.names import propose
from headrace.pipeline.commands.guess.rate import time_unit
from headrace.pipeline.commands.guess.windows import tell_window
from headrace.pipeline.commands.init import config_text
from headrace.pipeline.config.load import load_config
from headrace.stores.source.file_patterns import compiled
from headrace.stores.source.probe.found import Contents, FoundArray, FoundFile, Stretches

BIDS = "sub-{subject}/ses-{session}/sub-{subject}_ses-{session}.csv"
PATTERNS: dict[str, tuple[list[str], list[str]]] = {
    "subject, activity, trial": (
        [f"S{s:02}_{a}_{t}.csv" for s in (1, 2, 3) for a in ("walk", "run") for t in (1, 2)],
        ["S{subject}_{activity}_{trial}.csv"],
    ),
    "sensors": (
        [f"{s}_p{p}.txt" for s in ("acc", "gyro") for p in (1, 2)],
        ["acc_p{subject}.txt", "gyro_p{subject}.txt"],
    ),
    "a field twice": (
        [BIDS.format(subject=f"{s:02}", session=n) for s in (1, 2, 3) for n in (1, 2)],
        [BIDS],
    ),
    "a code": (
        [f"{p}/{a}_{p}_R{r}.txt" for p in ("SA01", "SE02") for a in ("D01", "F05") for r in (1, 2)],
        ["{subject}/{activity}_{subject}_R{trial}.txt"],
    ),
    "a number that only some names vary in": (
        ["Normal_0.mat", "Normal_1.mat", "IR007_0.mat", "B007_0.mat", "B007_3.mat"],
        ["{activity}_{trial}.mat"],
    ),
    "a split": (
        [f"{p}/s{n}.npy" for p, n in (("train", 1), ("train", 2), ("test", 3))],
        ["{split}/s{subject}.npy"],
    ),
    "codes that words part": (
        [f"Subject{s}/a{a}t{t}.mat" for s in (1, 2, 3) for a in (1, 2, 12) for t in (1, 2)],
        ["Subject{subject}/a{activity}t{trial}.mat"],
    ),
    "subject and run": (
        [f"S{s:02}R{r:02}.txt" for s in (1, 2, 3) for r in (1, 2)],
        ["S{subject}R{trial}.txt"],
    ),
    "people by name": (
        [f"{who}_{what}.csv" for who in ("anna", "bob", "cy") for what in ("walk", "sit")],
        ["{subject}_{activity}.csv"],
    ),
    "what a pattern gives a meaning": ([f"a{{x}}[1]_{n}.csv" for n in range(3)],
                                       ["a*x*1*_{subject}.csv"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", PATTERNS)
def test_what_varies_in_names_is_a_field(kind: str) -> None:
    names, patterns = PATTERNS[kind]
    found = propose(sorted(names), labelled=False)
    assert found is not None
    assert list(found.patterns) == patterns
    assert found.rest == ()


WORDS = st.text(min_size=1, max_size=6).filter(lambda text: "/" not in text and text.isprintable())


@settings(max_examples=150)
@given(names=st.lists(st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=8),
       labelled=st.booleans())  # fmt: skip
def test_a_pattern_takes_names_once_and_can_be_written_down(
    names: list[list[str]], labelled: bool
) -> None:
    given_names = sorted({"/".join(parts) + ".csv" for parts in names})
    found = propose(given_names, labelled)
    assert found is not None
    expressions = [compiled(pattern) for pattern in found.patterns]
    taken = [name for each in found.names for name in each]
    assert sorted([*taken, *found.rest]) == given_names
    for expression, own in zip(expressions, found.names, strict=True):
        assert all(expression.fullmatch(name) for name in own)
    arrays = (
        FoundArray("table", (90, 3), "f"),
        *(FoundArray(axis, (90,), "f", least=0.0, most=1.0) for axis in "xyz"),
    )
    files = tuple(FoundFile(name, "text", arrays) for name in given_names)
    guess = guess_config(Contents(files, tuple(given_names)), "odd")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "odd.toml")
        file.write_text(config_text(guess, Path("odd"), "odd"), "utf-8")
        assert set(tomllib.loads(file.read_text("utf-8"))) <= {
            "name", "paths", "source", "features", "train",
        }  # fmt: skip
        options = load_config(file).source
    assert options.files == list(guess.value("files") or [])


@pytest.mark.parametrize(
    ("names", "triads"),
    [
        (["x_acc", "y_acc", "z_acc"], {"acc"}),
        (["ax", "ay", "az", "gx", "gy", "gz"], {"a", "g"}),
        (["Acc X", "Acc Y", "Acc Z", "temp"], {"Acc"}),
        (["accelerometerX", "accelerometerY", "accelerometerZ"], {"accelerometer"}),
        (["userAcceleration.x", "userAcceleration.y", "userAcceleration.z",
          "attitude.roll", "attitude.pitch", "attitude.yaw"],
         {"userAcceleration", "attitude"}),
        (["accx1", "accy1", "accz1"], {"acc_1"}),
        (["AccX [g]", "AccY [g]", "AccZ [g]"], {"Acc"}),
        (["body_acc_x_train", "body_acc_y_train", "body_acc_z_train"], {"body_acc_train"}),
        (["box", "fox", "HR"], set()),
        (["sensor_1", "sensor_2", "sensor_3"], set()),
    ],
)  # fmt: skip
def test_axes_of_one_sensor_are_a_triad(names: list[str], triads: set[str]) -> None:
    assert set(triads_of(names)) == triads


def test_units_stand_in_brackets_behind_names() -> None:
    assert units_in(["AccX [g]", "Gyr (deg/s)"]) == ["g", "deg/s"]
    assert units_in(["AccX [g]", "Gyr"]) is None


@pytest.mark.parametrize(
    ("name", "first", "step", "unit", "sure"),
    [
        ("time_ms", 0, 20, "ms", True),
        ("Time (s)", 0, 0.02, "s", True),
        ("timestamp", 1.6e9, 0.02, "s", True),
        ("timestamp", 1.6e12, 20, "ms", True),
        ("timestamp", 1.6e18, 2e7, "ns", True),
        ("t", 0, 0.02, "s", True),
        ("t", 0, 1, "s", False),
    ],
)
def test_what_times_count_is_told_by_name_size_and_step(
    name: str, first: float, step: float, unit: str, sure: bool
) -> None:
    whole = step == int(step)
    times = FoundArray(name, (90,), "f", least=first, most=first + 90 * step, step=step,
                       rises=True, even=True, whole=whole)  # fmt: skip
    assert time_unit(times) == (unit, sure)


@pytest.mark.parametrize(
    ("rate", "quartiles", "samples", "rule"),
    [
        (50.0, (400.0, 500.0, 600.0), None, "pure"),
        (48828.0, (1e6, 1e6, 1e6), 1024, "pure"),
        (10.0, (400.0, 500.0, 600.0), 64, "pure"),
        (50.0, (100.0, 120.0, 140.0), 64, "pure"),
        (50.0, (30.0, 65.0, 200.0), 64, "majority"),
        (None, (400.0, 500.0, 600.0), 128, "pure"),
    ],
)
def test_a_window_fits_the_rate_and_most_stretches_of_labels(
    rate: float | None, quartiles: tuple[float, ...], samples: int | None, rule: str
) -> None:
    guess = Guess()
    stretches = Stretches({"a": list(quartiles), "b": [1e7] * 3}, {"a": 9, "b": 9}, rate or 1.0)
    tell_window(guess, rate, stretches)
    assert guess.value("window_samples") == samples
    assert (guess.value("label_rule") or "pure") == rule
    assert any("a " in note for note in guess.notes)
