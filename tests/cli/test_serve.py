"""The command `serve`: what it hands over, and what it refuses before it listens."""

from __future__ import annotations

import json
import threading
import time
from queue import SimpleQueue

import pytest

from sortograph.cli import serve

TOKEN = "0123456789abcdef"


@pytest.fixture
def served(monkeypatch):
    """Stands in for the server; gives what it was called with."""
    seen = {}

    def stand_in(models, *, options, limits, told):
        seen.update(models=models, options=options, limits=limits)
        told("http://127.0.0.1:8000/")

    monkeypatch.setattr("sortograph.api.serving.serve", stand_in)
    monkeypatch.delenv("SORTOGRAPH_TOKEN", raising=False)
    return seen


def test_the_defaults(call, served):
    said = call("serve", "a.onnx", "b.onnx")
    assert said.code == 0
    assert said.out == "http://127.0.0.1:8000/\n"
    assert [str(path) for path in served["models"]] == ["a.onnx", "b.onnx"]
    options, limits = served["options"], served["limits"]
    assert (options.host, options.port, options.token, options.corrections) == ("127.0.0.1", 8000, "", None)
    assert (limits.body, limits.held, limits.photos) == (32 << 20, 256 << 20, 32)
    assert (limits.queue, limits.clients, limits.seconds, limits.idle) == (256, 256, 30.0, 10.0)


def test_every_option_is_handed_over(call, served, tmp_path):
    sizes = ("--max-body", 200, "--max-held", 300, "--max-photos", 2, "--max-megapixels", 1.5)
    limits = (*sizes, "--queue", 3, "--clients", 4)
    times = ("--seconds", 5, "--idle", 6, "--workers", 7, "--max-error", "2%")
    who = ("--allow-host", "a", "--allow-host", "b", "--corrections", tmp_path)
    call("serve", "a.onnx", "--host", "0.0.0.0", "--port", 9, "--token", TOKEN, *limits, *times, *who)
    options, found = served["options"], served["limits"]
    assert (options.host, options.port, options.token) == ("0.0.0.0", 9, TOKEN)
    assert (options.hosts, options.corrections, options.max_error) == (("a", "b"), tmp_path, 0.02)
    assert (options.decoders, options.lanes) == (7, 7)
    assert (found.body, found.held, found.photos, found.pixels) == (200 << 20, 300 << 20, 2, 1_500_000)
    assert (found.queue, found.clients, found.seconds, found.idle) == (3, 4, 5.0, 6.0)


def test_json_and_quiet(call, served):
    assert json.loads(call("serve", "a.onnx", "--json").out) == {"address": "http://127.0.0.1:8000/"}
    said = call("serve", "a.onnx", "--quiet")
    assert (said.out, said.err) == ("", "")


def test_open_shows_the_page(call, served, monkeypatch):
    opened, closed = SimpleQueue(), threading.Event()

    def browser(address):  # one that returns when it is closed
        opened.put(address)
        closed.wait(20)

    monkeypatch.setattr("webbrowser.open", browser)
    began = time.monotonic()
    call("serve", "a.onnx", "--open")
    assert time.monotonic() - began < 10
    assert opened.get(timeout=10) == "http://127.0.0.1:8000/"
    closed.set()


def test_the_token_of_the_environment(call, served, monkeypatch):
    monkeypatch.setenv("SORTOGRAPH_TOKEN", TOKEN)
    said = call("serve", "a.onnx")
    assert served["options"].token == TOKEN
    assert TOKEN not in said.out + said.err


def test_the_token_of_a_file(call, served, tmp_path):
    file = tmp_path / "token"
    said = call("serve", "a.onnx", "--token-file", file)
    assert served["options"].token == file.read_text().strip()
    assert len(served["options"].token) > 30
    assert served["options"].token not in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--token", "short"), "a token that will not do"),
        (("--token", TOKEN, "--token-file", "x"), "a token and a file with one"),
        (("--max-error", "200%"), "--max-error"),
        (("--port", "99999"), "--port"),
        (("--max-body", "0"), "--max-body"),
        (("--max-body", "32", "--max-held", "16"), "--max-held"),
        (("--max-megapixels", "51"), "--max-megapixels"),
        (("--prot", "1"), "--port"),
    ],
)
def test_what_is_refused(call, served, arguments, words):
    said = call("serve", "a.onnx", *arguments)
    assert said.code == 2
    assert words in said.err
    assert served == {}


def test_beyond_this_machine_without_a_token(call, model_file, monkeypatch):
    monkeypatch.delenv("SORTOGRAPH_TOKEN", raising=False)
    said = call("serve", model_file, "--host", "0.0.0.0")
    assert said.code == 2
    assert "--token-file" in said.err


def test_a_file_that_is_not_there(call):
    said = call("serve", "nowhere.onnx")
    assert (said.code, "nowhere.onnx" in said.err) == (3, True)


def test_words_of_the_server_are_made_safe(capsys):
    import logging

    serve._log(quiet=False, verbose=False)
    logging.getLogger("sortograph.serve").info("odd \x1b[31m name")
    logging.getLogger("sortograph.serve").debug("not told")
    assert capsys.readouterr().err == "odd \\x1b[31m name\n"
