"""The feature catalogue: pure functions from windows to named columns."""

from headrace.pipeline.catalogue.build import SHORTEST_WINDOW, Catalogue, build_catalogue
from headrace.pipeline.catalogue.columns import Triad, column_names
from headrace.pipeline.catalogue.custom import FeatureFunctionError, feature_function

__all__ = [
    "SHORTEST_WINDOW",
    "Catalogue",
    "FeatureFunctionError",
    "Triad",
    "build_catalogue",
    "column_names",
    "feature_function",
]
