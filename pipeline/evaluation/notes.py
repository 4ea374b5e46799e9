"""What a reader must know before trusting the scores of test folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.pipeline.rows.split import is_official
from headrace.stores.text import counted

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.stores import Store


def notes_on(store: Store, config: Config, tested: Sequence[str] | None = None) -> list[str]:
    """Sentences, the gravest first.

    Args:
        store: that was evaluated.
        config: of the evaluation.
        tested: names of the groups of a single test fold; None: every fold was tested.
    """
    notes = []
    if not store.manifest.grouped:
        notes.append(
            "Warning: the source has no groups, so windows of one person or machine may be on "
            "both sides of the split. These scores are too high for new ones."
        )
    if tested is not None and not is_official(store.folds):
        notes.append(
            f"One fold of {counted(len(tested), 'group')} is a small sample; "
            "headrace crossval gives the number that counts."
        )
    if config.evaluate.max_windows is not None:
        notes.append(f"Only the first {config.evaluate.max_windows:,} test windows are scored.")
    return notes
