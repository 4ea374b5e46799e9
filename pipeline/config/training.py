"""The section `train`: the recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from headrace.pipeline.config.marks import Affects, Resource
from headrace.pipeline.config.sections import LocalPath, OptionalFunction, OwnFunction, Section
from headrace.stores.marks import AddedLater


class TrainOptions(Section):
    """The training recipe."""

    epochs: int = Field(default=30, ge=1)
    """At most; the cosine of the learning rate spans them all."""
    steps_per_epoch: int | None = Field(default=None, ge=1)
    """Truncates every epoch; each still has its own order."""
    batch: int = Field(default=128, ge=1)
    """Windows of a step. Activations grow with it, as `headrace plan` shows."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Of the weights, the order of rows, augmentation and dropout."""
    deterministic: bool = True
    """Same bits from the same seed on a CPU (op determinism)."""
    threads: Annotated[int | None, Affects.LAST_BITS] = Field(default=None, ge=1)
    """Threads of TensorFlow's kernels; default: the cores at the run's first start, recorded in
    it."""
    devices: Annotated[int, AddedLater] = Field(default=1, ge=1)
    """GPUs that share the rows of each batch, by MirroredStrategy. Without one, parts of the CPU:
    slower than one, to try it out. Loss and weights are those of one device, but for rounding and
    dropout's draws."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak of AdamW's, after the warm-up. Lower it if the loss is no longer finite."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's; not on biases or batch normalisation."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of one gradient."""
    warmup_epochs: float = Field(default=1.0, ge=0)
    """Epochs in which the learning rate rises to its peak."""
    final_learning_rate: float = Field(default=0.01, ge=0, le=1)
    """Last learning rate of the cosine, as a fraction of the first."""
    average: float = Field(default=0.99, ge=0, lt=1)
    """Momentum of the moving average of weights (0: none)."""
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    """Share of a label that is spread over all classes: a little helps where labels err."""
    balance: Literal["none", "class", "group"] = "none"
    """Sampling: every row once an epoch, or rows drawn from each buffer so that all classes, or
    all groups, come equally often; rare ones repeat, each time augmented differently, at most
    about 32 times in a buffer. What has fewer windows than an epoch has buffers stays rarer."""
    class_weight_power: float = Field(default=0.0, ge=0, le=1)
    """Sample weight = count of its class ** -power, scaled to mean 1 (0: none, 1: balanced)."""
    patience: int = Field(default=15, ge=1)
    """Early stopping: epochs without a better validation loss."""
    refit: bool = False
    """Train once more, from the start, on training and validation groups together, for as many
    epochs as the first training ran, and keep the last average of weights. Twice the time; worth
    it where groups are few: on the watch data validation takes one subject in nine."""
    loss: Annotated[OptionalFunction, AddedLater] = None
    """Your own loss, `"module:function"`: a Keras loss (called without arguments it gives one), or
    a function of labels (B, K) and probabilities (B, K). Default, or empty: cross-entropy."""
    metrics: Annotated[tuple[OwnFunction, ...], AddedLater] = ()
    """Your own metrics, each named and given like a loss; logged for training and validation."""
    callbacks: Annotated[tuple[OwnFunction, ...], AddedLater] = ()
    """Keras callbacks, each `"module:function"` that gives one: of nothing, or of the run's folder
    if it takes an argument."""
    initial: Resource[LocalPath | None] = None
    """Begin with the weights of another run, its folder, or of a model, its file: of each layer of
    the same name and shapes. `initial_weights` says which they were."""
    initial_weights: Annotated[str | None, AddedLater] = None
    """Digest of that model; filled in by the run, whose name it is a part of."""
    freeze: Annotated[tuple[str, ...], AddedLater] = ()
    """Layers that are not trained, by name; globs, such as `["stem*"]`."""
    tensorboard: Resource[bool] = True
    """Write TensorBoard's events into the run."""
    state_steps: Resource[int | None] = Field(default=None, ge=1)
    """Steps from one writing of the state, which an interrupted training goes on from, to the
    next; default: as many as keep the writing at half a percent of the time."""

    @model_validator(mode="after")
    def _shared_alike(self) -> TrainOptions:
        if self.batch % self.devices:
            raise ValueError(
                f"devices = {self.devices} cannot share batch = {self.batch} alike: make it a "
                "multiple"
            )
        return self

    @model_validator(mode="after")
    def _called_back_once(self) -> TrainOptions:
        if self.refit and self.callbacks:
            raise ValueError(
                "refit and callbacks do not go together: nothing is validated in the second "
                "training, and what callbacks did in the first would be left out of it. Keep one"
            )
        return self

    @model_validator(mode="after")
    def _balanced_once(self) -> TrainOptions:
        if self.balance != "none" and self.class_weight_power > 0:
            raise ValueError(
                f'balance = "{self.balance}" and class_weight_power = {self.class_weight_power:g} '
                "both make up for rare classes: keep one of them"
            )
        return self
