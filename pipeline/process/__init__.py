"""Processes of ours: their signals, their children, and the settings they start with."""
