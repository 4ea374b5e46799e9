"""The `[source]` section of the configuration: how a source is to be read."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.stores.marks import AddedLater, OwnSection
from headrace.stores.source.filter_options import FilterOptions
from headrace.stores.source.label_options import IntervalOptions, LabelNames, LabelTableOptions
from headrace.stores.source.option_rules import check_options
from headrace.stores.source.target_options import TargetOptions
from headrace.stores.source.text_options import (
    Comments,
    DamagedLines,
    Encoding,
    SkipLines,
    TwoColumns,
)

DEFAULT_WINDOW_S = 2.56
DEFAULT_OVERLAP = 0.5


class SourceOptions(BaseModel):
    """How to read a source; every default suits a file whose datasets have usual names.

    A dataset name is a path inside the file (`X`, `session1/imu`). `None` looks for the usual
    names; the empty string leaves an optional dataset out even where the file has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layout: Literal["auto", "windows", "recordings"] = Field(
        default="auto",
        description="windows: X (N, T, C) holds windows already. recordings: signals (S, C) are "
        "cut into windows while reading. auto tells by the datasets; set it when a file has both.",
    )
    files: Annotated[list[str], AddedLater] = Field(
        default_factory=list,
        description="Which files of the folder `paths.data` are recordings, by patterns: "
        '["acc_exp{recording}_user{subject}.txt"]. What stands for a field in braces is a column '
        "of the table of recordings; * stands for any other text, ** for folders. Files of several "
        "patterns with equal fields are the channels of one recording, side by side. What a "
        "pattern with a ! before it matches is left out, wherever it stands in the list: without "
        'a slash in any folder, and with one at its end all that a folder holds: ["{subject}.csv", '
        '"!*_notes.csv", "!old/"]. Empty: all files below the folder.',
    )
    table: Annotated[str | None, AddedLater] = Field(
        default=None,
        description="A table of the recordings, CSV, in the folder of the files or beside it: its "
        "rows are found by the columns that it shares with the fields of `files`, or by `file`, "
        "and its other columns (subject, split, label) are those of the recordings.",
    )
    windows: str | list[str] | None = Field(
        default=None,
        description="Windows layout: dataset (N, T, C), or (N, T) of one channel; several are "
        "channels side by side. Usual: X.",
    )
    signals: str | list[str] | None = Field(
        default=None,
        description="Recordings layout: dataset (S, C), or (S,) of one channel; several are "
        "channels side by side. A name with fields, subject_{subject}/trial_{trial}/acc, makes "
        "each match in the file a recording, and each field a column; * stands for any text, and "
        "what it matches is side by side. Of a table of text: its columns. Usual: signals; of a "
        "table all columns of numbers, but for those that labels, groups or times are named by.",
    )
    axes: Annotated[list[Literal["window", "row", "time", "channel"]] | None, AddedLater] = Field(
        default=None,
        description='What the axes of the data are, in their order: ["window", "channel", "time"]. '
        "Usual: window, time, channel, or row, channel.",
    )
    labels: LabelNames = None
    labels_file: Annotated[str | None, AddedLater] = Field(
        default=None,
        description="The file of each recording's labels, relative to the folder, by fields of "
        '`files`: "{part}/y_{part}.txt". labels names the dataset or column in it, of several.',
    )
    groups_file: Annotated[str | None, AddedLater] = Field(
        default=None,
        description="Windows layout: the same for groups.",
    )
    label_table: Annotated[LabelTableOptions | None, AddedLater] = Field(
        default=None,
        description="A table of what labels mean, such as activity_labels.txt. Its names stand for "
        "the labels, in class_map and exclude_labels too; its order is that of the classes.",
    )
    label_column: Annotated[str | None, AddedLater] = Field(
        default=None,
        description="Recordings layout: a column of the table of recordings, such as a field of "
        "`files`, that labels each recording, in place of labels.",
    )
    intervals: Annotated[IntervalOptions | None, AddedLater] = Field(
        default=None,
        description="Recordings layout: a table of labelled intervals, in place of labels.",
    )
    label_every_s: Annotated[float | None, AddedLater] = Field(
        default=None,
        gt=0,
        description="Recordings layout: labels holds one entry for each so many seconds, not rows.",
    )
    classes: str | None = Field(
        default=None,
        description="Dataset of names that integer labels index (label 2 is the third name). "
        "Usual: a dataset or an attribute called classes; without one a label's name is its "
        "number.",
    )
    recordings: str | list[str] | None = Field(
        default=None,
        description="Recordings layout: group of columns with one entry per recording. Usual: "
        "recordings. Or arrays or columns with one entry per row: each run of rows with equal "
        "values, of these and of groups and split, is a recording; so it is without a group of "
        "that name.",
    )
    lengths: Annotated[str | None, AddedLater] = Field(
        default=None,
        description="Recordings layout: array (N,) of how many rows each of N padded recordings "
        "has, where the signals are (N, T, C). labels, groups and split may be (N,).",
    )
    start_column: str = Field(
        default="start", description="Column of `recordings`: first row in the signals."
    )
    length_column: str = Field(
        default="length", description="Column of `recordings`: number of rows."
    )
    groups: str | None = Field(
        default=None,
        description="Who or what a window was recorded from; folds are made of whole groups. "
        "Windows layout: a dataset (N,), usual: groups, group, subjects, subject. Recordings "
        "layout: a column of `recordings`, or one of a name a row, where it changes a recording "
        "ends; usual: subject, group, groups.",
    )
    split: str | None = Field(
        default=None,
        description="An official split into train and test. Windows layout: a dataset (N,); "
        "recordings layout: a column of `recordings`. Usual: split. Name any other column to use "
        "it; the empty string ignores one that is there.",
    )
    split_names: dict[str, str] = Field(
        default_factory=dict,
        description='What the values of `split` mean where they are not train and test: {"0" = '
        '"train", "1" = "test"}. Globs are tried in their order after equal values: {"s07" = '
        '"test", "*" = "train"}.',
    )
    split_by_window: bool = Field(
        default=False,
        description="Consent to a source without groups: folds are then made of stretches of 16 "
        "consecutive windows, windows of one person stand on both sides of a split and scores come "
        "out too high (11 points on the watch data). Groups in the file are ignored.",
    )

    dtype: Annotated[Literal["float32", "float64"] | None, AddedLater] = Field(
        default=None,
        description="Type that values are read as. Usual: the file's; of numbers in text float64. "
        "float32 holds what sensors measure in half the memory.",
    )
    damaged_lines: DamagedLines = "error"
    skip_lines: SkipLines = None
    encoding: Encoding = None
    comments: Comments = None
    rate_hz: float | None = Field(
        default=None,
        ge=1e-6,
        le=1e9,
        description="Sampling rate of the file; wins over its attribute sampling_rate_hz. Where "
        "there are times, it has to agree with them within 5 %.",
    )
    time: Annotated[str | TwoColumns | None, AddedLater] = Field(
        default=None,
        description="Recordings layout: array or column of times, one a row of the signals, or two "
        'columns, of days and of times of day: ["Date", "Time"]; they are no '
        "channels. The rate is taken from them, and recordings are cut where samples are missing. "
        "Usual: time, timestamp, timestamps, datetime, time_ms, Time (s), or t and date where they "
        "ascend. The empty string: there is none.",
    )
    time_unit: Annotated[Literal["s", "ms", "us", "ns", "date"] | None, AddedLater] = Field(
        default=None,
        description="What the times count; date: texts such as 2024-05-06 07:08:09.5, or numbers "
        "of days. Usual: by the type, an attribute units, the name, the rate, or the size of the "
        "numbers where one unit alone is plausible.",
    )
    max_gap_s: Annotated[float | None, AddedLater] = Field(
        default=None,
        gt=0,
        description="A longer step between two times cuts a recording in two, of one group: no "
        "window joins what stands on its sides. Default: 1.5 sample periods, and as much more as "
        "the steps spread (5th to 95th percentile), so that rounded and uneven stamps cut nothing.",
    )
    time_order: Annotated[Literal["error", "sort"], AddedLater] = Field(
        default="error",
        description="Times that go back or come twice within a recording: an error that names the "
        "place, or its rows sorted by time and repeats left out (recordings of up to 4 million "
        "rows).",
    )
    rates_hz: Annotated[list[Annotated[float, Field(ge=1e-6, le=1e9)]], AddedLater] = Field(
        default_factory=list,
        description="Recordings layout: the rate of each array of `signals`, or of each pattern of "
        "`files`, where they have several: [100, 10]. Wins over their attributes. All are brought "
        "to `target_rate_hz`, the highest of them by default: slower ones as `slow` says. Labels "
        "and the table of recordings count rows of the fastest.",
    )
    max_cut_rows: Annotated[int, AddedLater] = Field(
        default=0,
        ge=0,
        description="Recordings layout: arrays or files side by side that begin together and "
        "differ in length by up to this many rows (of the slowest) are cut to the shortest.",
    )
    channels: list[str] | None = Field(
        default=None, description="One name per channel; wins over the attribute channels."
    )
    use_channels: Annotated[list[str], AddedLater] = Field(
        default_factory=list,
        description="Channels to read, in this order, by their names; globs allowed, a ! before "
        'one leaves out: ["acc_*", "gyro_x"], ["!temp*"]. `channels` then names all channels of '
        "the file; units, scale and offset have one entry for each channel that is read. Empty: "
        "all channels.",
    )
    units: list[str] | None = Field(
        default=None,
        description="One unit per channel, after scaling; wins over the attribute units.",
    )
    scale: list[float] | None = Field(
        default=None,
        description="One factor per channel that turns stored values into units; wins over the "
        "attribute scale_to_units. An int16 count of 256 at 0.00390625 g per count is 1 g.",
    )
    offset: Annotated[list[float] | None, AddedLater] = Field(
        default=None,
        description="One number per channel, in units: value * scale + offset. Wins over the "
        "attribute offset_to_units. Whole numbers stay whole where they can: counts of uint16 "
        "around 32768 become int16 around 0.",
    )

    window_s: float | None = Field(
        default=None,
        gt=0,
        description="Recordings layout: window length in seconds, 2.56 by default: "
        "2.56 s x 50 Hz = 128 samples. Longer windows raise scores where an activity lasts long "
        "enough, and give fewer windows.",
    )
    window_samples: int | None = Field(
        default=None,
        ge=2,
        description="Recordings layout: window length in samples (of the target rate), instead "
        "of window_s.",
    )
    step_s: float | None = Field(
        default=None,
        gt=0,
        description="Recordings layout: from one window's start to the next, in seconds.",
    )
    step_samples: int | None = Field(
        default=None, ge=1, description="The same in samples (of the target rate)."
    )
    overlap: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The same as a share of the window, 0.5 by default: 128 samples that overlap "
        "by half step by 64. 0.75 gives twice as many windows as 0.5, and twice the store.",
    )
    target_rate_hz: float | None = Field(
        default=None,
        ge=1e-6,
        le=1e9,
        description="Recordings layout: resample to this rate first (polyphase; values become "
        "float32 in units). 200 Hz to 50 Hz makes a window four times smaller.",
    )
    filter: Annotated[list[FilterOptions], AddedLater] = Field(
        default_factory=list,
        description="Recordings layout: FIR filters of the continuous signals, before resampling; "
        '[{kind = "bandpass", low_hz = 0.5, high_hz = 40}, {kind = "notch", hz = 50}]. Linear '
        "phase, without delay; values become float32 in units.",
    )
    remove_mean: Annotated[bool, AddedLater] = Field(
        default=False,
        description="Recordings layout: subtract each recording's mean from its channels; values "
        "become float32 in units. Each worker reads its recordings once more.",
    )
    slow_channels: Annotated[list[str], AddedLater] = Field(
        default_factory=list,
        description="Recordings layout: channels with NaN between their values, such as a heart "
        "rate among accelerations; globs allowed. `slow` says what stands there.",
    )
    slow: Annotated[Literal["interpolate", "hold"], AddedLater] = Field(
        default="interpolate",
        description="What stands between two values of a slow channel, or of a signal of a lower "
        "rate: interpolate: values on a line from one to the next; hold: the earlier one.",
    )
    slow_max_gap_s: Annotated[float | None, AddedLater] = Field(
        default=None,
        gt=0,
        le=1e9,
        description="The widest gap of `slow_channels` that is bridged, in seconds; wider ones "
        "stay NaN. By default a second, or three times the median distance of the channel's "
        "values if that is more.",
    )
    label_rule: Literal["pure", "majority"] = Field(
        default="pure",
        description="pure: windows start afresh at each stretch of equal labels and never cross "
        "its end. majority: windows start every step from the recording's start and take the "
        "label of most of their rows; choose it when labels change faster than a window lasts.",
    )

    class_map: dict[str, list[str]] = Field(
        default_factory=dict,
        description='Classes made of labels, globs allowed: {walk = ["D01", "D02"], fall = '
        '["F*"]}. Labels not listed are left out. Empty: every label is a class.',
    )
    exclude_labels: list[str] = Field(
        default_factory=list,
        description='Labels to leave out, globs allowed: ["unlabelled"].',
    )

    non_finite: Literal["error", "drop", "fill"] = Field(
        default="error",
        description="What to do with windows that hold NaN or infinity: stop, leave the window "
        "out, or replace the values by fill_value. What is dropped or filled is recorded.",
    )
    fill_value: float = Field(
        default=0.0,
        description="Stands in for NaN and infinity with non_finite = fill, as stored: before "
        "scale, offset and resampling.",
    )

    target: Annotated[TargetOptions, OwnSection] = TargetOptions()

    @model_validator(mode="after")
    def _one_way_each(self) -> Self:
        check_options(self)
        return self

    def window_rows(self, rate_hz: float) -> int:
        """Rows of one window at `rate_hz`, the rate of the windows as delivered, at least 2."""
        if self.window_samples is not None:
            return self.window_samples
        seconds = DEFAULT_WINDOW_S if self.window_s is None else self.window_s
        return max(2, round(seconds * rate_hz))

    def step_rows(self, rate_hz: float) -> int:
        """Rows from one window's start to the next at `rate_hz`, at least 1."""
        if self.step_samples is not None:
            return self.step_samples
        if self.step_s is not None:
            return max(1, round(self.step_s * rate_hz))
        overlap = DEFAULT_OVERLAP if self.overlap is None else self.overlap
        return max(1, round(self.window_rows(rate_hz) * (1 - overlap)))
