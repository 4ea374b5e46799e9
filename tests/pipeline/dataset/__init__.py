"""Tests of the library's data set."""
