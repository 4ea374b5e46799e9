"""Tables of text in other encodings than UTF-8 are read as the same table in UTF-8 is."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from headrace.pipeline.cli.main import main
from headrace.pipeline.config.load import load_config
from headrace.stores.errors import ConfigError, SourceContentError
from headrace.stores.source.formats import text_bytes
from headrace.stores.source.formats.text_rules import TextRules
from headrace.stores.source.formats.text_table import open_text_table
from headrace.stores.source.options import SourceOptions
from headrace.stores.source.source import open_source
from tests.refusals import refused

ROWS = 100
TABLE = "Zeit (s),Winkel (°),Gerät\n" + "".join(
    f"{n / 50},{np.sin(n) * 90:.3f},Nr {n % 3} für Köln\n" for n in range(ROWS)
)
WRITTEN = {
    "utf-16": None,
    "utf-16-le": None,
    "utf-16-be": None,
    "utf-32": None,
    "utf-8-sig": "cp1252",
    "cp1252": "cp1252",
    "latin-1": "latin-1",
    "iso8859-15": "ISO-8859-15",
    "cp850": "cp850",
    "mac_roman": "mac_roman",
}
"""Encodings, and what `source.encoding` says of them: a mark in the file wins."""


def held(path: Path, encoding: str | None = None) -> tuple:
    with closing(open_text_table(path, TextRules(encoding=encoding))) as table:
        numbers, texts = table.array("table"), table.array("Gerät")
        assert numbers is not None
        assert texts is not None
        part = numbers.read(50, 60).tobytes()
        return numbers.whole().tobytes(), part, texts.whole().tolist(), list(table.names())


@pytest.mark.parametrize("piece", [pytest.param(48, marks=pytest.mark.cases), 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
def test_cells_of_any_table_are_those_of_the_table_in_utf8(
    packed, end, piece, tmp_path, monkeypatch
):
    cells_are_those_in_utf8(packed, end, piece, WRITTEN, tmp_path, monkeypatch)


def test_cells_are_those_in_utf8_wherever_a_piece_ends(tmp_path, monkeypatch):
    some = {name: WRITTEN[name] for name in ("utf-16", "utf-32", "utf-8-sig", "cp1252")}
    cells_are_those_in_utf8(True, "\r\n", 48, some, tmp_path, monkeypatch)


def cells_are_those_in_utf8(packed, end, piece, encodings, tmp_path, monkeypatch):
    monkeypatch.setattr(text_bytes, "PIECE_BYTES", piece)
    plain, other = tmp_path / "plain.csv", tmp_path / "a.csv"
    plain.write_bytes(TABLE.encode())
    for encoding, said in encodings.items():
        raw = TABLE.replace("\n", end).encode(encoding)
        other.write_bytes(gzip.compress(raw) if packed else raw)
        assert held(other, said) == held(plain), encoding


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_lines_are_counted_in_every_encoding(encoding, tmp_path, monkeypatch):
    monkeypatch.setattr(text_bytes, "PIECE_BYTES", 48)
    lines = TABLE.splitlines()
    (tmp_path / "a.csv").write_bytes(
        "\n".join([*lines[:70], "1,é,2,3", *lines[70:]]).encode(encoding)
    )
    with refused(SourceContentError, "a.csv", "line 71", "4", "3"):
        held(tmp_path / "a.csv", "cp1252")


def test_what_is_not_of_its_encoding_is_refused_with_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(TABLE.encode("cp1252") + b"1,2,\x81\n")
    with refused(SourceContentError, "a.csv", "line 102", "cp1252"):
        held(path, "cp1252")
    path.write_bytes(TABLE.encode())
    with refused(SourceContentError, "a.csv", "line 1", "source.encoding", "cp1252"):
        held(path, "cp1252")


@pytest.mark.parametrize(
    "name",
    ["", "nope", "hex", "rot13", "utf-7", "idna", "cp037", "a\0b", "unicode_escape", "x" * 300],
)
def test_what_is_no_encoding_of_a_table_is_refused_as_a_key(name, tmp_path, capsys):
    config = tmp_path / "a.toml"
    config.write_text(f"[paths]\ndata = 'a.csv'\n[source]\nencoding = {json.dumps(name)}\n")
    with refused(ConfigError, "source.encoding"):
        load_config(config)
    assert main(["plan", "--config", str(config)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.usefixtures("probed_here")
@pytest.mark.parametrize(("encoding", "key"), [("cp1252", "cp1252"), ("utf-16", None)])
def test_init_proposes_an_encoding_that_gives_the_same_store(encoding, key, tmp_path, capsys):
    text = "Zeit (s),Winkel (°),acc_x,Zustand\n" + "".join(
        f"{n / 50},{np.sin(n):.3f},{np.cos(n):.3f},{'Gehen' if n // 500 % 2 else 'Übung'}\n"
        for n in range(4000)
    )
    prints = []
    for name, written in (("plain", "utf-8"), ("other", encoding)):
        (tmp_path / name).mkdir()
        for subject in range(3):
            (tmp_path / name / f"s{subject}.csv").write_bytes(text.encode(written))
        output = tmp_path / f"{name}.toml"
        assert main(["init", str(tmp_path / name), "--output", str(output), "--json"]) == 0
        capsys.readouterr()
        options = load_config(output).source
        assert options.encoding == (None if name == "plain" else key)
        with open_source(tmp_path / name, options) as source:
            prints.append((source.windows, source.classes, source.spec))
    assert prints[0] == prints[1]


def test_a_table_of_intervals_is_read_in_the_encoding_of_the_source(tmp_path):
    rows = "".join(f"{n / 50},{n % 7}\n" for n in range(600))
    (tmp_path / "a.csv").write_text("t,x\n" + rows)
    intervals = "start,stop,label\n0,6,Übung\n6,12,Gehen\n"
    classes = []
    for encoding in ("utf-8", "cp1252"):
        (tmp_path / "when.csv").write_bytes(intervals.encode(encoding))
        options = SourceOptions.model_validate(
            {
                "signals": "x",
                "rate_hz": 50,
                "encoding": "cp1252" if encoding == "cp1252" else None,
                "intervals": {"file": "when.csv", "unit": "s"},
                "split_by_window": True,
            }
        )
        with open_source(tmp_path / "a.csv", options) as source:
            classes.append(list(source.classes))
    assert classes[0] == classes[1]
    assert "Übung" in classes[0]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-be"])
def test_tables_beside_the_data_are_read_in_the_encoding_of_the_source(encoding, tmp_path):
    for name in ("a", "b"):
        rows = "".join(f"{row},{row % 7}\n" for row in range(64))
        text = f"x,y\n{rows}"
        (tmp_path / f"{name}.csv").write_bytes(text.encode(encoding))
    said = {"cp1252": "cp1252", "utf-16": None, "utf-16-be": "utf-16"}[encoding]
    tables = {
        "who.txt": "rec,subject,state\na,Jörg,1\nb,Zoë,2\n",
        "list.txt": "file,subject,state\na.csv,Jörg,1\nb.csv,Zoë,2\n",
        "names.txt": "label,name\n1,fährt\n2,läuft\n",
    }
    options = {
        "rate_hz": 16.0,
        "window_samples": 16,
        "labels": "state",
        "groups": "subject",
        "channels": ["x", "y"],
        "label_table": {"file": "names.txt"},
        "encoding": said,
    }
    ways = ((tmp_path, {"files": ["{rec}.csv"], "table": "who.txt"}), (tmp_path / "list.txt", {}))
    for path, more in ways:
        for name, text in tables.items():
            (tmp_path / name).write_bytes(text.encode(encoding))
        with open_source(path, SourceOptions(**options, **more)) as source:
            assert set(source.classes) == {"fährt", "läuft"}
            assert set(source.groups) == {"Jörg", "Zoë"}


def test_a_table_of_files_that_is_not_utf8_says_which_encoding_fits(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    (tmp_path / "files.csv").write_bytes("file,subject\na.csv,Jörg\n".encode("cp1252"))
    with pytest.raises(SourceContentError, match=r"files\.csv, line 2.*source\.encoding = \"cp12"):
        open_source(tmp_path / "files.csv", SourceOptions(rate_hz=1.0))
