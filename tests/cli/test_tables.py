from __future__ import annotations

import io
import re
import sys
import unicodedata
from pathlib import Path

import pytest

from sortograph.cli import tables
from sortograph.cli.tables import Table, width


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch, table: Table, *, terminal: bool) -> str:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stdout", stream)
    tables.show(table)
    return stream.getvalue()


TABLE = Table(("class", "photos"), "lr", (("새", "7"), ("a\x1b[31m[red]", "1200")))


def test_columns_are_aligned_by_what_a_terminal_shows():
    lines = tables.plain(TABLE)
    assert [line[-1] for line in lines] == ["s", "7", "0"]
    assert len({width(line) for line in lines}) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_text_whatever_they_hold(monkeypatch, terminal):
    text = shown(monkeypatch, TABLE, terminal=terminal)
    assert "a\\x1b[31m[red]" in text
    assert "새" in text


def test_a_log_gets_no_codes_and_a_terminal_does(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in shown(monkeypatch, TABLE, terminal=False)
    assert "\x1b[1m" in shown(monkeypatch, TABLE, terminal=True)


def test_no_colour_where_none_is_wanted(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(monkeypatch, TABLE, terminal=True)
    codes = {code.partition("m")[0] for code in text.split("\x1b[")[1:]}
    assert codes <= {"0", "1"}  # bold is no colour


def test_a_terminal_folds_what_is_too_long(monkeypatch):
    table = Table(("recipe", "about"), "ll", (("cnn", "word " * 30),))
    lines = re.sub(r"\x1b\[\d*m", "", shown(monkeypatch, table, terminal=True)).splitlines()
    assert max(map(len, lines)) == 60
    assert "".join(lines).count("word") == 30


def test_without_headings_no_line_is_wasted():
    assert tables.plain(Table(("", ""), "lr", (("a", "1"),))) == ["a  1"]


@pytest.mark.parametrize("text", ["각 학교", "é", "ế", "がぱ"])
def test_names_taken_apart_are_as_wide_as_whole_ones(text):
    whole, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert whole != apart
    assert width(apart) == width(whole)


def test_facts_are_never_cut(capsys):
    tables.facts([("a", "x" * 500), ("longer", "new\nline")])
    assert capsys.readouterr().out == f"a       {'x' * 500}\nlonger  new\\nline\n"


@pytest.mark.skipif(sys.platform == "win32", reason="another shell")
@pytest.mark.parametrize(
    ("word", "typed"),
    [
        (Path("-photos"), "./-photos"),
        (Path("my photos"), "'my photos'"),
        (Path("it's"), "'it'\"'\"'s'"),
        ("--resume", "--resume"),
        (Path("a;rm"), "'a;rm'"),
    ],
)
def test_commands_can_be_pasted(word, typed):
    assert tables.command("sortograph", "train", word) == f"sortograph train {typed}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0:00"), (59.6, "1:00"), (3599.7, "1:00:00"), (90000, "25:00:00")]
)
def test_clock(seconds, text):
    assert tables.clock(seconds) == text
