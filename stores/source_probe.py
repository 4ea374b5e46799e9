"""Opens a source in a child process first: libhdf5 can crash on a damaged or hostile file."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from stores.errors import UserError
from stores.source import Source, open_source
from stores.source_options import SourceOptions


def open_stranger(path: Path, options: SourceOptions) -> Source:
    """`open_source`, once a child process has done so, read some of the data, and lived.

    Raises:
        UserError: as `open_source`, or the child was ended by a signal.
    """
    child = subprocess.run(
        [sys.executable, "-m", "stores.source_probe", str(path.absolute())],
        input=options.model_dump_json(),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if child.returncode < 0:
        raise UserError(
            f"The source {path} cannot be read: HDF5 crashed on it "
            f"({signal.Signals(-child.returncode).name}). The file is damaged: restore it, or "
            "write it anew with h5repack."
        )
    # Its other refusals, and its faults, come again here, with their whole story.
    return open_source(path, options)


def main() -> int:
    """The child: open the source named by the first argument; 1 for whatever is wrong with it."""
    options = SourceOptions.model_validate_json(sys.stdin.read())
    try:
        with open_source(Path(sys.argv[1]), options) as source:
            source.fingerprint()
    except Exception:  # The parent meets it again, and says it.
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
