"""`headrace.Dataset`: a store as batches of its training, validation and test folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from headrace.model.targets.weights import class_weights
from headrace.pipeline.augmentations.registry import registered
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.dataset.arguments import SECTIONS, one_of, own_names, table_of, whole
from headrace.pipeline.dataset.held import Feed
from headrace.pipeline.dataset.part import Labels, Part
from headrace.pipeline.rows.split import Split, choose_split
from headrace.pipeline.rows.statistics import fit_normaliser, sampling
from headrace.pipeline.stream.reader import Delivery
from headrace.pipeline.stream.route import input_shapes
from headrace.pipeline.stream.target import target_statistics
from headrace.stores.errors import BudgetError, ConfigError, GroupError
from headrace.stores.layout.folds import named_folds
from headrace.stores.store import Store, open_store
from headrace.stores.text import format_bytes

if TYPE_CHECKING:
    from headrace.model.normaliser import Normaliser
    from headrace.stores.io.places import Place

PARTS = ("train", "validation", "test")


class Dataset:
    """A store as batches `(inputs, target, weight)`, in bounded memory, for your own loop.

    `data["train"]` is shuffled, augmented and balanced as asked for; `data["validation"]`,
    `data["test"]` and `data.folds([...])` are all windows of their folds, once, in the order of
    the store. Everything is normalised by the statistics of the training folds alone.

    Inputs are a dict of float32 `raw` (B, T, C) and `features` (B, F); targets codes (B,) int32 or
    one-hot (B, K) float32; weights (B,) float32. The order is a function of the seed, the epoch
    and the step: any part starts at any batch, and gives the same bits as one that got there.

    Args:
        store: a store, or the path or address of one, or of several that are read as one.
        batch: B, windows of a batch.
        seed: of the order and of augmentation.
        budget: the most bytes that iterating one part may hold, a number or text such as
            "1.5GiB"; reading ahead follows from it. None: three quarters of what is free.
        inputs: arrays to deliver; None: raw, and features if the store has them.
        units: leave raw in units and features as they were extracted.
        labels: "codes", or "one-hot", which mixing needs.
        augment: keys of the section `augment`, such as {"noise_probability": 1.0}, for the
            training part; augmentations that are not named are off.
        balance: draw training rows so that all classes, or all groups, come equally often.
        class_weight_power: weight of a training window = windows of its class ** -power.
        feature_scaling: how features are normalised.
        test_fold, folds: which of how many folds tests; see `split` in the configuration.
        split: names of the folds of "train", "validation" and "test", in place of these.
        steps_per_epoch: truncates an epoch of training.
        drop_remainder: drop the last, partial batch of an epoch of training.
        buffer_chunks: chunks that are shuffled together.
        read_threads: buffers that are read ahead at a time.
        prefetch_batches: finished batches that wait, in tf.data.
        rank, ranks: which of how many processes this is. They share the windows of every part:
            each window of an epoch goes to one. With several, `drop_remainder` is on: all take as
            many training batches, and at most ranks * batch - 1 windows are left out of an epoch.

    Attributes:
        store: the store.
        split: names of the folds of each part.
        inputs: name -> shape of a window of each input: `raw` (T, C), `features` (F,).
        classes: K names behind the codes.
    """

    def __init__(
        self,
        store: Store | Place | str | Sequence[Place | str],
        *,
        batch: int = 128,
        seed: int = 0,
        budget: int | str | None = None,
        inputs: Literal["hybrid", "raw", "features"] | None = None,
        units: bool = False,
        labels: Labels = "codes",
        augment: Mapping[str, float] | None = None,
        balance: Literal["none", "class", "group"] = "none",
        class_weight_power: float = 0.0,
        feature_scaling: Literal["quantile", "standard"] = "quantile",
        test_fold: int = 0,
        folds: int | None = None,
        split: Mapping[str, Sequence[str]] | None = None,
        steps_per_epoch: int | None = None,
        drop_remainder: bool = False,
        buffer_chunks: int | None = None,
        read_threads: int | None = None,
        prefetch_batches: int | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Open the store, divide its folds, and check that the budget holds what iterating takes.

        Raises:
            UserError: there is no such store, an option is out of its range, a fold is unknown or
                in two parts, or the budget is too small.
        """
        # Before anything else: just what was given.
        self._given = {name: value for name, value in locals().items() if name != "self"}
        self._rank = (whole("rank", rank, 0), whole("ranks", ranks, 1))
        self._labels, self._units = labels, one_of("units", units, (False, True))
        with own_names():
            self.store = store if isinstance(store, Store) else open_store(store)
            self._config = config_from_table(_sections(self._given), "Dataset")
            _check(self._config, labels, units, *self._rank)
            self.inputs = input_shapes(self.store, self._config)
            self.classes = self.store.classes
            self.split = _split(self.store, self._config, self._given)
            self._parts: dict[str, Part] = {}
            self["train"].memory("numpy")

    def __getitem__(self, name: str) -> Part:
        """A part: "train", "validation" or "test".

        Raises:
            UserError: there is no such part, or it has no folds.
        """
        if name not in PARTS:
            raise GroupError(
                f"A data set has the parts {', '.join(PARTS)}, not {name!r}. Folds of your own: "
                'folds(["0", "1"]).'
            )
        if name not in self._parts:
            folds = getattr(self.split, name)
            if not folds:
                raise GroupError(f"split names no folds of {name!r}. Name some to have that part.")
            self._parts[name] = self._part(name, folds, training=name == "train")
        return self._parts[name]

    def __reduce__(self) -> tuple[Any, ...]:
        """What it was made of: another process opens the store itself."""
        return _opened, (*self.store.opened, {**self._given, "store": None})

    def folds(self, names: Sequence[str]) -> Part:
        """All windows of the named folds, once, in the order of the store.

        Raises:
            UserError: there is no such fold, one is named twice, or none is named.
        """
        if not isinstance(names, Sequence) or not names:
            raise GroupError(f'folds takes names of folds, such as ["0", "1"], not {names!r}.')
        found = tuple(fold.name for fold in named_folds(self.store.folds, names))
        return self._part(f"folds {', '.join(found)}", found, training=False)

    @cached_property
    def normaliser(self) -> Normaliser:
        """The statistics of the training folds, which every part is normalised by."""
        return fit_normaliser(self.store, self.split.train, self._config)

    def __repr__(self) -> str:
        """What it delivers, part by part, and what that holds."""
        train = self._config.train
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.inputs.items())
        lines = [f"<Dataset {self.store.path}: {shapes}, {len(self.classes)} classes, "]
        lines[0] += f"batch {train.batch}, seed {train.seed}"
        rank, ranks = self._rank
        lines[0] += f", rank {rank} of {ranks}>" if ranks > 1 else ">"
        for name in PARTS:
            if not getattr(self.split, name):
                lines.append(f"  {name}: no folds")
                continue
            part = self[name]
            folds = f"{len(part.folds)} fold{'s' * (len(part.folds) != 1)}"
            lines.append(f"  {name}: {part.counted()} in {folds}, {len(part):,} batches")
        routes: tuple[Feed, ...] = ("tf", "numpy")
        lines.append(f"  iterating train holds {', '.join(map(self._held, routes))}")
        return "\n".join(lines)

    def _held(self, feed: Feed) -> str:
        try:
            return f"{format_bytes(sum(self['train'].memory(feed).values()))} by {feed}()"
        except BudgetError:
            return f"more than the budget by {feed}()"

    def _part(self, name: str, folds: tuple[str, ...], *, training: bool) -> Part:
        config = self._config
        if not training:
            config = config.changed("stream", drop_remainder=False)
            config = config.changed("train", steps_per_epoch=None, balance="none")
            off = {f"{each.name}_probability": 0.0 for each in registered()}
            config = config.changed("augment", **off)
        return Part(
            name=name,
            store=self.store,
            folds=folds,
            labels=self._labels,
            units=self._units,
            config=config,
            delivery=partial(self._delivery, folds, training),
            shuffled=training,
            rank=self._rank,
        )

    def _delivery(self, folds: tuple[str, ...], training: bool) -> Delivery:
        weights = drawn = None
        if training:
            counts = self.store.class_counts(folds)
            weights = class_weights(counts, self._config.train.class_weight_power)
            drawn = sampling(self.store, folds, self._config.train.balance)
        return Delivery(
            normaliser=self.normaliser,
            units=self._units,
            class_weights=weights,
            one_hot=self._labels == "one-hot",
            heads=None,
            sampling=drawn,
            statistics=target_statistics(self.store, self.split.train),
        )


