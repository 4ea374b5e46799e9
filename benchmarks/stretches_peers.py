"""Windows cut from stretches against those that braindecode and xbatcher cut from recordings.

    python -m benchmarks.stretches_peers --data sisfall.h5 [--windows 100000] [--rounds 3]

Windows of 512 samples every 16 of a source in the recordings layout, raw alone, in units, float32,
shuffled, in batches of 128 for torch. It needs Python 3.12 and the extra `lazy`. Each peer is a
process of its own, and epochs run in turns, page cache warm. Ours is of all windows, those of
braindecode of `--windows` drawn from all, of xbatcher of a tenth of these. Peaks are of anonymous
and shared memory during epochs; a page that a process shares with its workers counts once. Exit
code 1: ours is below 5 times the fastest feed of braindecode, or holds more than its leanest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from benchmarks import cut_peers
from benchmarks.cut_peers import Cut, Feed
from benchmarks.timing import machine, table, version

FLOOR = 5.0
OURS, THEIRS = "headrace, torch()", "braindecode"
SAMPLE_SECONDS = 0.1
Make = Callable[[], dict[str, Feed]]


@dataclass
class Measured:
    """Feeds of one kind in a process of their own.

    Attributes:
        asked: where the name of a feed is sent, and its windows and seconds come back.
        rates: windows/s of each epoch that counts, by name.
        peaks: bytes that the process and its workers held at most during its epochs, by name.
    """

    process: BaseProcess
    asked: Connection
    rates: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)

    def ready(self) -> None:
        """Wait until the feeds are made."""
        for name in self.asked.recv():
            self.rates[name], self.peaks[name] = [], 0

    def run(self, counts: bool) -> None:
        """An epoch of each feed; one that does not count still has a peak."""
        for name, rates in self.rates.items():
            self.asked.send(name)
            done = False
            while not done:
                self.peaks[name] = max(self.peaks[name], held(self.process))
                done = self.asked.poll(SAMPLE_SECONDS)
            rows, seconds = self.asked.recv()
            if counts:
                rates.append(rows / seconds)


def held(process: BaseProcess) -> int:
    """Anonymous and shared bytes of a process tree, pages that its processes share once."""
    found, tree = 0, psutil.Process(process.pid)
    for one in (tree, *tree.children(recursive=True)):
        try:
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parts = [line.split() for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))]
        found += 1024 * sum(int(kilobytes) for _, kilobytes, _ in parts)
    return found


def start(make: Make) -> Measured:
    """A process that makes feeds."""
    spawned = multiprocessing.get_context("spawn")
    here, there = spawned.Pipe()
    process = spawned.Process(target=serve, args=(make, there))
    process.start()
    there.close()
    return Measured(process, here)


def serve(make: Make, asked: Connection) -> None:
    """Make feeds, say their names, and run an epoch of one whenever its name comes."""
    feeds = make()
    asked.send(list(feeds))
    while (name := asked.recv()) is not None:
        begun = time.perf_counter()
        rows = feeds[name]()
        asked.send((rows, time.perf_counter() - begun))


def make_store(cut: Cut, target: Path) -> None:
    """A store of stretches without features, if it is not there."""
    if target.exists():
        return
    keys = {
        "store.raw": "stretches",
        "features.select": '["!*"]',
        "source.window_samples": cut.time,
        "source.step_samples": cut.step,
    }
    stage = [sys.executable, "-m", "headrace", "features", "--quiet"]
    stage += ["--data", str(cut.source), "--store", str(target)]
    stage += [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
    subprocess.run(stage, check=True)


def contenders(cut: Cut, folder: Path) -> dict[str, Make]:
    """What is compared: ours, then braindecode's, then xbatcher's."""
    store = folder / f"stretches-{cut.time}-{cut.step}.zarr"
    make_store(cut, store)
    return {
        OURS: partial(cut_peers.headrace, store),
        f"{THEIRS}, in memory": partial(cut_peers.braindecode, cut, None),
        f"{THEIRS}, FIF files": partial(cut_peers.braindecode, cut, folder / "recordings-fif"),
        "xbatcher, in memory": partial(cut_peers.xbatcher, cut, None),
        "xbatcher, Zarr": partial(cut_peers.xbatcher, cut, folder / "recordings"),
    }


def measure(made: dict[str, Make], rounds: int) -> dict[str, tuple[float, int]]:
    """Median windows/s and peak bytes of each feed; rounds interleaved, one more ahead of them."""
    running = {name: start(make) for name, make in made.items()}
    for feeds in running.values():
        feeds.ready()
    for number in range(rounds + 1):
        for feeds in running.values():
            feeds.run(counts=number > 0)
    for feeds in running.values():
        feeds.asked.send(None)
        feeds.process.join()
    return {
        name + own: (statistics.median(rates), feeds.peaks[own])
        for name, feeds in running.items()
        for own, rates in feeds.rates.items()
    }


def main() -> int:
    """Print the table; 1 if ours is too slow or holds too much."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("data/benchmarks/stretches-peers"))
    parser.add_argument("--time", type=int, default=512)
    parser.add_argument("--step", type=int, default=16)
    parser.add_argument("--windows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print(f"{machine()}; {version('braindecode', 'mne', 'torch', 'xbatcher', 'xarray')}\n")
    cut = Cut(given.data, given.time, given.step, given.windows)
    found = measure(contenders(cut, given.folder), given.rounds)
    ours, peak = found[OURS]
    rows = [
        (name, f"{rate:,.0f}", f"{ours / rate:.1f}", f"{held / 2**20:,.0f}")
        for name, (rate, held) in found.items()
    ]
    columns = ("feed", "windows/s", "ours over it", "peak, MiB")
    print(table(f"Windows of {given.time} every {given.step}", columns, rows))
    theirs = [both for name, both in found.items() if name.startswith(THEIRS)]
    ratio = ours / max(rate for rate, _ in theirs)
    print(f"Ours is {ratio:.1f} times the fastest feed of {THEIRS}; the floor is {FLOOR}.")
    return int(ratio < FLOOR or peak > min(held for _, held in theirs))


if __name__ == "__main__":
    sys.exit(main())
