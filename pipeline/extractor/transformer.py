"""`headrace.FeatureExtractor`: windows in an array -> the columns that a store would hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from headrace.pipeline.catalogue import Catalogue
from headrace.pipeline.catalogue.custom import FeatureFunction
from headrace.pipeline.config.config import Config
from headrace.pipeline.config.load import config_from_table
from headrace.pipeline.extractor.windows import require_finite, require_shape, windows_of
from headrace.pipeline.features.catalogue import extract_features, make_catalogue
from headrace.stores.errors import ArrayError, ConfigError
from headrace.stores.spec import numbered_channels
from headrace.stores.units import in_units

BATCH_VALUES = 1 << 20
"""Values of a batch, if they are more than one window: 4 MiB of float32, 910 windows of 128 x 9.

Time over that of one call for all windows of 64 x 3: 256 windows 1.2, 5,461 windows 1.0.
"""


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Extract the features of windows (n, time, channel), as scikit-learn's transformers do.

    The columns, their order and their bits are those that a store has with the same options.
    `rate_hz`, `channels` and `scale` mean what the configuration's `[source]` means by them, the
    others what its `[features]` does. A row depends on its own window only, and fitting learns
    nothing but how long windows are and how many channels they have.

    Args:
        rate_hz: sampling rate, Hz. There is no default: features in Hz would be wrong.
        channels: names of the C channels; default ch0, ch1, ...
        scale: C factors that turn the values into units; default: they are in units.
        triads: name -> its three channels: `{"acc": ["ch0", "ch1", "ch2"]}`; default: none.
        accelerometers: the triads that measure gravity; they get pitch, roll and angles too.
        select: names or globs of columns; a leading `!` excludes. Empty: `custom` alone.
        custom: your own functions, decorated with `headrace.feature_function`, or
            `"module:function"` of them; their columns come last.
        n_jobs: threads, as scikit-learn counts them; default 1.

    Attributes:
        window_shape_: (time, channels) of the windows that it was fitted to.
        channels_: names of the channels.

    Example:
        ::

            extractor = headrace.FeatureExtractor(rate_hz=50, select=["*__rms", "*__iqr"])
            columns = extractor.fit_transform(windows)  # (n, 128, 9) -> (n, 18) float32
            extractor.get_feature_names_out()  # ch0__rms, ch0__iqr, ...
    """

    def __init__(
        self,
        *,
        rate_hz: float | None = None,
        channels: Sequence[str] | None = None,
        scale: Sequence[float] | None = None,
        triads: Mapping[str, Sequence[str]] | None = None,
        accelerometers: Sequence[str] = (),
        select: Sequence[str] = ("*",),
        custom: Sequence[str | FeatureFunction] = (),
        n_jobs: int | None = None,
    ) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.scale = scale
        self.triads = triads
        self.accelerometers = accelerometers
        self.select = select
        self.custom = custom
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Check the options, and note the shape of the windows; no value is looked at.

        Args:
            X: windows (n, T, C) of real numbers; T at least 8.
            y: ignored.

        Raises:
            ConfigError: an option is missing, wrong, or does not suit the number of channels.
            ArrayError: X holds no windows.
        """
        config = self._checked()
        shape = windows_of(X).shape
        time, count = int(shape[1]), int(shape[2])
        names = config.source.channels or numbered_channels(count)
        factors = config.source.scale or [1.0] * count
        for option, given in (("channels", names), ("scale", factors)):
            if len(given) != count:
                raise ConfigError(
                    f"FeatureExtractor: {option} has {len(given)} entries, X of shape "
                    f"{tuple(shape)} has {count} channels, on its last axis. Give one for each, "
                    "or X.transpose(0, 2, 1) if time comes last."
                )
        if self.n_jobs == 0:
            raise ConfigError("FeatureExtractor: n_jobs = 0; give threads, -1 for all, or None.")
        if 0 in factors:
            raise ConfigError(f"FeatureExtractor: scale = {factors}; factors must not be 0.")
        options = config.features.model_dump() | {"custom": tuple(self.custom)}
        rate_hz = config.source.rate_hz
        assert rate_hz is not None
        catalogue = make_catalogue(options, tuple(names), rate_hz, time)
        if catalogue is None:
            raise ConfigError(
                "FeatureExtractor: neither select nor custom names a column. Leave select out for "
                "all of them."
            )
        self._catalogue: Catalogue = catalogue
        self._scale = tuple(factors)
        self.channels_ = catalogue.channels
        self.window_shape_ = (time, count)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Extract the features, batch by batch: besides X and the result it holds `scratch_bytes`.

        Args:
            X: windows (n, T, C) as fitted, finite: an array, or what is cut like one (a memory
                map, an HDF5 data set, a Zarr array), which is read batch by batch.

        Returns:
            (n, F) float32; a data frame after `set_output(transform="pandas")`.

        Raises:
            NotFittedError: `fit` was not called.
            ArrayError: X has another shape, holds no real numbers, NaN or infinity.
            ConfigError: a function of `custom` failed, or returned what cannot be used.
        """
        check_is_fitted(self)
        windows = windows_of(X)
        require_shape(windows, self.window_shape_)
        out = np.empty((windows.shape[0], len(self._catalogue.names)), np.float32)
        starts = range(0, len(out), self._batch)
        if len(starts) == 1:
            self._extract(windows, 0, out)
        else:
            Parallel(n_jobs=self.n_jobs, require="sharedmem")(
                delayed(self._extract)(windows, start, out) for start in starts
            )
        return out

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> NDArray[Any]:
        """Return the names of the columns, (F,) texts.

        Args:
            input_features: None, or the names of the channels.

        Raises:
            NotFittedError: `fit` was not called.
            ArrayError: `input_features` are other names.
        """
        check_is_fitted(self)
        if input_features is not None and tuple(input_features) != self.channels_:
            raise ArrayError(
                f"input_features is not equal to channels_, {', '.join(self.channels_)}. Leave it "
                "out."
            )
        return np.array(self._catalogue.names, dtype=object)

    def scratch_bytes(self, dtype: DTypeLike = np.float32) -> int:
        """Return the most bytes that `transform` holds besides X and its result, for each thread.

        Not counted are Numba and SciPy, what functions of `custom` allocate themselves, and what
        a file behind X caches.

        Args:
            dtype: of X.

        Raises:
            NotFittedError: `fit` was not called.
        """
        check_is_fitted(self)
        given = np.dtype(dtype)
        values = self._batch * self.window_shape_[0] * self.window_shape_[1]
        units = in_units(np.empty((0, 0, 1), given), (1.0,)).dtype
        # As read, and in units before and after the factors.
        read = values * (given.itemsize + 2 * units.itemsize)
        return int(read + self._catalogue.scratch_bytes(self._batch, units))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @property
    def _batch(self) -> int:
        """Windows extracted at a time."""
        time, channels = self.window_shape_
        return max(1, BATCH_VALUES // (time * channels))

    def _extract(self, windows: Any, start: int, out: NDArray[np.float32]) -> None:
        rows = slice(start, start + self._batch)
        units = in_units(np.asarray(windows[rows]), self._scale)
        require_finite(units, start)
        extract_features(self._catalogue, units, out[rows])

    def _checked(self) -> Config:
        """The options as a configuration, but for functions that are no names.

        Raises:
            ConfigError: one has a value that the configuration would not take.
        """
        if self.rate_hz is None:
            raise ConfigError(
                "FeatureExtractor: rate_hz is missing: the sampling rate in Hz, such as "
                "FeatureExtractor(rate_hz=50)."
            )
        rate_hz: Any = self.rate_hz
        if isinstance(rate_hz, np.floating):
            rate_hz = float(str(rate_hz))  # A float32 51.2 means 51.2, not 51.2000008.
        custom = self.custom
        if isinstance(custom, (list, tuple)):
            custom = [each for each in custom if not callable(each)]
        features = {
            "triads": {} if self.triads is None else self.triads,
            "accelerometers": self.accelerometers,
            "select": self.select,
            "custom": custom,
        }
        source = {"rate_hz": rate_hz, "channels": self.channels, "scale": self.scale}
        return config_from_table({"source": source, "features": features}, "FeatureExtractor")
