"""The sections of a configuration: their keys, what a value may be, and the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
)

from headrace.model.options import NetworkOptions
from headrace.pipeline.augmentations.registry import Strength
from headrace.pipeline.config.marks import Affects, Resource, Says
from headrace.pipeline.functions.reference import malformed
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import Place, local, place_of
from headrace.stores.marks import AddedLater

VIEWS = r"identity|noise(:\d*\.?\d+)?|scale:\d*\.?\d+"
"""Pattern of the names of views: `noise:SD`, `scale:FACTOR`."""


class Section(BaseModel):
    """A section of the configuration: frozen, and unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def _local(path: Any) -> Any:
    """Refuse what names another machine, and may hold a password, and what no file is called."""
    return local(path) if isinstance(path, str) else path


def _placed(place: Any) -> Any:
    if isinstance(place, str):
        return place_of(place)
    if isinstance(place, (Path, ObjectPath)):
        return place
    raise ValueError("a path or an address is wanted, such as data/my.h5 or s3://bucket/my.h5")


LocalPath = Annotated[Path, BeforeValidator(_local)]
AnyPlace = Annotated[Place, PlainValidator(_placed), PlainSerializer(str, when_used="json")]


class PathOptions(Section):
    """Where things are, when the command line does not say; relative to the working directory.

    An object store is named by an address: `s3://BUCKET/NAME`, `gs://BUCKET/NAME` or
    `az://CONTAINER/NAME`.
    """

    data: AnyPlace | None = None
    """The source: a file, a folder, a pattern of files or a table of them."""
    store: AnyPlace | None = None
    """The Zarr store; default: `data/<name>.zarr`, name being the config's or the source's."""
    other_stores: tuple[AnyPlace, ...] = ()
    """Stores that are read as one with `store`: `--store` may be given several times."""
    parts: int | tuple[int, ...] | None = None
    """How many parts are read of a store that grew, from the first on; of several stores a number
    each. Default: all. A run records those that it began with, and goes on with them."""


class StoreOptions(Section):
    """Geometry and codec of the store.

    The defaults come from the window's shape alone. For windows of 128 x 9 float32 (4.5 KiB):
    chunk 128 windows (576 KiB, the unit of reading), shard 8,192 (36 MiB, the unit of writing and
    of a task), block 64 consecutive source windows (128 blocks are gathered into one shard).
    """

    raw: Annotated[Literal["windows", "stretches"] | None, AddedLater] = None
    """What `raw` holds of recordings whose windows overlap: each window, or stretches of signal
    that windows are cut from as they are read, which hold each sample about twice. Default:
    stretches where they take half of the bytes or less. Named, both have their rows in the same
    order, and give the same batches."""
    stretch_windows: Annotated[int | None, Field(default=None, ge=1), AddedLater] = None
    """Windows of a stretch; default: as many as steps go into a window, 32 at most. Longer ones
    take less of the disk and mix less."""
    new_classes: Annotated[Literal["refuse", "add"], Affects.NO_RESULT] = "refuse"
    """What becomes of a class that `features --append`, or another `--store`, brings, and that the
    store has not: refused, as it may be another spelling, or added behind the others."""
    raw_dtype: Literal["source", "float16", "float32", "float64"] = "source"
    """Stored type of `raw`: the source's own (float32 when resampled), or a chosen one."""
    chunk_windows: int | None = Field(default=None, ge=1)
    """Windows of a chunk, the unit of reading; default: a power of two, within 0.75 MiB."""
    shard_windows: int | None = Field(default=None, ge=1)
    """Windows of a shard, the unit of writing and of a task; default: 64 chunks. Halve it if a
    worker's shard is too large for the budget."""
    block_windows: int | None = Field(default=None, ge=1)
    """Consecutive source windows that stay together when shards are gathered; default: half a
    chunk. Larger blocks read faster and mix less."""
    compressor: Literal["lz4", "zstd"] = "lz4"
    """LZ4 decodes 2-4 times faster than zstd; zstd makes the store some 10 % smaller."""
    level: int = Field(default=1, ge=0, le=9)
    """Of the compressor. Sensor noise does not compress: higher levels cost time for a percent."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the physical shuffle."""


class FoldOptions(Section):
    """How groups are divided into the folds that the store is ordered by."""

    count: int | None = Field(default=None, ge=2)
    """Stored folds; default 10, or the number of groups if that is less."""
    by: Literal["balance", "group"] = "balance"
    """`balance` spreads classes and sizes; `group` makes one fold of each group."""
    test_groups: tuple[str | int, ...] = ()
    """Names of the groups of an official test part."""
    like: Annotated[AnyPlace | None, Affects.NO_RESULT] = None
    """A store whose folds a new one has: groups that it knows keep theirs, and others are spread
    over them, so that scores of both are of the same splits. The folds are recorded."""


class SplitOptions(Section):
    """Which stored folds test and validate."""

    folds: int | None = Field(default=None, ge=3)
    """k of the k-fold split, default 5 or the stored folds if fewer: stored folds floor(jn/k) to
    floor((j+1)n/k)-1 make fold j. Plays no part where the source's own test part is tested."""
    test_fold: int = Field(default=0, ge=0)
    """Which of the k folds is the test fold of `train` (a source with a test part uses that)."""
    inside_training: bool = False
    """Leave an official test part alone and split the training part; cross-validation does."""


