"""Tests of headrace.stores.parts, and of stores of several."""
