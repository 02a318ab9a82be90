from __future__ import annotations

import errno
import io
import json
import sys

import pytest

from sortograph.cli import streams
from sortograph.errors import StorageError


class Broken(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, "told")


@pytest.mark.parametrize(
    "code", ["\x1b[31m", "\r", "\n", "\t", "\x00", "\x9b", "\u202e", "\u2066", "\u2028", "\udcff"]
)
def test_nothing_that_a_terminal_obeys_is_left(code):
    shown = streams.safe(f"a{code}b")
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert not shown.isspace()
    assert code[0] not in shown
    shown.encode("utf-8")


def test_text_stays_as_it_is():
    assert streams.safe("새 Straße – 📷 a\\b") == "새 Straße – 📷 a\\b"
    assert streams.safe("a\n\tb", keep="\n\t") == "a\n\tb"


@pytest.mark.parametrize("name", ["새\x1b[2J", "a\u202eb", "\x9b", "\udcff", 'quo"te\\\n'])
@pytest.mark.parametrize("escape", [False, True])
def test_json_comes_back_and_shows_no_code(name, escape):
    text = streams.json_text({name: [name]}, escape=escape)
    assert json.loads(text) == {name: [name]}
    assert streams.safe(text) == text


def test_numbers_that_json_lacks_are_null():
    data = {"a": float("nan"), "b": [float("inf"), 1.5], "c": (-float("inf"), True, None)}
    assert json.loads(streams.json_text(data)) == {"a": None, "b": [None, 1.5], "c": [None, True, None]}


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", "새"), ("cp1252", "\\uc0c8")])
def test_json_is_of_the_letters_that_stdout_has(monkeypatch, encoding, text):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, newline="\n"))
    streams.out_json("새")
    assert raw.getvalue() == f'"{text}"\n'.encode()


def test_a_console_without_a_letter_gets_its_escape(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252", newline="\n"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="cp1252", newline="\n"))
    streams.prepare()
    streams.out("새 – é")
    streams.note("새")
    assert raw.getvalue().decode("cp1252") == "\\uc0c8 – é\n\\uc0c8\n"


def test_closed_streams_take_everything(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    streams.prepare()
    with sys.stdout, sys.stderr:
        streams.out("a")
        streams.note("a")
        assert not streams.draws(sys.stdout)


def test_a_full_stdout_is_an_error_with_a_name(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken(errno.ENOSPC))
    with pytest.raises(StorageError, match=r"told.*standard output"):
        streams.out("a")
    sys.stdout.close()


def test_an_unread_stdout_is_left_to_the_caller(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken(errno.EPIPE))
    with pytest.raises(BrokenPipeError):
        streams.out("a")


def test_a_full_stderr_stops_nothing(monkeypatch):
    broken = Broken(errno.ENOSPC)
    monkeypatch.setattr(sys, "stderr", broken)
    streams.note("a")
    streams.note("b")
    assert sys.stderr is not broken
    sys.stderr.close()


def test_only_a_terminal_that_can_is_drawn_on(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert streams.draws(Terminal())
    assert not streams.draws(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not streams.draws(Terminal())
