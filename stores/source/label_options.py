"""Tables of labels in the configuration: `source.intervals` and `source.label_table`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace.stores.marks import AddedLater

LabelNames = Annotated[
    str | list[str] | None,
    Field(
        description="Dataset of integers or strings, one per window or per row of the signals; of "
        "several labels or values (see `target`) one with several columns, or several of one. "
        "Usual: y, labels. The empty string: there are none, as where a trained network is to "
        "find them; windows then start every step from the recording's start."
    ),
]


class IntervalOptions(BaseModel):
    """A table of intervals that label stretches of recordings; the rows between have no label."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: str = Field(
        description="The table, relative to the folder of the source's files: CSV, or text with "
        "blanks. With fields of `source.files`, {recording}_labels.csv, one beside each recording."
    )
    lacking: Annotated[Literal["error", "unlabelled"], AddedLater] = Field(
        default="error",
        description="Tables beside recordings: whether one that is not there is an error, or means "
        "that its recording has no interval.",
    )
    columns: list[str] | None = Field(
        default=None,
        description="Names of the table's columns, where it has no header or other ones: start, "
        "stop, label, and fields of `source.files` that say whose an interval is.",
    )
    unit: Literal["rows", "s", "ms", "us", "ns", "date"] = Field(
        default="rows",
        description="What start and stop count, from the recording's beginning; times that only "
        "fit the column of times (date, or seconds since 1970) are looked up in it.",
    )
    counted_from: Annotated[Literal["beginning", "times"] | None, AddedLater] = Field(
        default=None,
        description="Whether moments count from the recording's beginning, or are on the scale of "
        "the column of times. Usual: the beginning, where they fit it.",
    )
    first: int = Field(
        default=0,
        ge=0,
        le=1,
        description="The number of the first row; and of the "
        "first recording, where those that a column recording holds do not tell.",
    )
    inclusive: bool = Field(
        default=False, description="Whether stop is the last row or moment, not the one after it."
    )


class LabelTableOptions(BaseModel):
    """A table that says what labels mean: a row a label."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: str = Field(
        description="The table, relative to the folder of the source's files: CSV, or text with "
        "blanks."
    )
    label: str | None = Field(
        default=None,
        description="Column of labels as the recordings have them. Usual: label, "
        "or the first of a table without a header.",
    )
    name: str | None = Field(
        default=None, description="Column of the names that they get. Usual: name, or the second."
    )
