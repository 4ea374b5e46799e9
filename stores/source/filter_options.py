"""One entry of `source.filter`: a FIR filter, by its frequencies."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FREQUENCIES = {
    "lowpass": ("high_hz",),
    "highpass": ("low_hz",),
    "bandpass": ("low_hz", "high_hz"),
    "notch": ("hz",),
}
"""Keys of each kind's frequencies."""


class FilterOptions(BaseModel):
    """A linear-phase FIR filter whose delay is removed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["lowpass", "highpass", "bandpass", "notch"] = Field(
        description="What it lets through; a notch takes one frequency out."
    )
    low_hz: float | None = Field(
        default=None, gt=0, description="Lower edge of what highpass and bandpass let through."
    )
    high_hz: float | None = Field(
        default=None, gt=0, description="Upper edge of what lowpass and bandpass let through."
    )
    hz: float | None = Field(
        default=None,
        gt=0,
        description="The frequency that a notch takes out; of lowpass and highpass their edge.",
    )
    width_hz: float | None = Field(
        default=None,
        gt=0,
        description="Width of a transition between what is let through and what is not: half as "
        "wide makes the filter twice as long. As in MNE by default: a quarter of the edge, at "
        "least 2 Hz, at most what there is room for; 0.5 Hz of a notch.",
    )
    channels: list[str] = Field(
        default_factory=list, description="Names of channels, globs allowed. Empty: all."
    )

    @model_validator(mode="after")
    def _frequencies_of_its_kind(self) -> Self:
        needed = FREQUENCIES[self.kind]
        given = [key for key in ("low_hz", "high_hz", "hz") if getattr(self, key) is not None]
        if given != list(needed) and not (given == ["hz"] and len(needed) == 1):
            raise ValueError(f"a {self.kind} needs {' and '.join(needed)}, and no other frequency")
        if self.low_hz is not None and self.high_hz is not None and self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz = {self.low_hz:g} is not below high_hz = {self.high_hz:g}")
        return self

    @property
    def low(self) -> float | None:
        """Lower edge of what highpass and bandpass let through, Hz."""
        return self.hz if self.kind == "highpass" and self.hz is not None else self.low_hz

    @property
    def high(self) -> float | None:
        """Upper edge of what lowpass and bandpass let through, Hz."""
        return self.hz if self.kind == "lowpass" and self.hz is not None else self.high_hz