class FeatureOptions(Section):
    """What is extracted of each window, and by how many processes."""

    triads: dict[str, tuple[str, str, str]] = Field(default_factory=dict)
    """Name -> its three channels: `{acc = ["acc_x", "acc_y", "acc_z"]}`; none is assumed."""
    accelerometers: tuple[str, ...] = ()
    """The triads that measure gravity; they get pitch, roll and angles too."""
    select: tuple[str, ...] = ("*",)
    """Names or globs; a leading `!` excludes. Empty: no features, the store holds raw only;
    `["!*"]` says the same."""
    custom: tuple[str, ...] = ()
    """Your own functions, `"module:function"`: (windows (n, T, C), rate_hz) -> (n, k)."""
    workers: Resource[int | None] = Field(default=None, ge=1)
    """Worker processes; default: one a core, fewer if the budget asks for it."""

    @field_validator("select")
    @classmethod
    def _none_or_some(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return () if given == ("!*",) else given


class StreamOptions(Section):
    """How batches come out of the store. Recorded in the run at its first start."""

    buffer_chunks: int | None = Field(default=None, ge=1)
    """Chunks read together and shuffled as one buffer; default 32, of a store of stretches 128."""
    drop_remainder: bool = False
    """Drop the last, partial batch of an epoch."""
    jitter: Annotated[bool, AddedLater] = False
    """Of a store of stretches: windows of a training begin up to half a step earlier or later, at
    random in each epoch, where label and stretch go on. Features stay those of the window."""
    read_threads: Resource[int] = Field(default=2, ge=1)
    """Buffers read ahead at a time, each held in memory; fewer if the budget asks."""
    prefetch_batches: Resource[int] = Field(default=32, ge=2)
    """Finished batches that wait for a step; fewer if the budget asks."""
    index_cache: Resource[ByteSize | None] = Field(default=None, gt=0)
    """Bytes of indexes kept: of 1,000 shards, fewer if the budget asks."""


def _named_well(reference: str) -> str:
    if said := malformed(reference):
        raise ValueError(said)
    return reference


OwnFunction = Annotated[str, AfterValidator(_named_well)]
"""A function of the user's: in a file of the configuration's folder, or installed."""
OptionalFunction = Annotated[
    OwnFunction | None, BeforeValidator(lambda given: None if given == "" else given)
]
"""One that an empty text takes back."""


class ModelOptions(NetworkOptions):
    """The network: the default's shape and regularisation, or one of your own.

    The default is of two branches, about 160,000 parameters as it stands. For a network of your
    own `inputs`, `feature_scaling` and `mixed_precision` hold too, and `auxiliary_weight` unless
    it is compiled; the other keys play no part.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    build: Annotated[OptionalFunction, AddedLater] = None
    """Your own network, `"module:function"`: (inputs, target) -> Keras model. `net:build` is
    `build` in `net.py` in the configuration's folder; an installed module's function is named in
    full: `headrace.model.zoo.inception:build`. Empty: the default network."""


class CodeOptions(Section):
    """Where your own functions are, and what they were. A run fills both in."""

    folder: Resource[LocalPath | None] = None
    """Where `module:function` is looked for first; default: the configuration's folder."""
    sources: Annotated[dict[str, str], AddedLater] = Field(default_factory=dict)
    """File or module -> digest of its content: an edited file makes another run."""


class EvaluateOptions(Section):
    """Evaluation with test-time augmentation, streamed."""

    views: Annotated[
        tuple[Annotated[str, Field(pattern=f"^({VIEWS})$")], ...],
        Says("a view is identity, noise, noise:SD or scale:FACTOR"),
    ] = Field(default=("identity", "noise", "scale:0.95"), min_length=1)
    """Views averaged: `identity`, `noise` or `noise:SD`, `scale:FACTOR`."""
    noise_strength: Strength = 0.05
    """Standard deviation of the view `noise`, in standard deviations of the channel."""
    max_windows: int | None = Field(default=None, ge=1)
    """Evaluate the first windows of each fold only, in proportion (rows are shuffled)."""
    batch: int = Field(default=512, ge=1)
    """Windows predicted at a time, all their views at once."""
    mistakes: int = Field(default=20, ge=0)
    """How many of the most confident mistakes are kept."""
    baseline_windows: int = Field(default=20_000, ge=1)
    """Training rows that the classic baseline may hold."""


class MemoryOptions(Section):
    """The budget: the most that a stage's whole process tree may hold."""

    budget: ByteSize | None = Field(default=None, gt=0)
    """Bytes, or text such as "1.5GiB"; default: three quarters of the available memory."""


class ClusterOptions(Section):
    """Where `features` makes its shards."""

    scheduler: Annotated[
        str | None,
        Field(pattern=r"^(tcp|tls)://[^\s@/]+:\d+$"),
        Says("an address is wanted, such as tcp://host:8786 or tls://host:8786"),
    ] = None
    """Address of a Dask scheduler, tcp:// or tls://; default: processes on this machine. Its
    workers need Headrace in this version, and the source and the store at the same paths."""
    memory_limit: ByteSize | None = Field(default=None, gt=0)
    """Of each process on this machine, which is ended and started again above it; default: none,
    as the plan bounds them."""
    tls_ca_file: LocalPath | None = None
    """Certificate of the authority that signed the scheduler's, PEM."""
    tls_certificate: LocalPath | None = None
    """This client's certificate, PEM."""
    tls_key: LocalPath | None = None
    """Its key, PEM, if it is in another file."""
