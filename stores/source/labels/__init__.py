"""Whose rows and windows are, and what they are called: names, classes, intervals, runs."""
