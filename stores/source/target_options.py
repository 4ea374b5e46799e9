"""The `[target]` section of the configuration: what windows are labelled with."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.stores.marks import AddedLater
from headrace.stores.target import Kind

OF_VALUES = ("at", "remaining", "cap", "units")


class TargetOptions(BaseModel):
    """What the labels of a source are: classes, several labels, values, or a class a sample."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Annotated[Kind | None, AddedLater] = Field(
        default=None,
        description="class: one of several. labels: any of several, from columns of 0 and 1. "
        "value: one or several numbers. sequence: a class for each sample of a window, or each "
        "k-th. Usual: class; labels where several columns hold 0 and 1 alone; value where numbers "
        "have fractions. Whole numbers of many different values are asked about.",
    )
    at: Annotated[Literal["last", "mean", "centre"] | None, AddedLater] = Field(
        default=None,
        description="Recordings layout: which value of a window's rows is its own: that of its "
        "last row (usual), their mean, or that of its middle row.",
    )
    remaining: Annotated[bool, AddedLater] = Field(
        default=False,
        description="Recordings layout: the value is what remains of the recording: rows after "
        'the window\'s, as delivered; seconds, minutes or hours with units = ["s"], ["min"] or '
        '["h"]. A column of the table of recordings, source.label_column, says what is left after '
        "their ends; other labels are not looked at.",
    )
    cap: Annotated[float | None, AddedLater] = Field(
        default=None,
        description="Values above it are it: 125 cycles, as wear does not show before.",
    )
    every: Annotated[int | None, AddedLater] = Field(
        default=None,
        ge=1,
        description="Samples of a window for each label of a sequence, which takes that of the "
        "middle one: 8 gives 16 labels in 128 samples. Usual: 1, or as the source has them.",
    )
    units: Annotated[tuple[str, ...] | None, AddedLater] = Field(
        default=None,
        description='Of each value: ["bpm"]. Wins over the attribute units of the labels.',
    )
    names: Annotated[tuple[str, ...] | None, AddedLater] = Field(
        default=None,
        min_length=1,
        description='Of labels or values, in the order of their columns: ["AF", "ST"]. Wins over '
        "the attribute names of the labels, and the names of columns of a table.",
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = [key for key in OF_VALUES if getattr(self, key) not in (None, False)]
        if given and self.kind not in (None, "value"):
            raise ValueError(f'{given[0]} is for kind = "value", not for {self.kind!r}')
        if self.every is not None and self.kind != "sequence":
            raise ValueError('every is for kind = "sequence": set both')
        if self.names is not None and self.kind in ("class", "sequence"):
            raise ValueError(f"names are of labels or values; those of {self.kind}: source.classes")
        for key, texts in (("names", self.names), ("units", self.units)):
            if any(not text.isprintable() for text in texts or ()):
                raise ValueError(f"{key} hold control characters: {texts}")
        if self.names and (len({*self.names}) < len(self.names) or not all(self.names)):
            raise ValueError(f"names = {list(self.names)} are not all different, or one is empty")
        count = len(self.names or ()), len(self.units or ())
        if all(count) and count[0] != count[1]:
            raise ValueError(f"{count[0]} names and {count[1]} units: give one unit a value")
        if self.remaining and max(count) > 1:
            raise ValueError("remaining is one value: give one name and one unit")
        return self

    @property
    def meant(self) -> Kind | None:
        """The kind that is said, if only by keys that are of one kind alone."""
        of_values = any(getattr(self, key) not in (None, False) for key in OF_VALUES)
        return self.kind or ("value" if of_values else None)
