"""Arrays of Zarr v3 as shards: encode them, name their files, read their rows."""
