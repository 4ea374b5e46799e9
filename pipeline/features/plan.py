"""What a store will be, decided before any data is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.pipeline.config.config import Config
from headrace.pipeline.config.functions import code_folder
from headrace.pipeline.console import QUIET, Console
from headrace.pipeline.features.catalogue import make_catalogue
from headrace.pipeline.features.grown import known_folds, require_part, require_windows
from headrace.pipeline.features.memory import (
    PIECES,
    Making,
    plan_features,
    require_limit,
    worker_need,
)
from headrace.pipeline.features.raw_form import is_of_windows, raw_form
from headrace.pipeline.memory.plan import MemoryPlan
from headrace.pipeline.workers.cluster import WorkerNeed
from headrace.stores.build.build import layout_of
from headrace.stores.build.writers import writer_versions
from headrace.stores.io.places import Place
from headrace.stores.layout.fold_index import FoldIndex
from headrace.stores.layout.grow import KnownFolds
from headrace.stores.layout.layout import Geometry, make_geometry
from headrace.stores.layout.stretches import most_in_shards, raw_chunk_rows, whole_chunks
from headrace.stores.layout.survey import Survey, signal_borders, survey_source
from headrace.stores.manifest import Manifest, format_of
from headrace.stores.parts.join import refuse_spellings
from headrace.stores.source.files.census import Census
from headrace.stores.source.files.record import KEY
from headrace.stores.source.source import Source
from headrace.stores.spec import WindowSpec
from headrace.stores.store import open_store
from headrace.stores.target import Target

if TYPE_CHECKING:
    from headrace.pipeline.catalogue import Catalogue
    from headrace.stores import Store


@dataclass(frozen=True)
class StoreDraft:
    """A store before the labels of its source are surveyed: enough to plan memory with.

    Attributes:
        manifest: without folds; every window of the source may be in it.
        catalogue: its kernels; None without features.
    """

    manifest: Manifest
    catalogue: Catalogue | None


def plan_store(
    config: Config,
    source: Source,
    draft: StoreDraft | None = None,
    console: Console = QUIET,
    known: KnownFolds | None = None,
) -> tuple[Manifest, Survey]:
    """Everything about the store of `source` that is decided before data is read.

    Args:
        config, source: of the store.
        draft: `draft_store` of them, if it is there already: it reads the tables of the source.
        console: where progress is shown, if every window is looked at for NaN.
        known: folds that groups have already; None: those of `folds.like`, if it names a store.

    Raises:
        UserError: the configuration does not suit the source.
    """
    drafted, folds = (draft or draft_store(config, source)).manifest, config.folds
    known = known or _liked(config, source)
    target = drafted.target.counted_like(known.target if known is not None else None)
    looking = console if source.options.non_finite == "drop" else QUIET
    window = drafted.spec.stored_bytes
    with looking.progress("looking for NaN", source.windows, window) as progress:
        survey = survey_source(
            source,
            folds.count,
            folds.by,
            folds.test_groups,
            drafted.block,
            progress.advance,
            known,
            target,
        )
    manifest = drafted.of_target(target).model_copy(
        update={
            "windows": survey.folds[-1].stop,
            "folds": survey.folds,
            "dropped": tuple((int(low), int(high)) for low, high in survey.dropped),
        }
    )
    if manifest.stretches:
        layout = layout_of(manifest, survey.index)
        most = int(most_in_shards(layout, signal_borders(source, survey)).max())
        most = whole_chunks(most, manifest.raw_chunk)
        manifest = manifest.model_copy(update={"stretches": most})
    return manifest, survey


def _liked(config: Config, source: Source) -> KnownFolds | None:
    like = config.folds.like
    if like is None:
        return None
    known = known_folds(open_store(like))
    refuse_spellings(known.fold_of, map(str, source.groups), str(source.path))
    return known


@dataclass(frozen=True)
class PlannedBuild:
    """A store that is to be made, and what making it takes.

    Attributes:
        manifest, index: of the store.
        memory: the plan, which fits.
        workers: processes.
        need: what each of them takes.
        census: what was found in many files.
    """

    manifest: Manifest
    index: FoldIndex
    memory: MemoryPlan
    workers: int
    need: WorkerNeed
    census: Census | None

    @property
    def kept_pieces(self) -> int:
        """Bytes of decoded pieces of the source that each worker keeps."""
        return self.memory.buffers.get(PIECES, 0) // max(1, self.workers)


def plan_build(
    config: Config,
    source: Source,
    console: Console,
    uploads: bool = False,
    target: Place | None = None,
    base: Store | None = None,
    known: KnownFolds | None = None,
) -> PlannedBuild:
    """Plan the store of `source`, refusing what does not fit as early as possible.

    Args:
        config, source: of the store.
        console: where progress is shown.
        uploads: shards are written as objects.
        target: where it stands, or will stand; what is there keeps its form.
        base: what stands already of the store that it is to be a part of; it keeps its form too.
        known: folds that groups have already; None: those of `base`, if there is one.

    Raises:
        UserError: the configuration does not suit the source or the memory, or the source not the
            store.
    """
    form_of = target if base is None else base.path
    if base is not None:
        require_windows(base, _stored_spec(source, config), source)
    like = base.target if base is not None else known.target if known is not None else None
    draft = draft_store(config, source, form_of is not None and is_of_windows(form_of), like)
    if base is not None:
        require_part(base, draft.manifest, source, config.store.new_classes == "add")
        known = known or known_folds(base)
    if source.options.non_finite == "drop":  # The survey will look at every window.
        drafted = Making(draft.manifest, draft.catalogue, source, 0, uploads)
        plan_features(config, drafted)[0].require_fit()
    manifest, survey = plan_store(config, source, draft, console, known)
    making = Making(manifest, draft.catalogue, source, survey.index.nbytes, uploads)
    memory, workers = plan_features(config, making)
    need = worker_need(making)
    require_limit(config, need)
    fitting = memory.require_fit()
    return PlannedBuild(manifest, survey.index, fitting, workers, need, source.census)


def draft_store(
    config: Config, source: Source, as_windows: bool = False, like: Target | None = None
) -> StoreDraft:
    """The store of `source` but for its folds; see `raw_form` for `as_windows`.

    Args:
        config, source: of the store.
        as_windows: what is there holds windows.
        like: target of the store that it is a part of: values are counted in its bins.

    Raises:
        UserError: the configuration does not suit the source.
    """
    options = config.store
    target = source.target if like is None else source.target.counted_like(like)
    spec = _stored_spec(source, config)
    asked = config.features.model_dump()
    catalogue = make_catalogue(asked, spec.channels, spec.rate_hz, spec.time, code_folder(config))
    form = raw_form(source, options, as_windows)
    geometry = make_geometry(
        spec.stored_bytes,
        options.chunk_windows,
        options.shard_windows,
        options.block_windows,
        widest=0 if catalogue is None else 4 * len(catalogue.names),
        stretch=form.stretch,
    )
    manifest = Manifest(
        format_version=format_of(form.stretch, target),
        source=described(source),
        config=targeted_keys(config, target),
        writers=writer_versions(),
        windows=source.windows,
        time=spec.time,
        channels=spec.channels,
        units=spec.units,
        rate_hz=spec.rate_hz,
        raw_dtype=spec.dtype.name,
        channel_scale=spec.scale,
        features=() if catalogue is None else catalogue.names,
        classes=target.classes,
        groups=tuple(str(name) for name in source.groups),
        grouped=source.grouped,
        located=source.layout == "recordings",
        folds=(),
        chunk=geometry.chunk,
        shard=geometry.shard,
        block=geometry.block,
        compressor=options.compressor,
        level=options.level,
        stretch=form.stretch,
        step=form.step,
        stretches=_uncounted(geometry) if form.cut else 0,
        dropped=(),
        target=None if target.is_class else target,
    )
    return StoreDraft(manifest, catalogue)


def targeted_keys(config: Config, target: Target) -> dict[str, Any]:
    """The keys that decide a store's bytes, and which kind its target was found to be.

    Of classes it is not said, as older stores do not say it.
    """
    keys = config.store_keys()
    return (
        keys
        if target.is_class
        else keys | {"target": {**keys.get("target", {}), "kind": target.kind}}
    )


def _uncounted(geometry: Geometry) -> int:
    """Stretches of a shard before they are counted: twice as many as whole blocks make."""
    chunk = raw_chunk_rows(geometry.chunk, geometry.block)
    return whole_chunks(2 * (geometry.shard // geometry.block + 1), chunk)


def described(source: Source) -> dict[str, str | int]:
    """What a manifest says of a source; of many files each, so that what changed can be named."""
    found: dict[str, str | int] = {
        "fingerprint": source.fingerprint(),
        "layout": source.layout,
        "windows": source.windows,
        "dtype": source.spec.dtype.name,
    }
    files = source.recorded_files()
    return found if files is None else found | {KEY: files}


def _stored_spec(source: Source, config: Config) -> WindowSpec:
    """Windows as the store holds them."""
    dtype = config.store.raw_dtype
    return source.spec if dtype == "source" else replace(source.spec, dtype=np.dtype(dtype))
