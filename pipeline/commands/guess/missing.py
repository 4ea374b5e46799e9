"""What to do with channels that measure nothing, or have NaN: from a look at some windows."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.pipeline.commands.guess.facts import Guess, few
from headrace.stores.source.derived.chosen import literal_glob
from headrace.stores.source.notes.aside import LABEL, ONE_HOT
from headrace.stores.source.probe.missing import Missing


def tell_missing_channels(guess: Guess, missing: Missing) -> bool:
    """Leave out channels that hold no signal, bridge slow ones; False: nothing was written down.

    Args:
        guess: what is known so far.
        missing: what was found with all channels.
    """
    left_out = dict.fromkeys(missing.never, "no finite value was seen")
    if "windows" in guess.source:
        # Nothing bridges them there.
        left_out |= dict.fromkeys(missing.slow, "it has NaN between its values")
    elif missing.slow:
        guess.source["slow_channels"] = (
            [literal_glob(name) for name in missing.slow],
            "??? NaN between their values: they are interpolated",
        )
        guess.unsure.append(f"that {few(list(missing.slow))} is of a slower sensor, with NaN "
                            "between its values (slow_channels).")  # fmt: skip
    left_out = {**missing.beside, **left_out}
    if left_out and not _choose(guess, left_out):
        return False
    return bool(left_out or missing.slow)


def _choose(guess: Guess, left_out: Mapping[str, str]) -> bool:
    """Leave channels out by their names; False: they have none."""
    by_reason: dict[str, list[str]] = {}
    for name, why in left_out.items():
        by_reason.setdefault(why, []).append(name)
    if "channels" in guess.source and guess.value("channels") is None:
        for why, names in by_reason.items():
            guess.unsure.append(
                f"whether {few(names)} measures something ({_means(why)}); if not, name the "
                "channels, and leave it out with use_channels."
            )
        return False
    told = "; ".join(f"{few(names)}: {_means(why)}" for why, names in by_reason.items())
    guess.source["use_channels"] = ([f"!{literal_glob(name)}" for name in left_out], f"??? {told}")
    for why, names in by_reason.items():
        guess.unsure.append(
            f"that {few(names)} measures nothing, and is left out (use_channels): {_means(why)}."
        )
    _without(guess, frozenset(left_out))
    return True


def _means(why: str) -> str:
    """A reason, and where it is that of labels, what to do with them."""
    if why == ONE_HOT:
        return f"{why}; source.labels takes one column, which names the label of each row"
    return f"{why}, which training would read the answer from" if why == LABEL else why


def tell_drop_outs(guess: Guess, missing: Missing) -> None:
    """Leave out the windows that still hold NaN or infinity."""
    if not missing.bad:
        return
    share = f"{missing.bad:,} of {missing.looked:,} windows that were looked at hold NaN"
    guess.source["non_finite"] = ("drop", f"??? {share} or infinity: they are left out")
    guess.unsure.append(f"that windows with NaN may be left out (non_finite): {share}.")


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
