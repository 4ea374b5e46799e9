"""The memory plan, the machine's limits, and what a process tree really holds."""
