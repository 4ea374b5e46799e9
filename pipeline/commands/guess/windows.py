"""How long a window should be, and which rule labels it: from the rate and how long labels last."""

from __future__ import annotations

from headrace.pipeline.commands.guess.facts import Guess, few
from headrace.stores.source.options import DEFAULT_WINDOW_S
from headrace.stores.source.probe.found import Stretches

SHORTEST, LONGEST = 64, 1024
"""Samples of a window that features and the network are made for."""
SHOWN_CLASSES = 4


def tell_window(guess: Guess, rate_hz: float | None, stretches: Stretches | None) -> None:
    """Write down the window's length and the label rule, and why.

    Args:
        guess: what is known so far, of a source of recordings.
        rate_hz: of the signals, where known.
        stretches: how long labels last, where that was found.
    """
    samples = LONGEST // 8
    if rate_hz is not None:
        samples = max(2, round(DEFAULT_WINDOW_S * rate_hz))
    reason = ""
    if samples > LONGEST:
        samples = LONGEST
        reason = f"{DEFAULT_WINDOW_S} s would be {round(DEFAULT_WINDOW_S * (rate_hz or 0)):,}"
    elif samples < SHORTEST:
        samples = SHORTEST
        reason = f"{DEFAULT_WINDOW_S} s would be only {round(DEFAULT_WINDOW_S * (rate_hz or 0))}"
    rule, why = "pure", ""
    if stretches is not None and stretches.quartiles:
        samples, rule, why = _fitted(samples, stretches)
        if why:
            reason = why
    if reason or rate_hz is None:
        seconds = f"{samples / rate_hz:.3g} s; " if rate_hz else ""
        guess.source["window_samples"] = (
            samples,
            f"{seconds}{reason or f'{SHORTEST} to {LONGEST:,} samples suit features and network'}",
        )
    if rule != "pure":
        guess.source["label_rule"] = (rule, "labels change faster than a window lasts")
    if stretches is not None and stretches.quartiles:
        guess.notes.append(f"Labels last: {lasting(stretches, rate_hz)}.")


def _fitted(samples: int, stretches: Stretches) -> tuple[int, str, str]:
    """Samples of a window, label rule, and why they are not the usual ones."""
    shortest = min(quartiles[0] for quartiles in stretches.quartiles.values())
    if samples <= shortest:
        return samples, "pure", ""
    if shortest >= SHORTEST:
        fitting = 1 << (int(shortest).bit_length() - 1)
        return fitting, "pure", "no longer than three quarters of the stretches of each class"
    middle = min(quartiles[1] for quartiles in stretches.quartiles.values())
    fitting = min(samples, max(SHORTEST, 1 << (max(1, int(middle)).bit_length() - 1)))
    return fitting, "majority", f"half of the stretches of a class last {middle:,.0f} samples"


def lasting(stretches: Stretches, rate_hz: float | None) -> str:
    """Median and quartiles of each class's stretches, in seconds where the rate is known."""
    unit = "s" if rate_hz else "samples"

    def shown(rows: float) -> str:
        return f"{rows / rate_hz:.3g}" if rate_hz else f"{rows:,.0f}"

    listed = [
        f"{name} {shown(middle)} {unit} ({shown(low)} to {shown(high)})"
        for name, (low, middle, high) in sorted(
            stretches.quartiles.items(), key=lambda each: each[1][1]
        )
    ]
    return (
        few(listed, SHOWN_CLASSES)
        if all(len(x) < 40 for x in listed)
        else ", ".join(listed[:SHOWN_CLASSES])
    )
