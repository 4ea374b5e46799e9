"""Rows of the tables that pages of scores have; the first cell is a name, the others numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from headrace.pipeline.evaluation.metrics import ClassScores, GroupScores, Mistake

Row = tuple[str, ...]


def class_rows(per_class: Mapping[str, ClassScores]) -> list[Row]:
    """Class, windows, precision, recall, F1."""
    return [
        (name, f"{each.windows:,}", *decimals(each.precision, each.recall, each.f1))
        for name, each in per_class.items()
    ]


def confusion_rows(classes: Iterable[str], confusion: Sequence[Sequence[int]]) -> list[Row]:
    """Label, and how many of its windows were predicted as each class."""
    return [
        (name, *(f"{count:,}" for count in counts))
        for name, counts in zip(classes, confusion, strict=True)
    ]


def group_rows(per_group: Mapping[str, GroupScores]) -> list[Row]:
    """Group, windows, accuracy, macro-F1."""
    return [
        (name, f"{each.windows:,}", *decimals(each.accuracy, each.macro_f1))
        for name, each in per_group.items()
    ]


def mistake_rows(mistakes: Iterable[Mistake]) -> list[Row]:
    """Source index, label, predicted, confidence."""
    return [
        (str(each.source_index), each.label, each.predicted, *decimals(each.confidence))
        for each in mistakes
    ]


def decimals(*scores: float) -> list[str]:
    """`0.123` of each."""
    return [f"{score:.3f}" for score in scores]
