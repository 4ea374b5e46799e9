"""Mirrors stores/source/formats."""
