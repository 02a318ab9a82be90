from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from sortograph import errors
from sortograph.cli import streams
from sortograph.cli.failures import guarded
from sortograph.errors import Interrupted, MissingExtra, SortographError


def raising(error: BaseException):
    def work() -> int:
        raise error

    return work


def kinds(kind: type[SortographError] = SortographError) -> list[type[SortographError]]:
    ours = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(below for child in ours for below in kinds(child))]


@pytest.mark.parametrize("code", [0, 6, 130])
def test_the_code_of_what_was_done_is_passed_on(code):
    assert guarded(lambda: code) == code


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_has_the_code_of_the_table(kind, capsys):
    assert guarded(raising(kind("what", where="here", expected="that", fix="this"))) == kind.exit_code
    said = capsys.readouterr()
    prefix = "" if kind is Interrupted else "error: "
    assert said.err == f"{prefix}what: here\n  expected: that\n  next: this\n"
    assert said.out == ""
    row = re.search(rf"{kind.__name__} +\((\d+)\)", errors.__doc__)
    assert kind is SortographError or int(row[1]) == kind.exit_code


def test_names_in_errors_cannot_draw(capsys):
    guarded(raising(SortographError("bad name: a\x1b[2J\u202eb\udcff.jpg")))
    assert capsys.readouterr().err == "error: bad name: a\\x1b[2J\\u202eb\\udcff.jpg\n"


def test_a_missing_extra_says_what_to_install(capsys):
    assert guarded(raising(MissingExtra.of("train", "torch"))) == 5
    assert 'pip install "sortograph[train]"' in capsys.readouterr().err


def test_a_bug_is_one_line_and_a_log(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["sortograph", "train", "새"])
    assert guarded(raising(ZeroDivisionError("by\x1b[31m zero\nand more"))) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert "\x1b" not in err
    log = Path(re.search(r"details are in (.*)$", err)[1])
    text = log.read_text(encoding="utf-8")
    assert "ZeroDivisionError: by" in text
    assert "Traceback" in text
    assert "'새'" in text
    assert sys.version.split()[0] in text


def test_a_bug_without_words_and_without_a_place_for_the_log(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert guarded(raising(KeyError())) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "KeyError" in err
    assert "--debug" in err


@pytest.mark.parametrize("error", [SortographError("ours"), ValueError("not ours")])
def test_debug_shows_where(error, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    guarded(raising(error), debug=True)
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c(capsys):
    assert guarded(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_nobody_reads(capsys, monkeypatch):
    told = []
    monkeypatch.setattr(streams, "abandon", lambda: told.append(1))
    assert guarded(raising(BrokenPipeError())) == 141
    assert told
    assert capsys.readouterr().err == ""


def test_what_is_left_in_the_buffer_can_fail_too(capsys, monkeypatch):
    class Full:
        encoding = "utf-8"

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

        def fileno(self) -> int:
            raise ValueError

    monkeypatch.setattr(sys, "stdout", Full())
    assert guarded(lambda: 0) == 3
    sys.stdout.close()  # what stands in for it
    assert "No space left" in capsys.readouterr().err
