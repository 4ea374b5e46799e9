"""Whatever takes names of folds takes a list of known names, each once, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace import stores
from headrace.pipeline.config.config import Config
from headrace.pipeline.rows.order import training_order
from headrace.pipeline.rows.split import fold_ranges, group_names
from headrace.pipeline.rows.statistics import fit_normaliser, sample_rows, sampling
from headrace.pipeline.stream.evaluation import evaluation_stream
from headrace.pipeline.stream.training import training_stream
from headrace.stores import Store
from headrace.stores.errors import GroupError

Taker = Callable[[Store, Sequence[Any], Config], object]

TAKERS: dict[str, Taker] = {
    "training_stream": lambda store, folds, config: training_stream(
        store, folds, config, fit_normaliser(store, ["1"], config)
    ),
    "evaluation_stream": evaluation_stream,
    "training_order": training_order,
    "fold_ranges": lambda store, folds, config: fold_ranges(store, folds),
    "group_names": lambda store, folds, config: group_names(store, folds),
    "class_counts": lambda store, folds, config: store.class_counts(folds),
    "moments": lambda store, folds, config: store.moments(folds),
    "fit_normaliser": fit_normaliser,
    "sample_rows": lambda store, folds, config: sample_rows(store, folds, ["label"], 5),
    "classes alike": lambda store, folds, config: sampling(store, folds, "class"),
    "groups alike": lambda store, folds, config: sampling(store, folds, "group"),
}


@pytest.fixture(scope="module")
def store(tiny_store: Path) -> Store:
    return stores.open(tiny_store)


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("names", ["12", ["1", "12"], ["1", "2", "1"]])
def test_text_and_unknown_and_repeated_names_of_folds_are_refused(
    store: Store, tiny_config: Config, taker: str, names: Sequence[str]
) -> None:
    with pytest.raises(GroupError):
        TAKERS[taker](store, names, tiny_config)


def test_the_order_that_folds_are_named_in_does_not_matter(store: Store) -> None:
    assert fold_ranges(store, ["2", "1"]) == fold_ranges(store, ["1", "2"])
    assert fold_ranges(store, ["1", "2"]) == [
        (store.fold("1").start, store.fold("1").stop),
        (store.fold("2").start, store.fold("2").stop),
    ]
