"""The command line: runs one command, and says in a line why it failed."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pkgutil import resolve_name

from headrace.pipeline.cli.parser import COMMANDS, command_parser
from headrace.pipeline.process import interrupts
from headrace.pipeline.process.exit_codes import CUT_OFF, DONE, OUR_FAULT, USERS_INPUT
from headrace.stores.errors import DOCS, DiskError, UserError
from headrace.stores.text import in_one_line

REFUSALS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.EIO, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EBUSY),
    }
)
"""Error numbers of disks and of paths, not of this program."""
ERRORS_PAGE = DOCS / "errors.md"
"""Where each kind of error has a heading; comes with the package."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    parser = command_parser(next((word for word in arguments if word in COMMANDS), ""))
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return DONE
    try:
        with interrupts.unwinding():
            from headrace.pipeline.console import Console

            result = resolve_name(COMMANDS[options.command].run)(options)
            Console(json=options.json).result(result)
        return DONE
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, KeyboardInterrupt) or not interrupts.settle(OUR_FAULT):
            return interrupts.say(error)
        if isinstance(error, (BrokenPipeError, SystemExit)):
            # Whoever read our output is gone, as with `| head`: not done, and nobody to tell. Rich
            # makes an exit of it.
            sys.stderr.close()
            return CUT_OFF
        return _explain(error, options.debug)


def _explain(error: Exception, debug: bool) -> int:
    from headrace.pipeline.cli.redact import without_secrets

    trace = without_secrets("".join(traceback.format_exception(error)))
    if debug:
        print(trace, end="", file=sys.stderr)
    if isinstance(error, OSError) and error.errno in REFUSALS:
        # Of what libraries open: temporary files, caches.
        error = DiskError(
            f"{error.filename or tempfile.gettempdir()}: {error.strerror}. See that it is a path "
            "that you may read and write, on a disk with room, and start again: what is complete "
            "is kept."
        )
    if isinstance(error, UserError):
        page = f" More: {ERRORS_PAGE}#{error.heading}" if error.heading else ""
        print(f"headrace: {in_one_line(without_secrets(str(error)))}{page}", file=sys.stderr)
        return USERS_INPUT
    if not debug:
        print(trace, end="", file=sys.stderr)
    print(
        "headrace: this is a fault of the program. Please report it with the lines above and "
        "the output of: headrace doctor",
        file=sys.stderr,
    )
    return OUR_FAULT
