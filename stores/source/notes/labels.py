"""Notes on labels: what the rule for windows drops, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from headrace.stores.source.labels.cells import parts_of_cell
from headrace.stores.source.labels.losses import ClassWindows, LabelLosses
from headrace.stores.source.notes.note import SHOWN, Layout, Note
from headrace.stores.source.options import SourceOptions
from headrace.stores.text import counted, listed


def label_notes(layout: Layout, losses: LabelLosses, options: SourceOptions) -> Iterator[Note]:
    """On what becomes of labels."""
    without, lost = layout.without_windows()
    if without:
        yield Note(
            f"{counted(without, 'recording')} of the source give no window: shorter than one, or "
            "no label of theirs is kept."
            + (f" That leaves out all of {listed(lost)}." if lost else ""),
            "source.window_s",
            warning=True,
        )
    yield from _rule(losses, options, layout.spec.time / layout.spec.rate_hz)
    yield from _left_out(losses)
    yield from _joined_names(layout)


def _rule(losses: LabelLosses, options: SourceOptions, seconds: float) -> Iterator[Note]:
    """What the label rule drops, by class."""
    rule = options.label_rule
    other = "majority" if rule == "pure" else "pure"
    kept = {each.name: getattr(each, rule) for each in losses.classes}
    wanted = {each.name: getattr(each, other) for each in losses.classes}
    gone = [each.name for each in losses.classes if not kept[each.name]]
    fewer = [each for each in losses.classes if kept[each.name] < wanted[each.name]]
    if not gone and (rule == "majority" or not fewer or sum(kept.values()) >= sum(wanted.values())):
        return
    text = (
        f'source.label_rule = "{rule}" with windows of {seconds:.4g} s keeps '
        f"{sum(kept.values()):,} where {other} keeps {sum(wanted.values()):,}"
    )
    if gone:
        text += f", and loses {len(gone)} of {len(kept)} classes: {listed(gone, SHOWN)}"
    fewer.sort(key=lambda each: kept[each.name] / wanted[each.name])
    worst = [each for each in losses.classes if each.name in gone and each not in fewer] + fewer
    listing = "; ".join(
        _of_class(each, kept[each.name], wanted[each.name]) for each in worst[:SHOWN]
    )
    more = f"; and {len(worst) - SHOWN} more" if len(worst) > SHOWN else ""
    yield Note(
        f"{text}. {listing}{more}. {_way(rule, worst, seconds)}",
        "source.label_rule",
        warning=bool(gone),
    )


def _of_class(found: ClassWindows, kept: int, other: int) -> str:
    return (
        f"{found.name} keeps {kept:,} of {other:,} ({found.stretches:,} "
        f"stretches, median {found.median_s:.3g} s)"
    )


def _way(rule: str, worst: Sequence[ClassWindows], seconds: float) -> str:
    shortest = min((each.median_s for each in worst), default=seconds)
    ways = ['source.label_rule = "majority"'] if rule == "pure" else []
    if shortest < seconds:
        ways.append(f"a shorter source.window_s, such as {shortest:.2g}")
    return f"Set {' or '.join(ways)} to keep more." if ways else "Look at the labels."


def _left_out(losses: LabelLosses) -> Iterator[Note]:
    rows = sum(losses.left_out.values())
    if rows:
        ordered = sorted(losses.left_out.items(), key=lambda each: -each[1])
        shown = listed([f"{name} ({count:,})" for name, count in ordered], SHOWN)
        yield Note(
            f"{rows:,} of {losses.rows:,} rows ({100 * rows / losses.rows:.3g} %) have a label "
            f"that is left out: {shown}.",
            "source.exclude_labels",
        )


def _joined_names(layout: Layout) -> Iterator[Note]:
    """Whether names are several in one cell: each joining of them is a class of its own."""
    column, names = layout.columns.label, layout.names.classes.names
    met = Counter(part for name in names for part in parts_of_cell(name))
    again = [
        name
        for name in names
        if len(parts := parts_of_cell(name)) > 1 and any(met[part] > 1 for part in parts)
    ]
    if again:
        yield Note(
            f"{len(again)} of {len(names)} classes of {column.array.where} are several names in "
            f"one cell ({listed(again, SHOWN)}), each a class of its own. For several labels a "
            'window set target.kind = "labels".',
            "target.kind",
        )
