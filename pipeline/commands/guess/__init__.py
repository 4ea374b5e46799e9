"""Guesses what strangers' files are, each guess with its reason: a first configuration."""
