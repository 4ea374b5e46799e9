"""Run a command as on a slower machine: a share of this one's cores, no AVX-512, or both.

    python -m benchmarks.slower [--share 50] [--without-avx512] COMMAND ...

The share is a quota of the kernel's, of all cores together, for the command and all it starts;
only root may set it. AVX-512 is masked in NumPy and in compiled kernels. TensorFlow keeps it: its
library oneDNN can be told not to use it, but TensorFlow asks the processor, and float16 then fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from benchmarks.control_groups import cpu_quota
from benchmarks.timing import machine


def without_avx512() -> dict[str, str]:
    """Variables that make libraries take this processor for one that has AVX2 only."""
    from llvmlite.binding import get_host_cpu_features
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    def is_later(name: str) -> bool:
        return "avx512" in name.lower() or name == "X86_V4"

    later = [name for name in __cpu_dispatch__ if is_later(name) and __cpu_features__[name]]
    there = [name for name, has in get_host_cpu_features().items() if has and not is_later(name)]
    variables = {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in there),
    }
    return variables | ({"NPY_DISABLE_CPU_FEATURES": " ".join(later)} if later else {})


def main() -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--share", type=int, default=100, metavar="PERCENT", help="of all cores")
    parser.add_argument("--without-avx512", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    environment = {**os.environ, **(without_avx512() if given.without_avx512 else {})}
    print(machine(), file=sys.stderr)
    if given.share == 100:
        return subprocess.run(given.command, env=environment, check=False).returncode
    with cpu_quota(given.share * len(os.sched_getaffinity(0))) as group:
        if not group.enforced:
            raise SystemExit("No control group may be made here: run as root.")
        command = group.inside(given.command)
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
