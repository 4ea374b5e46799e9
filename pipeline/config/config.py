"""The configuration: every section together, frozen and validated, and what it decides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_validator,
)

from headrace.pipeline.config.augment import AugmentOptions, augment_section, with_known_keys
from headrace.pipeline.config.marks import Affects, Resource, Says, affects, left_out
from headrace.pipeline.config.sections import (
    ClusterOptions,
    CodeOptions,
    EvaluateOptions,
    FeatureOptions,
    FoldOptions,
    MemoryOptions,
    ModelOptions,
    PathOptions,
    Section,
    SplitOptions,
    StoreOptions,
    StreamOptions,
)
from headrace.pipeline.config.training import TrainOptions
from headrace.stores.io.object_options import ObjectOptions
from headrace.stores.io.object_path import ObjectPath
from headrace.stores.io.places import storage_of
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.target_options import TargetOptions


class Config(Section):
    """Everything a stage needs to know; `name` is the config file's stem or the source's."""

    name: Annotated[
        str,
        Field(pattern=r"^[^/\\\x00-\x1f\x7f]*[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]*$"),
        Says("a name of letters and digits is wanted: it names folders"),
    ] = "default"
    paths: Resource[PathOptions] = PathOptions()
    source: Annotated[SourceOptions, Affects.STORE] = SourceOptions()
    target: Annotated[TargetOptions, Affects.STORE] = TargetOptions()
    store: Annotated[StoreOptions, Affects.STORE] = StoreOptions()
    folds: Annotated[FoldOptions, Affects.STORE] = FoldOptions()
    split: Annotated[SplitOptions, Affects.RUN] = SplitOptions()
    features: Annotated[FeatureOptions, Affects.STORE] = FeatureOptions()
    stream: Annotated[StreamOptions, Affects.RUN] = StreamOptions()
    augment: Annotated[
        SerializeAsAny[AugmentOptions], BeforeValidator(with_known_keys), Affects.RUN
    ] = Field(default_factory=lambda: augment_section()())
    model: Annotated[ModelOptions, Affects.RUN] = ModelOptions()
    train: Annotated[TrainOptions, Affects.RUN] = TrainOptions()
    code: Annotated[CodeOptions, Affects.RUN] = CodeOptions()
    evaluate: Annotated[EvaluateOptions, Affects.SCORES] = EvaluateOptions()
    memory: Resource[MemoryOptions] = MemoryOptions()
    cluster: Resource[ClusterOptions] = ClusterOptions()
    objects: Resource[ObjectOptions] = ObjectOptions()

    @model_validator(mode="after")
    def _test_fold_exists(self) -> Config:
        if self.split.folds is not None and self.split.test_fold >= self.split.folds:
            raise ValueError(
                f"split.test_fold = {self.split.test_fold} must be below "
                f"split.folds = {self.split.folds}"
            )
        return self

    @model_validator(mode="after")
    def _shares_whole_numbers(self) -> Config:
        if self.train.devices > 1 and self.model.mixed_precision:
            raise ValueError(
                "model.mixed_precision and train.devices > 1 do not go together: Keras' scaling of "
                "the loss does not survive the sharing. Keep one of them"
            )
        return self

    @model_validator(mode="after")
    def _reaches_its_places(self) -> Config:
        object.__setattr__(self, "paths", self.reached().paths)
        return self

    @model_validator(mode="after")
    def _reads_its_target(self) -> Config:
        own = self.source.target
        if own not in (self.target, TargetOptions()):
            raise ValueError("source.target is a section of its own: write [target]")
        object.__setattr__(self, "source", self.targeted().source)
        return self

    @field_serializer("source", mode="wrap")
    def _source_alone(
        self, source: SourceOptions, write: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        """Without the target, which is a section of its own."""
        found: dict[str, Any] = write(source)
        found.pop("target", None)
        return found

    def targeted(self) -> Config:
        """A copy whose source is read as `target` says."""
        if self.source.target == self.target:
            return self
        source = self.source.model_copy(update={"target": self.target})
        return self.model_copy(update={"source": source})

    def reached(self) -> Config:
        """A copy whose addresses are reached as `objects` says."""
        placed: dict[str, Any] = {
            key: place.using(self.objects)
            for key in ("data", "store")
            if (place := getattr(self.paths, key)) is not None and storage_of(place).is_remote
        }
        if self.paths.other_stores:
            placed["other_stores"] = tuple(
                place.using(self.objects) if isinstance(place, ObjectPath) else place
                for place in self.paths.other_stores
            )
        return self.changed("paths", **placed)

    def changed(self, section: str, **keys: Any) -> Config:
        """A copy with other values of some keys of a section."""
        changed = getattr(self, section).model_copy(update=keys)
        return self.model_copy(update={section: changed}).targeted()

    def store_keys(self) -> dict[str, Any]:
        """The keys that decide the store's bytes (never the workers or the paths)."""
        return self._keys_of(Affects.STORE)

    def run_keys(self) -> dict[str, Any]:
        """The keys that, with the store's fingerprint, decide a training run's result.

        Not `train.threads`, which comes from the machine: the run records them, to be resumed with
        the same.
        """
        return self._keys_of(Affects.RUN)

    def _keys_of(self, result: Affects) -> dict[str, Any]:
        """JSON-able: section -> its keys that `result` is decided by."""
        sections = {
            name: getattr(self, name)
            for name, field in Config.model_fields.items()
            if affects(field) is result
        }
        found = self.model_dump(
            mode="json",
            include=set(sections),
            exclude={name: left_out(section) for name, section in sections.items()},
        )
        # A section that came later is left out like its keys; that labels are classes was all
        # that there was.
        return {name: keys for name, keys in found.items() if keys and keys != {"kind": "class"}}


def digest(keys: Mapping[str, Any]) -> str:
    """Hex digest (16 digits of SHA-256) of JSON-able keys, independent of their order."""
    text = json.dumps(keys, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
