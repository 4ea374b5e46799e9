"""Options of the network and of its optimisation: the `[model]` and `[optimiser]` of a config."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Width = Annotated[int, Field(ge=1, le=4096)]


class NetworkOptions(BaseModel):
    """Shape and regularisation of the two-branch network; about 160,000 parameters as it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    inputs: Literal["hybrid", "raw", "features"] = Field(
        default="hybrid",
        description="Branches to build: both, or one alone. A store without features "
        "(`features.select = []`) has raw alone, unless this says otherwise, which is refused.",
    )
    filters: Width = Field(default=64, description="Filters of the stem and of every block.")
    stem_kernel: Width = Field(default=9, description="Samples that one stem filter sees.")
    stem_stride: Width = Field(
        default=4,
        description="Samples per step after the stem: 128 samples at stride 4 leave 32 steps. "
        "Lower it for windows of fewer than 64 samples; cost grows as its inverse.",
    )
    kernel: Width = Field(default=5, description="Taps of every separable convolution.")
    dilations: tuple[Width, ...] = Field(
        default=(1, 2, 4, 8),
        description="One residual block of two convolutions each. The defaults see "
        "2 x (5 - 1) x 15 + 1 = 121 steps, the whole window at 484 samples or fewer.",
    )
    l2: float = Field(default=1e-5, ge=0.0, description="L2 on depthwise and pointwise kernels.")
    spatial_dropout: Rate = Field(default=0.1, description="Share of filters dropped per block.")
    dropout: Rate = Field(default=0.3, description="Dropout after pooling and every dense layer.")
    feature_dropout: Rate = Field(default=0.1, description="Share of the features dropped.")
    feature_units: tuple[Width, ...] = Field(
        default=(256, 128), description="Widths of the dense layers of the feature branch."
    )
    fusion_units: Width = Field(default=64, description="Width of the layer that joins both.")
    auxiliary_weight: float = Field(
        default=0.3, ge=0.0, description="Weight of each branch's own loss, hybrid only."
    )
    feature_scaling: Literal["quantile", "standard"] = Field(
        default="quantile",
        description="Map features to a normal distribution by their quantiles, or standardise.",
    )
    mixed_precision: bool = Field(
        default=False, description="Compute in float16, keep weights in float32. For GPUs."
    )

    @model_validator(mode="after")
    def _has_layers(self) -> NetworkOptions:
        if self.inputs != "features" and not self.dilations:
            raise ValueError("dilations is empty: name at least one block, or inputs = 'features'")
        if self.inputs != "raw" and not self.feature_units:
            raise ValueError("feature_units is empty: name at least one, or inputs = 'raw'")
        return self


class OptimiserOptions(BaseModel):
    """AdamW with one warm-up epoch and a cosine to one percent, and an average of the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    learning_rate: float = Field(default=2e-3, gt=0.0, description="Peak, after the warm-up.")
    final_fraction: float = Field(
        default=0.01, ge=0.0, le=1.0, description="Last learning rate, as a share of the peak."
    )
    warmup_epochs: float = Field(default=1.0, ge=0.0, description="Epochs of linear warm-up.")
    weight_decay: float = Field(
        default=0.01, ge=0.0, description="AdamW's; not on biases or batch normalisation."
    )
    clip_norm: float = Field(default=1.0, gt=0.0, description="Largest norm of one gradient.")
    average: float = Field(
        default=0.99,
        ge=0.0,
        lt=1.0,
        description="Momentum of the weight average that is validated and kept: 0.99 spans "
        "about 1 / (1 - 0.99) = 100 steps; 0 keeps none.",
    )
    settable: bool = Field(
        default=False,
        description="A constant learning rate is a variable, which callbacks may set.",
    )
    label_smoothing: float = Field(
        default=0.05, ge=0.0, lt=1.0, description="Share of each label spread over all classes."
    )
