"""Dask workers, of this machine or of a cluster, and the flow of tasks through them."""
