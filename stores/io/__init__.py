"""Bytes on this disk and in object stores: whole files or none, ranges, checksums."""
