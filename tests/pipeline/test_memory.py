"""Real stages on real data larger than their budget, capped by the kernel. Not in the fast suite.

`make test-memory` sets how much data there is: 10 GB, or GB= as it says.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.control_groups import ControlGroup, memory_cap
from benchmarks.sources import pattern_of, write_files

pytestmark = [pytest.mark.memory, pytest.mark.timeout(3600)]

GIB, MIB = 1 << 30, 1 << 20
BUDGET = GIB
WINDOW_BYTES = 128 * 9 * 4
DATA_BYTES = int(float(os.environ.get("HEADRACE_TEST_GB", "10")) * 1e9)
CONFIG = """
[train]
epochs = 1
steps_per_epoch = 200
[evaluate]
max_windows = 20000
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that is emptied at the end: pytest would keep its gigabytes."""
    folder = tmp_path_factory.mktemp("memory")
    (folder / "big.toml").write_text(CONFIG)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cap(request: pytest.FixtureRequest) -> Iterator[ControlGroup]:
    """1 GiB, enforced by the kernel where that is permitted."""
    with memory_cap(BUDGET) as cap:
        if not cap.enforced:
            terminal = request.config.pluginmanager.get_plugin("terminalreporter")
            terminal.write_line(
                "No control group may be made here: peaks are measured, not capped."
            )
        yield cap


def make_source(folder: Path, data_bytes: int) -> Path:
    """A synthetic source of about so many bytes of float32 windows of 128 x 9."""
    windows = data_bytes // WINDOW_BYTES
    source = folder / f"windows-{windows}.h5"
    if not source.exists():
        command = [sys.executable, "-m", "headrace", "synth", "--windows", str(windows)]
        with memory_cap(BUDGET) as cap:
            assert cap.run([*command, "--output", str(source)]).returncode == 0
    return source


def run_stage(
    cap: ControlGroup, stage: str, folder: Path, source: Path, *options: str
) -> dict[str, Any]:
    """Run a stage under the cap; its memory plan and what was measured, in bytes."""
    command = [sys.executable, "-m", "headrace", stage, "--json", "--budget", str(BUDGET)]
    command += ["--config", str(folder / "big.toml"), "--data", str(source)]
    command += ["--store", str(source.with_suffix(".zarr")), *options]
    done = cap.run(command, cwd=folder)
    assert done.returncode == 0, f"{stage}: exit code {done.returncode}\n{done.stderr[-2000:]}"
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary["memory"] | {"run": summary.get("run")}


def test_every_stage_keeps_within_a_cap_of_1_gib(folder: Path, cap: ControlGroup) -> None:
    source = make_source(folder, DATA_BYTES)
    assert source.stat().st_size > 2 * BUDGET
    run = ""
    for stage in ("features", "train", "evaluate", "verify"):
        memory = run_stage(cap, stage, folder, source)
        assert memory["measured_peak"] <= memory["projected"] <= memory["budget"] == BUDGET, stage
        run = memory["run"] or run
    options = ["--run", run, "--output", str(folder / "predictions.parquet")]
    memory = run_stage(cap, "predict", folder, source, *options)
    assert memory["measured_peak"] <= memory["projected"] <= memory["budget"] == BUDGET


@pytest.mark.parametrize("form", ["windows", "stretches"])
def test_both_forms_of_windows_that_overlap_keep_within_a_cap_of_1_gib(
    form: str, folder: Path, cap: ControlGroup
) -> None:
    step = 8
    windows = DATA_BYTES // WINDOW_BYTES * step // 64  # Those of `synth` begin every 64 rows.
    source = folder / "overlapping.h5"
    if not source.exists():
        command = [sys.executable, "-m", "headrace", "synth", "--layout", "recordings"]
        command += ["--windows", str(windows), "--output", str(source)]
        assert cap.run(command).returncode == 0
    options = ["--set", f"source.step_samples={step}", "--set", f"store.raw={form}"]
    options += ["--run", str(folder / f"run-{form}")]
    for stage in ("features", "train", "evaluate", "verify"):
        memory = run_stage(cap, stage, folder, source, *options)
        assert memory["measured_peak"] <= memory["projected"] <= memory["budget"] == BUDGET, stage
    shutil.rmtree(source.with_suffix(".zarr"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_many_files_keep_within_what_is_planned_for_them(
    kind: str, tmp_path: Path, cap: ControlGroup
) -> None:
    made = write_files(tmp_path, kind, 200, DATA_BYTES // 16)
    (tmp_path / "big.toml").write_text(CONFIG)
    options = ["--set", "source.rate_hz=50", "--set", f'source.files=["{pattern_of(kind)}"]']
    memory = run_stage(cap, "features", tmp_path, made / "raw", *options)
    shutil.rmtree(made)
    assert memory["tables of the source"] > 0
    assert memory["measured_peak"] <= memory["projected"] <= memory["budget"] == BUDGET


def test_a_part_is_added_and_parts_are_joined_within_what_is_planned(
    folder: Path, tmp_path: Path, cap: ControlGroup
) -> None:
    first, more = (make_source(folder, DATA_BYTES // share) for share in (32, 8))
    store = tmp_path / "grown.zarr"
    command = [sys.executable, "-m", "headrace", "features", "--json", "--budget", str(BUDGET)]
    for data, append in ((first, []), (more, ["--append"])):
        done = cap.run(
            [*command, "--data", str(data), "--store", str(store), *append], cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr[-2000:]
        memory = json.loads(done.stdout)["memory"]
        assert memory["measured_peak"] <= memory["projected"] <= memory["budget"] == BUDGET
    assert (store / "parts" / "0001" / "zarr.json").is_file()
    done = cap.run([*command, "--store", str(store), "--compact"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    memory = json.loads(done.stdout)["memory"]
    assert memory["measured_peak"] <= memory["projected"] <= memory["budget"] == BUDGET
    assert not (store / "parts").exists()
    shutil.rmtree(store)


SCRIPT = """
import sys
import keras
import headrace

