"""What to do where channels have NaN in place of values: from a look at some rows and windows."""

from __future__ import annotations

import re

from headrace.pipeline.commands.guess.facts import Guess, few
from headrace.stores.source.probe.missing import Missing


def tell_missing_channels(guess: Guess, missing: Missing) -> bool:
    """Leave out channels that never have a value, bridge slow ones; False: there are none.

    Args:
        guess: what is known so far.
        missing: what was found with all channels.
    """
    left_out, why = list(missing.never), "no finite value of it was seen"
    if "windows" in guess.source and missing.slow:
        # Nothing bridges them there.
        left_out += missing.slow
        why = "it has no finite value, or NaN between its values"
    elif missing.slow:
        guess.source["slow_channels"] = (
            [_glob(name) for name in missing.slow],
            "??? NaN between their values: they are interpolated",
        )
        guess.unsure.append(f"that {few(list(missing.slow))} is of a slower sensor, with NaN "
                            "between its values (slow_channels).")  # fmt: skip
    if left_out:
        guess.source["use_channels"] = ([f"!{_glob(name)}" for name in left_out], f"??? {why}")
        guess.unsure.append(f"that {few(left_out)} may be left out: {why}.")
        _without(guess, frozenset(left_out))
    return bool(left_out or missing.slow)


def tell_drop_outs(guess: Guess, missing: Missing) -> None:
    """Leave out the windows that still hold NaN or infinity."""
    if not missing.bad:
        return
    share = f"{missing.bad:,} of {missing.looked:,} windows that were looked at hold NaN"
    guess.source["non_finite"] = ("drop", f"??? {share} or infinity: they are left out")
    guess.unsure.append(f"that windows with NaN may be left out (non_finite): {share}.")


def _glob(name: str) -> str:
    """A name as a pattern that it alone matches."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _without(guess: Guess, left_out: frozenset[str]) -> None:
    """Drop units of channels that are left out, and the triads that lack one of them."""
    if "units" in guess.source:
        units, comment = guess.source.pop("units")
        names = guess.value("channels") or ()
        kept = [u for name, u in zip(names, units, strict=False) if name not in left_out]
        if kept:
            guess.source["units"] = (kept, comment)
    triads, comment = guess.features.pop("triads", ({}, ""))
    whole = {name: axes for name, axes in triads.items() if not left_out & set(axes)}
    if whole:
        guess.features["triads"] = (whole, comment)
    sensors, comment = guess.features.pop("accelerometers", ([], ""))
    if any(name in whole for name in sensors):
        guess.features["accelerometers"] = ([name for name in sensors if name in whole], comment)
