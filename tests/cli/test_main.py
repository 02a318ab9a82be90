from __future__ import annotations

import pytest

import sortograph
from sortograph.cli import app, main, predict
from sortograph.errors import DataError


def test_no_arguments_print_the_help(call):
    nothing, asked = call(), call("--help")
    assert nothing == asked
    assert nothing.code == 0
    assert nothing.err == ""
    assert "sortograph demo" in nothing.out


def test_version(call):
    said = call("--version")
    assert (said.code, said.out, said.err) == (0, f"sortograph {sortograph.__version__}\n", "")


def test_predict_is_not_parsed_by_typer(monkeypatch, call):
    monkeypatch.setattr(app, "run", lambda arguments: pytest.fail("slow"))
    monkeypatch.setattr(predict, "run", lambda arguments: 40 + len(arguments))
    assert call("predict", "m", "p").code == 42


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["predict", "--debug", "m", "p"], True),
        (["predict", "m", "--", "--debug"], False),  # the name of a photo
        (["predict", "m", "p"], False),
    ],
)
def test_debug_is_known_before_anything_is_parsed(monkeypatch, call, arguments, shown):
    def fail(_arguments):
        raise DataError("bad")

    monkeypatch.setattr(predict, "run", fail)
    said = call(*arguments)
    assert said.code == 3
    assert ("Traceback" in said.err) == shown


def test_arguments_of_the_process_by_default(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sortograph", "--version"])
    assert main.main() == 0
    assert capsys.readouterr().out.startswith("sortograph ")
