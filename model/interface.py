"""What a network of the user's own is given, and must give: no Keras, so that anyone may ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

LABEL = "label"
"""Name of the output that counts; others are auxiliary, and serve training alone."""

Kind = Literal["class", "labels", "value", "sequence"]


@dataclass(frozen=True)
class NetworkInputs:
    """What a network takes: float32 arrays by name, normalised.

    Attributes:
        shapes: `raw` -> (T, C), T samples of C channels; `features` -> (F,). Those that
            `model.inputs` names.
        channels: C names, in the order of the last axis of raw.
        features: F names, in the order of the columns.
        rate_hz: of the samples.
    """

    shapes: Mapping[str, tuple[int, ...]]
    channels: tuple[str, ...]
    features: tuple[str, ...]
    rate_hz: float
    dtype: str = "float32"

    def tensors(self) -> dict[str, Any]:
        """A `keras.Input` for each, by name: `keras.Model(inputs.tensors(), ...)`."""
        import keras

        return {
            name: keras.Input(shape, name=name, dtype=self.dtype)
            for name, shape in self.shapes.items()
        }


@dataclass(frozen=True)
class NetworkTarget:
    """What a network gives for B windows, float32 (B, *shape).

    | kind | shape | activation | gives |
    |---|---|---|---|
    | class | (K,) | softmax | probabilities of K classes, which sum to 1 |
    | labels | (K,) | sigmoid | the probability of each of K labels |
    | value | (K,) | linear | K values, standardised: over training windows mean 0, deviation 1 |
    | sequence | (length, K) | softmax | probabilities of K classes at each step |

    Attributes:
        classes: K names, in the order of the last axis; () for values, which are no classes.
        kind: class, labels, value or sequence.
        names: K names, whatever the kind.
        units: of K values, "" where unknown; () for other kinds.
        length: steps of a sequence; 1 for other kinds.
        every: samples of a step: step i is samples i * every to (i + 1) * every - 1, and its label
            that of the middle one.

    Raises:
        ValueError: no such kind, units do not fit the names, or a length or step is below 1.
    """

    classes: tuple[str, ...] = ()
    kind: Kind = "class"
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    length: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        """Give the names that were not given: classes and names are the same but for values."""
        if self.kind not in get_args(Kind):
            raise ValueError(f"A target is one of {', '.join(get_args(Kind))}, not {self.kind!r}.")
        values = self.kind == "value"
        names = self.names or self.classes
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "classes", () if values else names)
        if values and not self.units:
            object.__setattr__(self, "units", ("",) * len(names))
        if len(self.units) != (len(names) if values else 0):
            raise ValueError(f"{len(names)} names of kind {self.kind} with {len(self.units)} units")
        if not self.keeps_time:
            object.__setattr__(self, "length", 1)
        if min(self.length, self.every) < 1:
            raise ValueError(f"A sequence of {self.length} steps of {self.every} samples")

    @property
    def count(self) -> int:
        """K."""
        return len(self.names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what a network gives for one window."""
        return (self.length, self.count) if self.keeps_time else (self.count,)

    @property
    def keeps_time(self) -> bool:
        """Whether a network gives something for each step of a window."""
        return self.kind == "sequence"

    @property
    def activation(self) -> str:
        """Activation of the last layer, as Keras names it."""
        return {"labels": "sigmoid", "value": "linear"}.get(self.kind, "softmax")
