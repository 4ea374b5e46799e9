"""The feature catalogue for arrays, as a scikit-learn transformer."""
