"""Stores that grow: what each part holds, how several are one, and where parts stand."""
