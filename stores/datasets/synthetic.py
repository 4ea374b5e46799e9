"""Writes a learnable synthetic source of any size in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from headrace.stores.datasets.writing import (
    describe_channels,
    new_source,
    write_names,
    write_recordings,
)
from headrace.stores.errors import SourceError
from headrace.stores.source.options import DEFAULT_WINDOW_S

TITLE = "Synthetic source"
DEFAULT_RATE_HZ = 50.0
DEFAULT_CLASSES = 6
DEFAULT_GROUPS = 20
SLICE_BYTES = 512 << 10
MOST_WINDOWS_PER_STRETCH = 32
# Classes differ in their base frequency, spread evenly on a logarithmic scale between these.
SLOWEST_HZ, FASTEST_HZ, OF_RATE = 0.6, 6.0, 0.16
NOISE = 0.6
TEMPO_SPREAD, GAIN_SPREAD, OFFSET_SPREAD, STRETCH_SPREAD = 0.06, 0.15, 0.3, 0.05
STRETCH_TABLE = 4096


def is_synthetic(path: Path) -> bool:
    """Whether a file is an HDF5 file that `write_synthetic` wrote."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("title") == TITLE)
    except OSError:
        return False


def write_synthetic(
    path: Path,
    windows: int,
    time: int,
    channels: int,
    groups: int = DEFAULT_GROUPS,
    classes: int = DEFAULT_CLASSES,
    layout: Literal["windows", "recordings"] = "windows",
    rate_hz: float | None = None,
    seed: int = 0,
    advance: Callable[[int], None] = lambda windows: None,
) -> None:
    """Write `windows` windows of (time, channels) float32; the same arguments, the same bytes.

    Each class is a mixture of a base frequency and its harmonic, with its own amplitudes in each
    channel, under noise. Groups differ in gain, offset, tempo and noise. A group's rows stand
    together, and within it a class lasts for up to 32 windows; every group has its own order of
    classes.

    Args:
        path: the HDF5 file.
        windows: exact number of windows; in the recordings layout, about what cutting windows of
            `time` rows, half overlapping, gives.
        time: rows of a window, at least 2.
        channels: number of channels, `ch0` and so on.
        groups: number of groups, at most `windows`.
        classes: number of classes.
        layout: windows (X, y, groups, classes) or recordings (signals, labels, classes,
            recordings).
        rate_hz: sampling rate. None: 50 Hz; in the recordings layout the rate at which `time`
            rows last 2.56 s, so that windows of the default length have `time` rows.
        seed: another seed gives other signals of the same kind.
        advance: told the windows that are written, for a progress bar.

    Raises:
        UserError: a number is too small, or the file cannot be written.
    """
    _require("windows", windows, least=groups)
    _require("time", time, least=2)
    _require("channels", channels)
    _require("groups", groups)
    _require("classes", classes)
    _require("seed", seed, least=0)
    if rate_hz is None:
        rate_hz = DEFAULT_RATE_HZ if layout == "windows" else time / DEFAULT_WINDOW_S
    plan = _plan(windows, groups, classes, overlapping=layout == "recordings")
    rows = time if layout == "windows" else time - time // 2
    signal = _Signal.drawn(plan, rows, channels, rate_hz, seed)
    with new_source(path) as file:
        file.attrs["title"] = TITLE
        write_names(file, "classes", [f"class_{c}" for c in range(classes)])
        names = [f"ch{c}" for c in range(channels)]
        if layout == "windows":
            data = _write_windows(file, signal, advance)
        else:
            data = _write_recordings(file, signal, advance)
        describe_channels(data, rate_hz, names, ["1"] * channels)


def _require(name: str, value: int, least: int = 1) -> None:
    if value < least:
        raise SourceError(f"{name} is {value}; at least {least} is needed.")


