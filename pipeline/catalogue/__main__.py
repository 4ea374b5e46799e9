"""Compile the feature kernels ahead of their use: `python -m headrace.pipeline.catalogue`."""

from __future__ import annotations

import sys
import time

from headrace.pipeline.catalogue.warm import warm_up


def main() -> int:
    """Compile, and say what is waited for."""
    print("Compiling the feature kernels (once, some ten seconds) ...", flush=True)
    started = time.perf_counter()
    warm_up()
    print(f"Feature kernels ready after {time.perf_counter() - started:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
