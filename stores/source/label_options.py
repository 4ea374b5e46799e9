"""`source.label_table` of the configuration: where it is said what labels mean."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


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