@dataclass(frozen=True)
class _Plan:
    """Which group, stretch and class each piece of signal belongs to, by arithmetic alone.

    A piece is a window, or, where windows overlap by half, half a window: a stretch of n windows
    is then n + 1 pieces. Groups have `windows // groups` windows each, the first ones one more.
    """

    windows: int
    groups: int
    classes: int
    per_stretch: int
    extra: int

    def group_pieces(self) -> NDArray[np.int64]:
        """Pieces of each group, (G,) int64."""
        base, rest = divmod(self.windows, self.groups)
        count = np.full(self.groups, base, dtype=np.int64)
        count[:rest] += 1
        stretches = -(-count // self.per_stretch)
        return count + self.extra * stretches

    @property
    def pieces_per_stretch(self) -> int:
        return self.per_stretch + self.extra

    def order(self, group: NDArray[np.int64], turn: NDArray[np.int64]) -> NDArray[np.int64]:
        """The class of the stretch number `turn` of a group: a rotation of its own."""
        return (turn + group) % self.classes


def _plan(windows: int, groups: int, classes: int, overlapping: bool) -> _Plan:
    # At least three turns of all classes in a group, where it has windows enough.
    fitting = windows // groups // (3 * classes)
    per_stretch = max(1, min(MOST_WINDOWS_PER_STRETCH, fitting))
    return _Plan(windows, groups, classes, per_stretch, int(overlapping))


@dataclass(frozen=True)
class _Pieces:
    """n pieces: signal (n, rows, C) float32, and label and group (n,) int32."""

    signal: NDArray[np.float32]
    label: NDArray[np.int32]
    group: NDArray[np.int32]


@dataclass(frozen=True)
class _Signal:
    """The constants of classes, groups and stretches, drawn from the seed.

    Attributes:
        plan: who follows whom.
        rows: rows of a piece.
        rate_hz: sampling rate.
        seed: of the noise.
        frequency: (K,) base frequency of each class, Hz.
        mixture: (K, 4, C) amplitudes of sine, cosine, and those of the double frequency.
        tempo, noise: (G,) factors of each group.
        gain, offset: (G, C).
        stretch_tempo: (4096,) factors that stretches take in turn.
    """

    plan: _Plan
    rows: int
    rate_hz: float
    seed: int
    frequency: NDArray[np.float64]
    mixture: NDArray[np.float32]
    tempo: NDArray[np.float64]
    noise: NDArray[np.float32]
    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    stretch_tempo: NDArray[np.float64]

    @classmethod
    def drawn(cls, plan: _Plan, rows: int, channels: int, rate_hz: float, seed: int) -> _Signal:
        """Draw all constants from `seed`."""
        draw = np.random.Generator(np.random.Philox(key=[seed, 0]))
        fastest = max(min(FASTEST_HZ, OF_RATE * rate_hz), 2 * SLOWEST_HZ)
        phase = draw.uniform(0, 2 * np.pi, (plan.classes, 2, channels))
        amplitude = draw.uniform(0.3, 1.2, (plan.classes, 2, channels)) * [[[1.0], [0.5]]]
        mixture = np.stack(
            [
                wave
                for part in (0, 1)
                for wave in (
                    amplitude[:, part] * np.cos(phase[:, part]),
                    amplitude[:, part] * np.sin(phase[:, part]),
                )
            ],
            axis=1,
        )
        groups = (plan.groups, channels)
        return cls(
            plan,
            rows,
            rate_hz,
            seed,
            frequency=np.geomspace(SLOWEST_HZ, fastest, plan.classes),
            mixture=mixture.astype(np.float32),
            tempo=np.exp(draw.normal(0, TEMPO_SPREAD, plan.groups)),
            noise=(NOISE * draw.uniform(0.7, 1.3, plan.groups)).astype(np.float32),
            gain=np.exp(draw.normal(0, GAIN_SPREAD, groups)).astype(np.float32),
            offset=draw.normal(0, OFFSET_SPREAD, groups).astype(np.float32),
            stretch_tempo=np.exp(draw.normal(0, STRETCH_SPREAD, STRETCH_TABLE)),
        )

    @property
    def channels(self) -> int:
        return int(self.gain.shape[1])

    @property
    def slice_pieces(self) -> int:
        """Pieces that are made, drawn noise for and written at a time; fixed by the shape."""
        return max(1, SLICE_BYTES // (self.rows * self.channels * 4))

    def pieces(self) -> int:
        """Number of all pieces."""
        return int(self.plan.group_pieces().sum())

    def slices(self) -> Iterator[tuple[int, _Pieces]]:
        """First piece and content of each slice, in order."""
        before = np.concatenate(([0], np.cumsum(self.plan.group_pieces())))
        total = int(before[-1])
        for number, start in enumerate(range(0, total, self.slice_pieces)):
            stop = min(start + self.slice_pieces, total)
            yield start, self._slice(number, before, np.arange(start, stop))

    def _slice(self, number: int, before: NDArray[np.int64], piece: NDArray[np.int64]) -> _Pieces:
        group = np.searchsorted(before, piece, side="right") - 1
        turn, place = np.divmod(piece - before[group], self.plan.pieces_per_stretch)
        label = self.plan.order(group, turn)
        tempo = self.tempo[group] * self.stretch_tempo[(turn + 31 * group) % STRETCH_TABLE]
        cycles = self.frequency[label] * tempo / self.rate_hz
        # Whole cycles come off in float64: float32 angles stay exact in long stretches.
        begin = (cycles * (place * self.rows)) % 1.0
        angle = 2 * np.pi * (begin[:, None] + cycles[:, None] * np.arange(self.rows))
        draw = np.random.Generator(np.random.Philox(key=[self.seed, number + 1]))
        shape = (len(piece), self.rows, self.channels)
        signal = _noise(draw, shape)
        signal *= self.noise[group][:, None, None]
        signal += self.offset[group][:, None, :]
        mixture = self.mixture[label] * self.gain[group][:, None, :]
        _add_waves(signal, angle.astype(np.float32), mixture)
        return _Pieces(signal, label.astype(np.int32), group.astype(np.int32))


def _noise(draw: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Noise of mean 0 and standard deviation 1, triangular: a normal draw takes 4 times as long."""
    size = int(np.prod(shape))
    # Four 16-bit numbers from each draw; two are summed for each value.
    words = draw.integers(0, 1 << 64, -(-size // 2), dtype=np.uint64).view(np.int16)
    noise: NDArray[np.float32] = words[:size].astype(np.float32)
    noise += words[size : 2 * size]
    noise += 1.0  # int16 has the mean -1/2.
    noise *= np.float32(np.sqrt(6) / (1 << 16))
    return noise.reshape(shape)


def _add_waves(
    signal: NDArray[np.float32], angle: NDArray[np.float32], mixture: NDArray[np.float32]
) -> None:
    """Add four waves of `angle` (n, T), weighted by `mixture` (n, 4, C), to `signal` (n, T, C)."""
    sine, cosine = np.sin(angle), np.cos(angle)
    waves = np.stack((sine, cosine, 2 * sine * cosine, cosine * cosine - sine * sine), axis=-1)
    signal += waves @ mixture


def _write_windows(file: Any, signal: _Signal, advance: Callable[[int], None]) -> Any:
    count = signal.pieces()
    shape = (count, signal.rows, signal.channels)
    chunk = (min(signal.slice_pieces, count), *shape[1:])
    data = file.create_dataset("X", shape, np.float32, chunks=chunk)
    labels = file.create_dataset("y", (count,), np.int32)
    groups = file.create_dataset("groups", (count,), np.int32)
    for start, made in signal.slices():
        stop = start + len(made.label)
        data[start:stop] = made.signal
        labels[start:stop] = made.label
        groups[start:stop] = made.group
        advance(len(made.label))
    return data


def _write_recordings(file: Any, signal: _Signal, advance: Callable[[int], None]) -> Any:
    """One recording per turn of all classes, so that none holds more than that."""
    pieces = signal.plan.group_pieces()
    turn = signal.plan.pieces_per_stretch * signal.plan.classes
    recordings = -(-pieces // turn)
    subject = np.repeat(np.arange(len(pieces), dtype=np.int32), recordings)
    lengths = np.full(len(subject), turn, dtype=np.int64)
    last = np.cumsum(recordings) - 1
    lengths[last] = pieces - (recordings - 1) * turn
    write_recordings(file, lengths * signal.rows, {"subject": subject})
    count = signal.pieces() * signal.rows
    chunk = min(signal.slice_pieces * signal.rows, count)
    data = file.create_dataset(
        "signals", (count, signal.channels), np.float32, chunks=(chunk, signal.channels)
    )
    labels = file.create_dataset("labels", (count,), np.int32)
    for start, made in signal.slices():
        first, stop = start * signal.rows, (start + len(made.label)) * signal.rows
        data[first:stop] = made.signal.reshape(-1, signal.channels)
        labels[first:stop] = np.repeat(made.label, signal.rows)
        advance(len(made.label))
    return data
