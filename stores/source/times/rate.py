"""The sampling rate that times show: how long a step is, how even, and the rate that is meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.stores.errors import SourceError
from headrace.stores.source.options import DEFAULT_WINDOW_S, SourceOptions
from headrace.stores.source.times.stamps import SECONDS

SPAN = 8
"""Rows of the spans whose median is the step: rounded stamps hide it in steps of one row."""
ROUNDED = 0.1
"""By which the median of single steps may be off where they do not spread."""
GAP_STEPS = 1.5
MOST_SPREAD = 3.5
"""Steps of a spread that is not taken for gaps, at most."""
SAME_RATE = 0.05
NEAR_A_ROUND_RATE = 0.002
"""Clocks of devices are off by less: 19.98 Hz is meant to be 20 Hz."""
EXACT = 1e-6
EPOCH_S = (3e8, 5e9)
"""Seconds since 1970 of the years 1979 to 2128."""
FASTEST_HZ, SLOWEST_HZ = 5e3, 1e-4
FEWEST_ROWS = 4
"""Of a window, also of the default one: at a rate that gives fewer, the unit is another."""


@dataclass(frozen=True)
class Steps:
    """What a sample of the steps between rows says, in ticks.

    Attributes:
        step: the usual one.
        spread: between the 5th and the 95th percentile, and what rounding adds.
        repeated: the share of steps that are 0.
        at: a time of the sample.
    """

    step: float
    spread: float
    repeated: float
    at: float

    @property
    def longest(self) -> float:
        """The longest step that is no gap."""
        return GAP_STEPS * self.step + min(self.spread, MOST_SPREAD * self.step)


def steps_of(samples: list[NDArray[np.float64]], resolution: float, at: float) -> Steps | None:
    """The steps of a sample of stretches of times; None: no step goes forward.

    Args:
        samples: times of rows that follow each other, from the first of each stretch.
        resolution: the smallest step that the type has room for.
        at: a time of the sample.
    """
    steps = np.concatenate([np.zeros(0), *(np.diff(times) for times in samples)])
    forward = steps[steps > 0]
    if len(forward) == 0:
        return None
    low, first, middle, third, high = np.percentile(forward, (5, 25, 50, 75, 95)).tolist()
    long = [(times[SPAN:] - times[:-SPAN]) / SPAN for times in samples if len(times) > SPAN]
    step = float(np.median(np.concatenate(long))) if long else middle
    # Else there is a gap in most spans.
    if abs(step - middle) > max(third - first, ROUNDED * middle):
        step = middle
    return Steps(step, high - low + resolution, float((steps == 0).mean()), at)


def epoch_unit(time: float) -> str | None:
    """The unit in which a time since 1970 is of the years 1979 to 2128; None: it is in none."""
    units = (unit for unit in SECONDS if unit != "days")
    return next((u for u in units if EPOCH_S[0] < time * SECONDS[u] < EPOCH_S[1]), None)


def plausible_unit(steps: Steps, options: SourceOptions, where: str) -> str:
    """The one unit that the size of the times allows.

    Times since 1970 are told by their size, and steps below 1 are of seconds. Else a window of
    `window_s` has at least 4 rows, and a row takes at least 0.2 ms; steps of 1 may count rows, and
    of 15, 30, 60 ... may be seconds as well.

    Raises:
        UserError: several are plausible, or none.
    """
    units = [unit for unit in SECONDS if unit != "days"]
    since_1970 = epoch_unit(steps.at)
    rates = {unit: 1 / (steps.step * SECONDS[unit]) for unit in units}
    if since_1970 is not None and SLOWEST_HZ <= rates[since_1970] <= 20 * FASTEST_HZ:
        return since_1970
    if steps.step < 1 and rates["s"] <= 20 * FASTEST_HZ:
        return "s"
    slowest = FEWEST_ROWS / (options.window_s or DEFAULT_WINDOW_S)
    found = [unit for unit in units if slowest <= rates[unit] <= FASTEST_HZ]
    counts_rows = steps.step == 1 or (steps.step % 15 == 0 and options.window_s is None)
    if len(found) == 1 and not counts_rows:
        return found[0]
    shown = ", ".join(f"{unit}: {rates[unit]:.6g} Hz" for unit in units)
    raise SourceError(
        f"{where} does not say what its times count: they ascend by {steps.step:.6g} a row "
        f'({shown}). Set source.time_unit. If they are no times, set source.time = "" and '
        "source.rate_hz."
    )


def agreeing_unit(steps: Steps, rate_hz: float) -> str | None:
    """The unit by which the times have this rate; None: none does."""
    rates = {unit: 1 / (steps.step * tick) for unit, tick in SECONDS.items()}
    return next((unit for unit, rate in rates.items() if agree(rate, rate_hz)), None)


def agree(measured_hz: float, given_hz: float) -> bool:
    """Whether two rates are the same within 5 %."""
    return abs(measured_hz / given_hz - 1) <= SAME_RATE


def meant_rate(measured_hz: float, uncertainty: float) -> float:
    """The round number that a measured rate stands for, in Hz.

    A whole number of Hz or of seconds a row within the uncertainty; else two digits of Hz, of the
    period, or a power of two, within 0.2 %; else a tenth of a Hz or a whole number of ms within the
    uncertainty; else six digits.

    Args:
        measured_hz: from the mean of the steps.
        uncertainty: relative, of that mean.
    """
    period = 1 / measured_hz
    near = max(uncertainty, EXACT)
    two = [
        float(f"{measured_hz:.1e}"),
        1 / float(f"{period:.1e}"),
        float(2.0 ** round(float(np.log2(measured_hz)))),
    ]
    tries = [
        (float(round(measured_hz)), near),
        (1 / max(round(period), 1), near),
        *((rate, NEAR_A_ROUND_RATE) for rate in two),
        (round(measured_hz, 1), near),
        (1 / max(round(period, 3), 1e-3), near),
    ]
    for rate, tolerance in tries:
        if rate > 0 and abs(measured_hz / rate - 1) <= tolerance * (1 + 1e-9):
            return rate
    return float(f"{measured_hz:.6g}")
