"""The exit codes of the command line."""

DONE, OUR_FAULT, USERS_INPUT, INTERRUPTED, CUT_OFF, STOPPED = 0, 1, 2, 130, 141, 143
MEANINGS = {
    DONE: "done",
    OUR_FAULT: "a fault of the program",
    USERS_INPUT: "the input",
    INTERRUPTED: "interrupted",
    CUT_OFF: "its output was cut off",
    STOPPED: "stopped by SIGTERM",
}


def in_words() -> str:
    """All of them: `0 done, 1 ...`."""
    return ", ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items())


OVER_BUDGET = 9
"""Of a process that measures a network, which holds more than it may."""
