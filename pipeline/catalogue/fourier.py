"""Power spectra: SciPy's FFT, or for lengths with a large prime factor the defining sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from headrace.compiled.kernels import kernel
from headrace.pipeline.catalogue.plan import LEAD, VECTOR
from headrace.pipeline.catalogue.sizes import DIRECT_COLUMNS, DIRECT_ROWS, sums_directly, up_to


@dataclass(frozen=True)
class Direct:
    """Tables and scratch of direct sums over (signals, time).

    Attributes:
        cosine: (bins, terms) cos(2 pi k t / time), filled up with zeros.
        sine: the same of the sine.
        even: (signals, terms) scratch: z_t + z_(time - t).
        odd: the same: z_t - z_(time - t).
        real: (signals, bins) scratch.
        imaginary: the same.
    """

    cosine: NDArray[np.float32]
    sine: NDArray[np.float32]
    even: NDArray[np.float32]
    odd: NDArray[np.float32]
    real: NDArray[np.float32]
    imaginary: NDArray[np.float32]


def prepare_direct(signals: int, time: int) -> Direct | None:
    """What `power` needs for rows of ``time`` samples; None where an FFT serves better."""
    if not sums_directly(time):
        return None
    cosine, sine = _tables(time)
    rows, (bins, terms) = up_to(signals, DIRECT_ROWS), cosine.shape
    scratch = [np.zeros((rows, width), np.float32) for width in (terms, terms, bins, bins)]
    return Direct(cosine, sine, *scratch)


def power(
    centred: NDArray[np.float32], time: int, direct: Direct | None, out: NDArray[np.float32]
) -> None:
    """Write |Z_k|^2 of each row, Z its discrete Fourier transform.

    Args:
        centred: (signals, >= LEAD + time) rows after LEAD zeros.
        time: Samples of a signal.
        direct: Of `prepare_direct` for at least as many signals.
        out: (signals, time // 2 + 1) written.
    """
    if direct is None:
        transform = scipy.fft.rfft(centred[:, LEAD : LEAD + time], axis=1)
        _square_complex(transform, out)
        return
    # Twice the row's symmetry halves the sums: cosines see its even part, sines its odd one.
    _fold(centred, time, direct.even, direct.odd)
    _products(direct.even, direct.cosine, len(centred), direct.real)
    _products(direct.odd, direct.sine, len(centred), direct.imaginary)
    _square_parts(direct.real, direct.imaginary, out)


@lru_cache(maxsize=8)
def _tables(time: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    half = np.arange(time // 2 + 1)
    # The product is reduced first: an angle of many turns has fewer correct digits.
    angle = 2.0 * np.pi * (half[:, None] * half[None, :] % time) / time
    shape = up_to(len(half), DIRECT_COLUMNS), up_to(len(half), VECTOR)
    tables = []
    for values in (np.cos(angle), np.sin(angle)):
        table = np.zeros(shape, np.float32)
        table[: len(half), : len(half)] = values
        tables.append(table)
    return tables[0], tables[1]


@kernel
def _fold(
    centred: NDArray[np.float32], time: int, even: NDArray[np.float32], odd: NDArray[np.float32]
) -> None:
    half = (time - 1) // 2
    for s in range(centred.shape[0]):
        ahead = centred[s, LEAD + 1 : LEAD + 1 + half]
        behind = centred[s, LEAD + time - half : LEAD + time]
        even[s, 0] = centred[s, LEAD]
        for t in range(half):
            even[s, 1 + t] = ahead[t] + behind[half - 1 - t]
            odd[s, 1 + t] = ahead[t] - behind[half - 1 - t]
        if time % 2 == 0:
            even[s, half + 1] = centred[s, LEAD + half + 1]


@kernel
def _products(
    rows: NDArray[np.float32], table: NDArray[np.float32], signals: int, out: NDArray[np.float32]
) -> None:
    """Write the sums of products of each row with each row of the table, 3 x 4 at a time.

    Not a BLAS, whose sums depend on how many rows it is given.
    """
    zero = np.float32(0.0)
    for s in range(0, signals, DIRECT_ROWS):
        x, y, z = rows[s], rows[s + 1], rows[s + 2]
        for k in range(0, table.shape[0], DIRECT_COLUMNS):
            t0, t1, t2, t3 = table[k], table[k + 1], table[k + 2], table[k + 3]
            x0, x1, x2, x3 = zero, zero, zero, zero
            y0, y1, y2, y3 = zero, zero, zero, zero
            z0, z1, z2, z3 = zero, zero, zero, zero
            for t in range(x.size):
                a, b, c = x[t], y[t], z[t]
                v0, v1, v2, v3 = t0[t], t1[t], t2[t], t3[t]
                x0 += a * v0
                x1 += a * v1
                x2 += a * v2
                x3 += a * v3
                y0 += b * v0
                y1 += b * v1
                y2 += b * v2
                y3 += b * v3
                z0 += c * v0
                z1 += c * v1
                z2 += c * v2
                z3 += c * v3
            out[s, k], out[s, k + 1], out[s, k + 2], out[s, k + 3] = x0, x1, x2, x3
            out[s + 1, k], out[s + 1, k + 1], out[s + 1, k + 2], out[s + 1, k + 3] = y0, y1, y2, y3
            out[s + 2, k], out[s + 2, k + 1], out[s + 2, k + 2], out[s + 2, k + 3] = z0, z1, z2, z3


@kernel
def _square_complex(transform: NDArray[np.complex64], out: NDArray[np.float32]) -> None:
    for s in range(out.shape[0]):
        for k in range(out.shape[1]):
            z = transform[s, k]
            out[s, k] = z.real * z.real + z.imag * z.imag


@kernel
def _square_parts(
    real: NDArray[np.float32], imaginary: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    for s in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[s, k] = real[s, k] * real[s, k] + imaginary[s, k] * imaginary[s, k]
