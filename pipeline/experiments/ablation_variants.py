"""What an ablation compares: a configuration, and the same with one part left out or added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.pipeline.augmentations.registry import Augmentation, Stage, registered
from headrace.pipeline.config.functions import with_sources

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config

INPUTS = {"hybrid": "hybrid", "raw": "raw only", "features": "features only"}
"""`model.inputs`, and how people know it."""
ADDED_PROBABILITY = 0.5
"""Of an augmentation that the configuration leaves out."""


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        name: for people: "raw only", "without noise".
        config: the whole configuration of it.
    """

    name: str
    config: Config


def variants(config: Config, features: Sequence[str]) -> list[Variant]:
    """The configuration itself, which is the reference, then each that differs in one part.

    Args:
        config: of the reference.
        features: names of the store's features; without any there is raw only.
    """
    inputs = config.model.inputs
    found = [Variant(INPUTS[inputs], config)]
    found += [
        Variant(name, config.changed("model", inputs=other))
        for other, name in INPUTS.items()
        if other != inputs and (features or other == "raw")
    ]
    # Pairs are blended in both branches; the others touch raw alone.
    known = [each for each in registered() if each.stage is Stage.PAIRS or inputs != "features"]
    used = [each.name for each in known if each.chosen(config.augment).on]
    own = bool(config.augment.custom)
    if used or own:
        none: dict[str, Any] = {f"{each.name}_probability": 0.0 for each in registered()}
        none["custom"] = ()
        without = _named_anew(config.changed("augment", **none))
        found.append(Variant("without augmentation", without))
    if len(used) + own > 1:
        for name in used:
            less = config.changed("augment", **{f"{name}_probability": 0.0})
            found.append(Variant(f"without {name}", less))
        if own:
            less = _named_anew(config.changed("augment", custom=()))
            found.append(Variant("without your own augmentation", less))
    found += [
        Variant(f"with {each.name}", _with(config, each)) for each in known if each.name not in used
    ]
    return found


def in_time(config: Config, seconds: float, epoch_seconds: float) -> Config:
    """`config` with as many epochs as fit into `seconds`, one at least.

    Its warm-up and its patience keep their share of the training: a quick network of many epochs
    is neither warmed up nor given up too soon.
    """
    epochs = max(1, round(seconds / epoch_seconds))
    if epochs == config.train.epochs:
        return config
    share = epochs / config.train.epochs
    return config.changed(
        "train",
        epochs=epochs,
        warmup_epochs=config.train.warmup_epochs * share,
        patience=max(1, round(config.train.patience * share)),
    )


def _named_anew(config: Config) -> Config:
    """With the sources of the functions that it names now."""
    return with_sources(config.changed("code", sources={}))


def _with(config: Config, augmentation: Augmentation) -> Config:
    """`config` with an augmentation on, at its strengths, or their defaults where they are 0."""
    options = augmentation.chosen(config.augment)
    fields = type(options).model_fields
    keys = {
        key: getattr(options, option) or fields[option].default
        for key, option in augmentation.keys.items()
    }
    return config.changed(
        "augment", **keys | {f"{augmentation.name}_probability": ADDED_PROBABILITY}
    )
