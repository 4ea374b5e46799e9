"""The section `augment`: the options of every augmentation that is registered, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)

from headrace.pipeline.augmentations.registry import (
    Augmentation,
    Stage,
    chosen,
    registered,
    unrecorded_keys,
)
from headrace.pipeline.config.sections import OwnFunction, Section
from headrace.stores.marks import AddedLater

S = TypeVar("S", bound=Section)


class _Augmentations(Section):
    """What holds for the section, whatever keys it has."""

    custom: Annotated[tuple[OwnFunction, ...], AddedLater] = ()
    """Your own functions, `"module:function"`: (dict of arrays, seeds) -> dict, in training alone:
    normalised raw (n, T, C) and features (n, F), label (n, K); seeds int32 (n, 2)."""

    @model_validator(mode="after")
    def _paired_once(self) -> _Augmentations:
        pairs = [each.name for each, _ in chosen(self, Stage.PAIRS)]
        if len(pairs) > 1:
            raise ValueError(
                f"{' and '.join(pairs)} each blend windows with others: set all but one of "
                f"{', '.join(f'augment.{name}_probability' for name in pairs)} to 0"
            )
        return self

    @model_serializer(mode="wrap")
    def _recorded(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        unused = unrecorded_keys(vars(self)) | (set() if self.custom else {"custom"})
        return {key: value for key, value in found.items() if key not in unused}


def _with_keys(base: type[S], augmentations: Iterable[Augmentation]) -> type[S]:
    fields: dict[str, Any] = {
        key: (each.options.model_fields[option].annotation, each.options.model_fields[option])
        for each in augmentations
        for key, option in each.keys.items()
    }
    return create_model("AugmentOptions", __base__=base, __module__=__name__, **fields)


if TYPE_CHECKING:

    class AugmentOptions(_Augmentations):
        """The keys are those that are registered: mypy knows none of them."""

else:
    AugmentOptions = _with_keys(_Augmentations, registered())
    AugmentOptions.__doc__ = """
    Online augmentation of training batches; each has a probability and a strength.

    Scaling, noise and masking touch the raw branch only: features are computed once, on the
    original data. Mixing blends raw, normalised features, label and sample weight alike.
    """


def augment_section() -> type[AugmentOptions]:
    """The section with the keys of what was registered since this module was imported too."""
    known = AugmentOptions.model_fields.keys()
    later = tuple(each for each in registered() if not each.keys.keys() <= known)
    return _extended(later) if later else AugmentOptions


@lru_cache(maxsize=8)
def _extended(later: tuple[Augmentation, ...]) -> type[AugmentOptions]:
    """One class for the same augmentations, so that equal sections compare equal."""
    return _with_keys(AugmentOptions, later)


def with_known_keys(given: Any) -> Any:
    """Validate a table against all augmentations that are registered now."""
    return augment_section().model_validate(given) if isinstance(given, dict) else given
