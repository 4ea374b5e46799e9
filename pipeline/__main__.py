"""`python -m pipeline` is the `headrace` command."""

from __future__ import annotations

import sys

from pipeline.launch import main

sys.exit(main())
