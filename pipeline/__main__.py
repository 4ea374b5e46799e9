"""`python -m pipeline` is the `headrace` command."""

from __future__ import annotations

from pipeline.launch import main

main()
