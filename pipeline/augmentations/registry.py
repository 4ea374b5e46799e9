"""What an augmentation declares, and those that there are: each file here but `HELPERS` is one.

A file declares options, a factory and an `Augmentation`, and hands it to `register`; nothing else
names it. Code outside the package registers its own in the same way, before the configuration is
read. The configuration knows all that are registered, and imports no TensorFlow for it: factories
import it when the stream calls them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from headrace.pipeline.augmentations.chance import Sample

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Strength = Annotated[float, Field(ge=0.0)]

HELPERS = ("registry", "chance", "kernels", "levels")
"""Files of this package that are no augmentations, but what these are made of."""
VIEW_STREAM = 4
"""Of the noise in views of an evaluation."""


class Options(BaseModel):
    """Options of an augmentation: `probability` and others, each with its docstring.

    Option `strength` of augmentation `noise` is the key `augment.noise_strength`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    probability: Probability = 0.0
    """Share of windows that are augmented."""

    @property
    def on(self) -> bool:
        """Whether any window is changed: an option of 0 turns an augmentation off."""
        return all(self.model_dump().values())


class Stage(Enum):
    """What an augmentation takes."""

    UNITS = "units"
    """Raw in units, before it is normalised; features are not there."""
    NORMALISED = "normalised"
    """Raw, normalised."""
    PAIRS = "pairs"
    """All arrays, raw and features normalised, of n windows and one more, the partner of the last.
    Only one can be on, as it comes last and gives n windows of `Setting.blended` back."""


@dataclass(frozen=True)
class Setting:
    """What a factory is given beside its options.

    Attributes:
        time: T, samples of a window.
        deviations: (C,) float32, standard deviations of the channels over the training folds, in
            units; 0 where one is constant.
        seed: of the training; what chance is hashed from.
        blended: arrays that go on to the network: `raw`, `features`, `label`, `weight`.
    """

    time: int
    deviations: NDArray[np.float32]
    seed: int
    blended: tuple[str, ...] = ()


Apply = Callable[["Sample"], "Sample"]
"""Function dict -> dict of tensors, in the graph: what a batch goes through."""
ApplyArrays = Callable[[dict[str, NDArray[Any]], int], None]
"""Function (dict of arrays, epoch) that changes the arrays in place, by compiled loops: the same
draws as `Apply`, without TensorFlow. Of PAIRS the last row is a partner, and stays as it is."""


@dataclass(frozen=True)
class Augmentation:
    """One augmentation, as its file declares it.

    Attributes:
        name: begins its keys.
        options: their names, bounds, defaults and docstrings.
        make: factory (options, setting) -> function; imports TensorFlow, not its module.
        arrays: factory of the same for NumPy arrays; None: it is for tf.data alone.
        stage: what the function takes.
        stream: number, unlike any other's, that keeps its chances apart: `chance.chances` hashes
            (seed, epoch, source index, stream * 16 + k) for the k-th number, of 16 at most.
        place: among the keys and, within its stage, in the order that they are applied in.
        held: name and bytes of the tables that it holds, of (T, C); for the memory plan.
        always_recorded: whether a configuration's record, and with it a run's name, holds the keys
            even where the augmentation is at its defaults: so for those of version 0.1. Those of
            any other are recorded once one differs, so that a new one renames no run.
    """

    name: str
    options: type[Options]
    make: Callable[[Any, Setting], Apply]
    stage: Stage
    stream: int
    arrays: Callable[[Any, Setting], ApplyArrays] | None = None
    place: int = 100
    held: tuple[str, Callable[[int, int], int]] | None = None
    always_recorded: bool = False

    @property
    def keys(self) -> dict[str, str]:
        """Key of the configuration -> option."""
        return {f"{self.name}_{option}": option for option in self.options.model_fields}

    def chosen(self, section: BaseModel) -> Options:
        """Its options in a section `augment`; defaults where the section is older than it."""
        found = {
            option: getattr(section, key)
            for key, option in self.keys.items()
            if hasattr(section, key)
        }
        return self.options(**found)


_REGISTERED: dict[str, Augmentation] = {}


def register(augmentation: Augmentation) -> None:
    """Make an augmentation known, under its name.

    Raises:
        ValueError: its name, its keys or its stream are another's.
    """
    if augmentation.stream == VIEW_STREAM:
        raise ValueError(f"stream = {VIEW_STREAM} is taken by the views of an evaluation.")
    for other in _REGISTERED.values():
        if other == augmentation:
            return
        if other.name == augmentation.name or other.keys.keys() & augmentation.keys.keys():
            raise ValueError(f"There is an augmentation {other.name!r} with such keys already.")
        if augmentation.stream == other.stream:
            raise ValueError(f"stream = {augmentation.stream} is taken by {other.name!r}.")
    _REGISTERED[augmentation.name] = augmentation


def unregister(name: str) -> None:
    """Forget an augmentation."""
    del _REGISTERED[name]


def registered() -> tuple[Augmentation, ...]:
    """All augmentations, in the order of their places."""
    _load_package()
    return tuple(sorted(_REGISTERED.values(), key=lambda each: (each.place, each.name)))


def chosen(section: BaseModel, *stages: Stage) -> list[tuple[Augmentation, Options]]:
    """The augmentations of some stages that a section `augment` turns on, in order."""
    found = [(each, each.chosen(section)) for each in registered() if each.stage in stages]
    return [(each, options) for each, options in found if options.on]


def unrecorded_keys(values: Mapping[str, Any]) -> set[str]:
    """Keys of a section that its record leaves out: of what stands at its defaults and is new."""
    return {
        key
        for each in registered()
        if not each.always_recorded
        and all(
            values.get(key, field.default) == field.default
            for key, field in zip(each.keys, each.options.model_fields.values(), strict=True)
        )
        for key in each.keys
    }


@cache
def _load_package() -> None:
    """Import every file beside this one: declarations register themselves."""
    package = __name__.rpartition(".")[0]
    path = importlib.import_module(package).__path__
    for module in pkgutil.iter_modules(path):
        if module.name not in HELPERS:
            importlib.import_module(f"{package}.{module.name}")
