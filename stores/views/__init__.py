"""A store as people look at it: in a notebook, as plots, tables and xarray."""
