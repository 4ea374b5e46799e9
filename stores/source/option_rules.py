"""Which keys of `[source]` exclude each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.stores.source.file_patterns import OUT, check_pattern

if TYPE_CHECKING:
    from headrace.stores.source.options import SourceOptions


def check_options(options: SourceOptions) -> None:
    """Check that nothing is said in two ways, and that patterns of files are some.

    Raises:
        ValueError: it is, or one is none.
    """
    _at_most_one(options, "window_s", "window_samples")
    _at_most_one(options, "step_s", "step_samples", "overlap")
    _at_most_one(options, "label_column", "intervals", "labels")
    _at_most_one(options, "label_column", "intervals", "labels_file")
    if options.rates_hz:
        _at_most_one(options, "rate_hz", "rates_hz")
    if options.label_every_s is not None:
        _at_most_one(options, "label_every_s", "label_column", "intervals")
    files = [pattern.removeprefix(OUT) for pattern in options.files]
    if options.intervals is not None and "{" in options.intervals.file:
        files.append(options.intervals.file)
    for pattern in (*files, options.labels_file, options.groups_file):
        if pattern is not None:
            check_pattern(pattern)
    if options.split_by_window and options.groups:
        raise ValueError(
            f"split_by_window ignores groups, but groups = {options.groups!r} names one. "
            "Remove one of the two."
        )


def _at_most_one(options: SourceOptions, *names: str) -> None:
    given = [name for name in names if getattr(options, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} say the same thing. Keep one of them.")
