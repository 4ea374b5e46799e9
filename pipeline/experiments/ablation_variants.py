"""What an ablation compares: a configuration, and the same with one part left out or added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.pipeline.config.config import Config
    from headrace.pipeline.config.sections import AugmentOptions

INPUTS = {"hybrid": "hybrid", "raw": "raw only", "features": "features only"}
"""`model.inputs`, and how people know it."""
STRENGTHS = {
    "mask": "mask_fraction",
    "scale": "scale_strength",
    "noise": "noise_strength",
    "mix": "mix_strength",
}
"""Augmentations, and the key of their strength."""
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
    # Mixing blends both branches; the others touch raw alone.
    names = [name for name in STRENGTHS if name == "mix" or inputs != "features"]
    used = [name for name in names if _is_used(config.augment, name)]
    if used:
        none = {f"{name}_probability": 0.0 for name in STRENGTHS}
        found.append(Variant("without augmentation", config.changed("augment", **none)))
    if len(used) > 1:
        for name in used:
            less = config.changed("augment", **{f"{name}_probability": 0.0})
            found.append(Variant(f"without {name}", less))
    found += [Variant(f"with {name}", _with(config, name)) for name in names if name not in used]
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


def _is_used(options: AugmentOptions, name: str) -> bool:
    keys = (f"{name}_probability", STRENGTHS[name])
    return all(getattr(options, key) > 0 for key in keys)


def _with(config: Config, name: str) -> Config:
    key = STRENGTHS[name]
    strength = getattr(config.augment, key) or type(config.augment).model_fields[key].default
    return config.changed("augment", **{f"{name}_probability": ADDED_PROBABILITY, key: strength})