data = headrace.Dataset(sys.argv[1], batch=128, budget="200MiB", augment={"noise_probability": 1.0})
train, validation = data["train"], data["validation"]
inputs = {name: keras.Input(shape, name=name) for name, shape in data.inputs.items()}
raw = keras.layers.GRU(16)(keras.layers.AveragePooling1D(8)(inputs["raw"]))
joined = keras.layers.Concatenate()([raw, inputs["features"]])
model = keras.Model(inputs, keras.layers.Dense(len(data.classes), activation="softmax")(joined))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
model.fit(
    train.tf(),
    validation_data=validation.tf(),
    steps_per_epoch=len(train),
    callbacks=[train.checkpoint("state", every=100)],
    shuffle=False,
    verbose=2,
)
print(sum(len(target) for _, target, _ in train.numpy()), train.windows)
"""


def test_a_script_with_a_network_of_its_own_keeps_within_a_cap_of_1_gib(
    folder: Path, cap: ControlGroup
) -> None:
    source = make_source(folder, DATA_BYTES)
    store = source.with_suffix(".zarr")
    if not store.exists():
        run_stage(cap, "features", folder, source)
    (folder / "script.py").write_text(SCRIPT)
    done = cap.run([sys.executable, str(folder / "script.py"), str(store)], cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    seen, windows = done.stdout.split()[-2:]
    assert seen == windows


def test_sixteen_times_the_data_takes_no_more_memory(folder: Path, cap: ControlGroup) -> None:
    peaks: dict[tuple[str, int], list[int]] = {}
    for share in (16, 1):
        source = make_source(folder, DATA_BYTES // share)
        store = source.with_suffix(".zarr")
        for _ in range(3):
            shutil.rmtree(store, ignore_errors=True)
            for stage in ("features", "train", "evaluate"):
                options = ["--run", str(folder / f"run-{share}")] if stage != "features" else []
                memory = run_stage(cap, stage, folder, source, *options)
                peaks.setdefault((stage, share), []).append(memory["measured_peak"])
            shutil.rmtree(folder / f"run-{share}")
    for stage in ("features", "train", "evaluate"):
        small, large = (statistics.median(peaks[stage, share]) for share in (16, 1))
        assert large - small <= 24 * MIB, f"{stage}: {small / MIB:.0f} to {large / MIB:.0f} MiB"


def test_memory_is_level_over_twenty_epochs(folder: Path, cap: ControlGroup) -> None:
    source = make_source(folder, DATA_BYTES // 16)
    if not source.with_suffix(".zarr").exists():
        run_stage(cap, "features", folder, source)
    epochs = ["--set", "train.epochs=20", "--set", "train.patience=20"]
    steps = ["--set", "train.steps_per_epoch=50", "--run", str(folder / "long")]
    run_stage(cap, "train", folder, source, *epochs, *steps)
    record = json.loads((folder / "long" / "memory-train.json").read_text())
    last = record["timeline"][-1][0]
    quarters: dict[int, list[int]] = {2: [], 3: []}
    for seconds, held in record["timeline"]:
        quarter = min(int(4 * seconds / last), 3)
        quarters.setdefault(quarter, []).append(held)
    assert statistics.median(quarters[3]) <= 1.01 * statistics.median(quarters[2])


@pytest.mark.parametrize("filters", [256, 1024])
def test_a_wide_network_keeps_within_a_cap_of_what_is_planned_for_it(
    tiny_store: Path, tmp_path: Path, filters: int
) -> None:
    options = ["--json", "--store", str(tiny_store), "--run", str(tmp_path / "run")]
    options += ["--set", f"model.filters={filters}", "--set", "train.batch=32"]
    options += ["--set", "train.epochs=1", "--set", "train.steps_per_epoch=4"]
    for stage in ("train", "evaluate"):
        plan = subprocess.run(
            [sys.executable, "-m", "headrace", "plan", *options], capture_output=True, check=True
        )
        projected = json.loads(plan.stdout)["stages"][stage]["projected"]
        with memory_cap(projected) as own:
            command = [sys.executable, "-m", "headrace", stage, "--budget", str(projected)]
            done = own.run([*command, *options], cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        memory = json.loads(done.stdout)["memory"]
        assert memory["measured_peak"] <= memory["projected"] <= projected


def test_what_the_network_takes_is_measured_once_and_holds(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ["--store", str(tiny_store), "--run", str(tmp_path / "run")]
    options += ["--set", "train.epochs=1", "--set", "train.tensorboard=false"]

    def run(*command: str) -> str:
        whole = [sys.executable, "-m", "headrace", *command, *options]
        return subprocess.run(whole, capture_output=True, text=True, check=True).stdout

    assert "reserved (typical of this version)" in run("plan")
    assert "reserved (measured)" in run("plan", "--measure")
    planned = json.loads(run("plan", "--json"))["stages"]
    assert "activations" not in planned["train"]
    for stage in ("train", "evaluate"):
        memory = json.loads(run(stage, "--json"))["memory"]
        assert memory["reserved"] == planned[stage]["reserved"]
        assert memory["measured_peak"] <= memory["projected"]
    assert "typical" in run("plan", "--set", "model.filters=16")
