"""What is said of a file of no format that is read: what it seems to be, and what would be read."""

from __future__ import annotations

from headrace.stores.errors import SourceError
from headrace.stores.io.places import Place

READ = "HDF5, Zarr, tables of text (CSV and the like), Parquet, .npy, .npz and MATLAB files are"
BEGINNINGS: dict[bytes, str] = {
    b"\xd0\xcf\x11\xe0": "an old workbook or document of Office: save its table as CSV",
    b"\x80\x02}": "a pickle: it would run code. Save its arrays with numpy.save",
    b"\x80\x03": "a pickle: it would run code. Save its arrays with numpy.save",
    b"\x80\x04": "a pickle: it would run code. Save its arrays with numpy.save",
    b"\x80\x05": "a pickle: it would run code. Save its arrays with numpy.save",
    b"ARROW1": "Arrow or Feather: save it with pyarrow.parquet.write_table",
    b"FEA1": "Feather: save it with pyarrow.parquet.write_table",
    b"CDF\x01": "netCDF of version 3: nccopy -k nc4 turns it into HDF5",
    b"CDF\x02": "netCDF of version 3: nccopy -k nc4 turns it into HDF5",
    b"CDF\x05": "netCDF of version 3: nccopy -k nc4 turns it into HDF5",
    b"RIFF": "sound (WAV): save its samples with numpy.save",
    b"fLaC": "sound (FLAC): save its samples with numpy.save",
    b"0       ": "EDF: save its signals as Parquet, or with numpy.save",
    b"\xffBIOSEMI": "BDF: save its signals as Parquet, or with numpy.save",
    b"SQLite format 3": "a SQLite database: save its table as CSV",
    b"7z\xbc\xaf": "packed (7z): unpack it, and name the folder",
    b"Rar!": "packed (RAR): unpack it, and name the folder",
    b"BZh": "packed (bzip2): unpack it, and name what it holds",
    b"\xfd7zXZ": "packed (xz): unpack it, and name what it holds",
    b"\x28\xb5\x2f\xfd": "packed (Zstandard): unpack it, and name what it holds",
    b"\x1f\x8b": "packed (gzip), and its name does not say what: call it .csv.gz if it is a table",
    b"PK": "a zip: unpack it, and name the folder",
    b"{": "JSON: save its table as CSV",
    b"[": "JSON: save its table as CSV",
    b"<": "XML or HTML: save its table as CSV",
    b"%PDF": "a PDF",
}
"""How files begin that people have, what they are, and a way out."""
SHOWN = 16


def unknown_format(path: Place, begins: bytes) -> SourceError:
    """The error for a file that no reader is for.

    Args:
        path: of the file.
        begins: its first bytes.
    """
    if not begins:
        return SourceError(f"The source {path} is empty. Copy it again, or name another.")
    seems = next((what for start, what in BEGINNINGS.items() if begins.startswith(start)), None)
    if seems is not None:
        return SourceError(f"The source {path} seems to be {seems}. {READ} read.")
    return SourceError(
        f"The source {path} is of no format that is known: it begins with {begins[:SHOWN]!r}. "
        f"{READ} read; a table of text is known by its name, such as .csv or .txt, "
        "or by its rows of numbers."
    )