def _opened(paths: Sequence[Place], parts: Sequence[int], given: dict[str, Any]) -> Dataset:
    store = open_store(paths, parts=parts, new_classes=True)
    return Dataset(**{**given, "store": store})


def _sections(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are keys of a configuration, in their sections; None: its default."""
    table = {
        name: {key: given[key] for key in keys if given[key] is not None}
        for name, keys in SECTIONS.items()
    }
    # Every rank takes as many steps.
    if given["ranks"] > 1:
        table["stream"]["drop_remainder"] = True
    return table | {"augment": _none_but(table_of("augment", given["augment"]))}


def _none_but(given: Mapping[str, float]) -> dict[str, float]:
    """The section `augment` with what is not named turned off."""
    off = {
        f"{each.name}_probability": 0.0
        for each in registered()
        if not any(key.startswith(f"{each.name}_") for key in given)
    }
    return off | dict(given)


def _check(config: Config, labels: str, units: bool, rank: int, ranks: int) -> None:
    """Refuse what does not go together.

    Raises:
        UserError: says which.
    """
    if labels not in ("codes", "one-hot"):
        raise ConfigError(f'labels is "codes" or "one-hot", not {labels!r}.')
    if not 0 <= rank < ranks:
        raise ConfigError(f"rank = {rank} is not within 0 to ranks - 1 = {ranks - 1}.")
    section = config.augment
    on = {each.name for each in registered() if each.chosen(section).on}
    if "mix" in on and labels == "codes":
        raise ConfigError(
            'mix blends labels, which codes cannot hold. Set labels = "one-hot", or leave '
            "mix_probability out."
        )
    if units and "mask" in on:
        raise ConfigError(
            "mask hides samples behind the mean of a channel, which is 0 once it is normalised. "
            "Leave out units, or mask_probability."
        )


def _split(store: Store, config: Config, given: Mapping[str, Any]) -> Split:
    """The named folds, or those that the options choose.

    Raises:
        UserError: a part or fold is unknown, a fold is in two parts, or an option plays no part.
    """
    if given["split"] is None:
        return choose_split(store.folds, store.class_table, config.split)
    named: dict[str, Sequence[str]] = table_of("split", given["split"])
    chosen = [name for name in SECTIONS["split"] if given[name]]
    if chosen:
        raise ConfigError(
            f"{chosen[0]} = {given[chosen[0]]!r} plays no part, as split names the folds. Leave "
            "one of the two out."
        )
    unknown = sorted(set(named) - set(PARTS))
    if unknown or "train" not in named:
        raise GroupError(
            f"split names the folds of {', '.join(PARTS)}, train at least; it names "
            f"{', '.join(named) or 'nothing'}."
        )
    parts = {
        part: tuple(fold.name for fold in named_folds(store.folds, named.get(part, ())))
        for part in PARTS
    }
    every = [name for folds in parts.values() for name in folds]
    twice = sorted({name for name in every if every.count(name) > 1})
    if twice:
        raise GroupError(
            f"Fold {', '.join(twice)} is in two parts of split: its groups would leak. Name each "
            "in one."
        )
    return Split(**parts)
