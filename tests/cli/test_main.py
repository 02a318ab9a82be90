from __future__ import annotations

import subprocess
import sys

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


def _program(setting: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`program` in a process of its own, after some lines of code."""
    code = f"import atexit, sys, threading, time\nfrom sortograph.cli.main import program\n{setting}\n"
    code += "sys.exit(program())"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_the_program_ends_without_taking_libraries_apart():
    leaves = "class Last:\n    def __del__(self): print('taken apart', flush=True)\nlast = Last()"
    assert _program(leaves, "--version").stdout == f"sortograph {sortograph.__version__}\n"
    done = subprocess.run([sys.executable, "-c", leaves], capture_output=True, text=True)
    assert done.stdout == "taken apart\n"


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["index"], 2), (["index", "nowhere"], 3)]
)
def test_the_program_ends_with_the_code_of_its_work(arguments, code):
    done = _program("sys.stdout.write('kept ')", *arguments)
    assert done.returncode == code
    assert done.stdout.startswith("kept ")


def test_what_others_do_at_the_end_is_done():
    others = "atexit.register(lambda: print('handler'))\n"
    others += "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()"
    assert _program(others, "--version").stdout.splitlines()[1:] == ["thread", "handler"]


def test_a_program_in_which_others_were_first_ends_as_usual():
    code = "import atexit; atexit.register(lambda: print('earlier'))\n"
    code += "import sys; from sortograph.cli.main import program; sys.exit(program())"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"sortograph {sortograph.__version__}", "earlier"]


def test_a_main_that_is_called_by_others_ends_nothing():
    code = "from sortograph.cli.main import main; main(['--version']); raise SystemExit(7)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 7
