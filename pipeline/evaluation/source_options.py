"""How a source that a run did not see is read: as the run's own, but for what is given or said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from headrace.stores.errors import ConfigError, SourceError
from headrace.stores.io.places import Place
from headrace.stores.source.derived.chosen import literal_glob
from headrace.stores.source.file_patterns import OUT
from headrace.stores.source.files.located import files_of
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.probe.probe import look_at, open_stranger
from headrace.stores.source.signals import USUAL_WINDOWS, names_of
from headrace.stores.source.source import Source, open_source
from headrace.stores.source.target_options import TargetOptions
from headrace.stores.source.windows import RECORDING_OPTIONS

Options = Callable[[SourceOptions, SourceOptions, Sequence[str]], SourceOptions]
UNLABELLED: dict[str, Any] = {
    **{"labels": "", "classes": "", "groups": None, "split": "", "split_by_window": True},
    **{"class_map": {}, "exclude_labels": [], "label_rule": "pure"},
    **dict.fromkeys(("labels_file", "groups_file", "label_table", "label_column")),
    **dict.fromkeys(("label_every_s", "intervals", "table")),
    "target": TargetOptions(),
}
"""Options of a source of which no label is looked at."""
ALTERNATIVES = (
    ("window_s", "window_samples"),
    ("step_s", "step_samples", "overlap"),
    ("labels", "labels_file", "label_column", "intervals"),
    ("label_every_s", "label_column", "intervals"),
    ("rate_hz", "rates_hz"),
)
"""Keys that say one thing: whoever gives one leaves out the others."""


def labelled_options(
    trained: SourceOptions, given: SourceOptions, said: Sequence[str]
) -> SourceOptions:
    """How to read a source that the run did not see: as its own, but for what is given now.

    An official split of the source is left alone: all of it is read.

    Args:
        trained: of the run.
        given: of the command; only keys that are set count.
        said: keys of which the source has an attribute of its own, which wins over the run's.

    Raises:
        UserError: what is given does not fit what the run had.
    """
    found = _merged(trained, given, said) | {"split": ""}
    if given.groups:
        found["split_by_window"] = False
    elif found["split_by_window"]:
        found["groups"] = None
    # Of classes a run says nothing, and nothing is to be asked of them again.
    found["target"] = {**found["target"], "kind": found["target"]["kind"] or "class"}
    return _checked(found)


def unlabelled_options(
    trained: SourceOptions, given: SourceOptions, said: Sequence[str]
) -> SourceOptions:
    """The same for a source whose labels and groups, if any, are not looked at."""
    return _checked(_merged(trained, given, said) | UNLABELLED)


def open_as(
    path: Place,
    trained: SourceOptions,
    given: SourceOptions,
    options: Options,
    channels: Sequence[str] = (),
) -> Source:
    """Open a source that the run did not see, by `labelled_options` or `unlabelled_options`.

    Args:
        path: of the source.
        trained, given, options: as they take them.
        channels: of the network; a source that has them in another order, or more, is read so.

    Raises:
        UserError: as `open_source`.
    """
    trained = _of_other_files(path, trained, given, optional=options is unlabelled_options)
    given = _with_layout(path, trained, given)
    if trained.use_channels and channels and all(channels):
        # What was left out there may not be here.
        trained = trained.model_copy(update={"use_channels": list(map(literal_glob, channels))})
    with open_stranger(path, options(trained, given, ())) as source:
        said, census = sorted(source.said), source.census
        given = _by_names(given, channels, source.spec.channels)
    return open_source(path, options(trained, given, said), census)


def _by_names(given: SourceOptions, wanted: Sequence[str], found: Sequence[str]) -> SourceOptions:
    """`given`, with the channels that are wanted, where all of them are among those found."""
    per_channel = {"channels", "use_channels", "units", "scale", "offset"}
    # ch0 is the name of a channel without any.
    named = all(wanted) and not all(re.fullmatch(r"ch\d+", name) for name in wanted)
    there = named and set(wanted) <= set(found) and len(set(found)) == len(found)
    if tuple(wanted) == tuple(found) or not there or per_channel & given.model_fields_set:
        return given
    return given.model_copy(update={"use_channels": [literal_glob(name) for name in wanted]})


def _merged(trained: SourceOptions, given: SourceOptions, said: Sequence[str]) -> dict[str, Any]:
    chosen = given.model_dump(include=given.model_fields_set)
    kept, fresh = trained.model_dump(), SourceOptions().model_dump()
    layout = {"layout", "windows", "signals"} & given.model_fields_set
    for name in ("rate_hz", "channels", "units", "scale", "offset"):
        if name in said:
            kept[name] = None
    if layout:
        windows = given.layout == "windows" or given.windows
        forgotten = ("layout", "windows", "signals", *(RECORDING_OPTIONS if windows else ()))
        kept |= {name: fresh[name] for name in forgotten}
    for alternatives in ALTERNATIVES:
        if any(chosen.get(name) is not None for name in alternatives):
            kept |= {name: fresh[name] for name in alternatives}
    return kept | chosen


def _checked(found: dict[str, Any]) -> SourceOptions:
    try:
        return SourceOptions.model_validate(found)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"What is given of the source does not fit what the run was trained with: {said}"
        ) from error


def _of_other_files(
    path: Place, trained: SourceOptions, given: SourceOptions, optional: bool
) -> SourceOptions:
    """`trained`, without its patterns of files where this source is one file.

    Args:
        path: of the source.
        trained, given: options.
        optional: whether their fields are of no use, so that other names do as well.
    """
    if not trained.files or "files" in given.model_fields_set:
        return trained
    no_patterns = trained.model_copy(update={"files": []})
    if files_of(path, no_patterns.model_copy(update={"table": None, "intervals": None})) is None:
        return no_patterns
    left_out = [pattern for pattern in trained.files if pattern.startswith(OUT)]
    if optional and len(trained.files) - len(left_out) == 1:
        no_patterns = trained.model_copy(update={"files": left_out})
        try:
            files_of(path, trained.model_copy(update={"table": None, "intervals": None}))
        except SourceError:
            return no_patterns
    return trained


def _with_layout(path: Place, trained: SourceOptions, given: SourceOptions) -> SourceOptions:
    """`given`, with a layout where the file has none of the names that the run's source had."""
    named = [name for option in (trained.windows, trained.signals) for name in names_of(option)]
    plain = named and not any(mark in name for name in named for mark in "{*?[")
    if not plain or {"layout", "windows", "signals"} & given.model_fields_set:
        return given
    found = look_at(path)
    if any(found.named(name) for name in named):
        return given
    usual = any(len(each.shape) == 3 for name in USUAL_WINDOWS if (each := found.named(name)))
    return given.model_copy(update={"layout": "windows" if usual else "recordings"})
