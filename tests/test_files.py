from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortograph.files import csv_text, unguard, write_csv, write_json

AWKWARD = [
    "", " ", "a\rb", "\r", "\rb", "a\r", "a\nb", "\n", "a\r\nb", "\r\n", "\x85", "\u2028", "\x0b",
    '"', 'a"b', '""', ",", "a,b", "a;b", "#a", "'", "''", "'a", "''.png",
    "=1+1", "+1", "-1", "@x", "\tx", "'=1", "''=1", "가 é", "caf\udce9",
]  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
texts = st.text(st.sampled_from("a,;\"'=+-@\t\r\n é가"), max_size=8) | st.text(max_size=8)


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("cell", AWKWARD)
def test_a_cell_comes_back_as_it_was(cell: str) -> None:
    header, row = cells(csv_text([cell, "b"], [[cell, "x"]]))
    assert header == [cell, "b"]
    assert [unguard(found) for found in row] == [cell, "x"]
    assert not row[0].startswith(FORMULA)


@given(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=4))
def test_rows_come_back_as_they_were(rows: list[list[str]]) -> None:
    found = cells(csv_text(["a", "b"], rows))
    assert [[unguard(cell) for cell in row] for row in found] == [["a", "b"], *rows]
    assert not [cell for row in found for cell in row if cell.startswith(FORMULA)]


@given(texts)
def test_other_text_is_written_as_it_is(text: str) -> None:
    ((cell, _),) = cells(csv_text([], [[text, ""]]))[1:]
    assert cell == (f"'{text}" if text.lstrip("'").startswith(FORMULA) else text)


def test_numbers_and_gaps_stay_as_they_are() -> None:
    assert csv_text(["a", "b"], [[-1, -2.5], [None, True]]) == "a,b\n-1,-2.5\n,True\n"


def test_file_on_disk(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["cell"], [[cell] for cell in AWKWARD])
    data = (tmp_path / "a.csv").read_bytes()
    assert data.startswith(b"cell\n")
    with (tmp_path / "a.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [unguard(cell) for (cell,) in csv.reader(file)][1:] == AWKWARD


@pytest.mark.parametrize("name", ["caf\udce9.jpg", "\\\udcff", "\ud800", "새.jpg", "😀"])
def test_json_keeps_names_whose_bytes_are_no_utf8(name: str, tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {name: [name]})
    text = (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert json.loads(text) == {name: [name]}
