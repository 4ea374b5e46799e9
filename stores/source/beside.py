"""What stands beside the data of a source: attributes that say rate, scale, offset, units or time.

Few are used, those whose name says without doubt what they mean. The others are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.stores.errors import SourceError
from headrace.stores.source.interface import SourceArray
from headrace.stores.text import shortened

RATES = frozenset(
    [
        *("fs", "sfreq", "srate", "ratehz", "fshz"),
        *(
            f"{sampling}{rate}{hz}"
            for sampling in ("sampling", "sample")
            for rate in ("rate", "frequency", "freq")
            for hz in ("", "hz", "inhz")
        ),
    ]
)
"""Names of a sampling rate in Hz, without what stands between their words."""
PACKED = {"scale": "scale_factor", "offset": "add_offset"}
"""Attributes of an array that netCDF (CF) packs it by: value * scale_factor + add_offset."""
_SCALE = """scale scales scaling factor gain gains lsb lsbs sensitivity calibration calib cal
conversion resolution multiplier slope bitvolts fullscale range adcgain"""
_RATE = """fs hz khz rate freq frequency sfreq srate dt interval period timestep fps odr samplerate
samplingrate samplingfrequency sampleperiod"""
_TIME = "t0 time timestamp timestamps start starttime begin epoch tstart"
WORDS: Mapping[str, frozenset[str]] = {
    "scale": frozenset(_SCALE.split()),
    "offset": frozenset(("offset", "offsets", "bias", "baseline", "zero", "intercept", "adczero")),
    "units": frozenset(("unit", "units", "uom", "unitofmeasure")),
    "rate_hz": frozenset(_RATE.split()),
    "time": frozenset(_TIME.split()),
}
"""Words of names by which an attribute looks as if it were of an option."""
OTHERWISE = frozenset(
    ("filter", "filtered", "cutoff", "cut", "notch", "line", "band", "highpass", "lowpass", "bit")
)
"""Words by which it is of something else: what the signal was filtered with."""
FORMATS_OWN = re.compile(r"_|CLASS$|MATLAB_|PANDAS|pandas|TITLE$|DIMENSION|NAME$|REFERENCE_LIST$")
"""Attributes that are a format's own."""


@dataclass(frozen=True)
class Beside:
    """An attribute that looks as if it were of an option.

    Attributes:
        option: of the source; "time" where none takes it.
        name: of the attribute.
        value: of it.
    """

    option: str
    name: str
    value: Any

    def __str__(self) -> str:
        """`gain = 5`."""
        return f"{self.name} = {shown_attribute(self.value)}"


def packed(data: SourceArray, option: str) -> Any | None:
    """What an array says of its scale or offset as CF does; None: nothing."""
    return data.attribute(PACKED[option])


def rate_beside(data: SourceArray) -> tuple[str, Any] | None:
    """Name and value of an attribute that is the sampling rate in Hz; None: there is none.

    Raises:
        UserError: two of them say different rates.
    """
    found: dict[str, Any] = {}
    for each in data.attributes():
        for name, value in each.items():
            if letters_of(name) in RATES:
                found.setdefault(name, value)
        if found:
            break
    values = {shown_attribute(plain_number(value)) for value in found.values()}
    if len(values) > 1:
        said = " and ".join(f"{name} = {shown_attribute(v)}" for name, v in found.items())
        raise SourceError(f"{data.where} says {said}. Set source.rate_hz, in Hz.")
    return next(iter(found.items()), None)


def plain_number(value: Any) -> Any:
    """The number that a text says, as Parquet writes it: 50, 50 Hz, 2 kHz; else as it is."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "SUO":
        return value
    text = array.reshape(-1)[0]
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    said = re.fullmatch(r"\s*([-+\d.eE]+)\s*(k?hz)?\s*", text, re.IGNORECASE)
    try:
        number = float(said[1]) if said else None
    except ValueError:
        number = None
    if number is None:
        return value
    return 1000 * number if (said and (said[2] or "").lower() == "khz") else number


def looks_like_options(data: SourceArray) -> Iterator[Beside]:
    """Attributes that look as if they were of an option, the nearest first."""
    met = set()
    for each in data.attributes():
        for name, value in each.items():
            option = option_of(name)
            if option is None or not _plain(value):
                continue
            found = Beside(option, name, value)
            if str(found) not in met:
                met.add(str(found))
                yield found


def option_of(name: str) -> str | None:
    """The option that an attribute's name looks like; None: none."""
    if FORMATS_OWN.match(name):
        return None
    words = _words(name)
    if OTHERWISE.intersection(words):
        return None
    whole = {*words, letters_of(name)}
    found = (option for option, of_it in WORDS.items() if of_it.intersection(whole))
    return "rate_hz" if letters_of(name) in RATES else next(found, None)


def shown_attribute(value: Any) -> str:
    """A value, short."""
    values = [_short(each) for each in np.asarray(value).reshape(-1).tolist()]
    return shortened(values[0] if np.size(value) == 1 else f"[{', '.join(values)}]")


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _words(name: str) -> list[str]:
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.findall(r"[A-Za-z]+\d*", parted)]


def letters_of(name: str) -> str:
    """A name without case, and without what stands between its words."""
    return re.sub(r"[^a-z]", "", name.lower())


def _plain(value: Any) -> bool:
    """Whether a value is of numbers or short texts."""
    try:
        array = np.asarray(value)
    except ValueError:
        return False
    return (0 < array.size <= 512 and array.dtype.kind in "iufSU") or isinstance(value, str)
