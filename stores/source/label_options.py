"""Tables of labels in the configuration: `source.intervals` and `source.label_table`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)


class IntervalOptions(BaseModel):
    """A table of intervals that label stretches of recordings; the rows between have no label."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: str = Field(
        description="The table, relative to the folder of the source's files: CSV, or text with "
        "blanks."
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
    counted_from: Literal["beginning", "times"] | None = Field(
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

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the key that was added later where it is not given: digests stay."""
        found: dict[str, Any] = dump(self)
        if self.counted_from is None:
            found.pop("counted_from", None)
        return found


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
