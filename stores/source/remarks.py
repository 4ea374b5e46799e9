"""What a reader did with a file beside reading its rows; it is said, and never left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.stores.text import counted

DAMAGED, SKIPPED, UNITS = "source.damaged_lines", "source.skip_lines", "source.units"
COMMENTS = "source.comments"
TIMES = "source.time"
ROW_GROUPS = "paths.data"

SMALLER_GROUPS = (
    "python -c \"import pyarrow.parquet as p; f = p.ParquetFile('old.parquet'); "
    "w = p.ParquetWriter('new.parquet', f.schema_arrow); "
    '[w.write_batch(b) for b in f.iter_batches(65536)]; w.close()"'
)


@dataclass(frozen=True)
class Remark:
    """Of one file, or of several of which the same is to be said.

    Attributes:
        key: the option that it speaks of.
        where: the first file, and the line if there is one.
        count: lines of all files; of one whose pieces are large the megabytes of a piece.
        files: how many.
        alike: whether it is as many lines of each of them.
    """

    key: str
    where: str
    count: int = 1
    files: int = 1
    alike: bool = True

    def __str__(self) -> str:
        """A sentence."""
        of = f" of {self.files:,} files" if self.files > 1 else ""
        if self.key == UNITS:
            more = f" and {self.files - 1:,} more files" if self.files > 1 else ""
            return f"The line below the header of {self.where}{more} is read as units."
        if self.key == ROW_GROUPS:
            more = f" and of {self.files - 1:,} more files" if self.files > 1 else ""
            size = f" of {self.count:,} MB" if self.files == 1 else ""
            return (
                f"The row groups{size} of {self.where}{more} are decoded whole, by each worker and "
                "for any of their rows. To write such a file in smaller ones: "
                f"{SMALLER_GROUPS}"
            )
        if self.key == TIMES:
            more = f" and {self.files - 1:,} more recordings" if self.files > 1 else ""
            return (
                f"The files of {self.where}{more} have times of their own: they are read at those "
                "of the fastest, from the latest of their beginnings on."
            )
        were = "was" if self.count == 1 else "were"
        first = f": {self.where}" if self.count == 1 else f"; the first is {self.where}"
        if self.key == SKIPPED:
            lines = self.count
            if self.files > 1 and self.alike:
                lines, of = self.count // self.files, f" of each{of}"
                were = "was" if lines == 1 else "were"
            return (
                f"{counted(lines, 'line')} above the header{of} {were} skipped{first}. "
                "source.skip_lines is their number in each file, where they are more or fewer."
            )
        if self.key == COMMENTS:
            return (
                f"{counted(self.count, 'line')}{of} that begin with # or % {were} left out as "
                f'comments{first}. source.comments = "rows" reads them.'
            )
        return f"{counted(self.count, 'damaged line')}{of} {were} left out{first}."


def together(remarks: Sequence[Remark]) -> list[Remark]:
    """One for each option, that counts the lines and files of all."""
    found: dict[str, Remark] = {}
    for each in remarks:
        before = found.get(each.key)
        found[each.key] = (
            each
            if before is None
            else replace(
                before,
                count=before.count + each.count,
                files=before.files + each.files,
                alike=before.alike
                and each.alike
                and before.count * each.files == each.count * before.files,
            )
        )
    return list(found.values())
