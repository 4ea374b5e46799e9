"""The memory plan of a stage: pure arithmetic over named buffers, and its refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.stores.errors import BudgetError
from headrace.stores.text import format_bytes

MIB = 1 << 20
TYPICAL = "typical of this version"
"""Where a figure comes from that was not measured here."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a stage will hold at its peak.

    Attributes:
        stage: its name.
        reserved: bytes of the interpreters and libraries before any data.
        reserved_how: where that figure comes from.
        buffers: name -> bytes of every buffer of data.
        budget: bytes that the whole process tree may hold.
        limit: bytes that the machine and its control groups have in all; no budget is above it.
        remedies: settings besides the budget with which it would fit, most useful first.
        floor: bytes with every setting at its least, 0 if unknown.
        key: what the budget is called where it is set.
        later: what is measured as it begins and is not in the sum, a sentence; empty: nothing.
    """

    stage: str
    reserved: int
    reserved_how: str
    buffers: Mapping[str, int]
    budget: int
    limit: int
    remedies: tuple[str, ...] = ()
    floor: int = 0
    key: str = "memory.budget"
    later: str = ""

    def __str__(self) -> str:
        """Every line of the plan, sizes in binary units."""
        return "\n".join(f"{format_bytes(size):>10}  {name}" for name, size in self.lines())

    @property
    def projected(self) -> int:
        """Bytes at the peak: reserved + the sum of the buffers."""
        return self.reserved + sum(self.buffers.values())

    @property
    def fits(self) -> bool:
        """Whether the projected peak is within the budget."""
        return self.projected <= self.budget

    def as_table(self) -> dict[str, int]:
        """Every line of the plan in bytes."""
        return {
            "reserved": self.reserved,
            **self.buffers,
            "projected": self.projected,
            "budget": self.budget,
        }

    def lines(self, most: int | None = None) -> list[tuple[str, int]]:
        """What to show: reserved, the buffers from the largest down, projected and budget.

        Args:
            most: buffers to name; the others are one line. None: all.
        """
        buffers = sorted(self.buffers.items(), key=lambda item: -item[1])
        if most is not None and len(buffers) > most + 1:
            rest = sum(size for _, size in buffers[most:])
            buffers = [*buffers[:most], (f"{len(buffers) - most} smaller buffers", rest)]
        return [
            (f"reserved ({self.reserved_how})", self.reserved),
            *buffers,
            ("projected", self.projected),
            ("budget", self.budget),
        ]

    def require_fit(self) -> MemoryPlan:
        """This plan, if it fits.

        Raises:
            UserError: it does not; names the largest buffer, the least budget that would do and
                settings that would; or the floor, where no setting does.
        """
        if self.fits:
            return self
        worst = max(self.buffers, key=lambda name: self.buffers[name])
        raise BudgetError(
            f"{self.stage} needs {format_bytes(self.projected)}, above {self.key} = "
            f"{format_bytes(self.budget)}: {format_bytes(self.reserved)} are reserved "
            f"({self.reserved_how}), and the largest buffer is {worst} with "
            f"{format_bytes(self.buffers[worst])}. {self._way_out()}"
        )

    def _way_out(self) -> str:
        ways = list(self.remedies)
        if self.projected <= self.limit:
            ways.insert(0, f"{self.key} = {-(-self.projected // MIB)}MiB")
        said = [] if not ways else [f"Set {', or '.join(ways)}."]
        if self.floor > self.budget:
            said.append(f"No smaller batch or buffer takes it below {format_bytes(self.floor)}.")
        if self.projected > self.limit:
            said.append(f"This machine, or its control group, has {format_bytes(self.limit)}.")
        if self.later:
            said.append(self.later)
        return " ".join(said)
