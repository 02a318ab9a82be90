from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path

import pytest

from sortograph.cli.cache import PARTLY


@pytest.fixture
def filled(tmp_path) -> Path:
    """Pixels of two hours ago, embeddings of now."""
    for place, age in (("pixels", 7200), ("features", 0)):
        folder = tmp_path / "cache" / place / "store"
        folder.mkdir(parents=True)
        (folder / "keys.bin").write_bytes(bytes(100_000))
        (folder / "values.bin").write_bytes(bytes(1_100_000))
        os.utime(folder, (time.time() - age,) * 2)
    return tmp_path / "cache"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def answer(monkeypatch):
    return lambda text: monkeypatch.setattr(sys, "stdin", Terminal(text))


@pytest.fixture(autouse=True)
def _nobody(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))


def test_info(call, filled):
    said = call("cache", "info")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["cache", "size", "stores", "in", "use"],
        ["pixels", "1.2", "MB", "1", "0"],
        ["features", "1.2", "MB", "1", "1"],
        ["backbones", "0.0", "MB", "0", "0"],
        ["scans", "0.0", "MB", "0", "0"],
    ]
    assert lines[5] == f"place  {filled}"
    assert lines[6].startswith("takes  2.4 MB of at most ")


def test_info_as_json(call, filled):
    found = json.loads(call("cache", "info", "--json").out)
    assert found["bytes"] == 2_400_000
    assert found["kinds"]["pixels"]["stores"] == 1


def test_clear_asks_once_and_removes(call, filled, answer):
    answer("y\n")
    said = call("cache", "clear")
    assert said.code == 0
    assert said.err.count("[y/N]") == 1
    assert f"Remove pixels 1.2 MB, features 1.2 MB from {filled}? [y/N]" in said.err
    assert "removed  pixels 1.2 MB, features 1.2 MB" in said.out
    assert not list(filled.rglob("*.bin"))


@pytest.mark.parametrize("text", ["", "n\n", "\n", "maybe\n"])
def test_any_answer_but_yes_removes_nothing(call, filled, answer, text):
    answer(text)
    said = call("cache", "clear")
    assert said.code == 130
    assert "nothing was removed" in said.err
    assert len(list(filled.rglob("*.bin"))) == 4


def test_without_a_terminal_it_is_refused(call, filled):
    said = call("cache", "clear", "pixels")
    assert said.code == 2
    assert "next: sortograph cache clear pixels --yes" in said.err
    assert len(list(filled.rglob("*.bin"))) == 4


def test_one_kind_without_a_question(call, filled):
    said = call("cache", "clear", "pixels", "--yes")
    assert said.code == 0
    assert "removed  pixels 1.2 MB\n" in said.out
    assert said.err == ""  # nobody has used them for two hours
    assert not (filled / "pixels").exists()
    assert (filled / "features").exists()


def test_what_is_in_use_is_told(call, filled):
    said = call("cache", "clear", "features", "pixels", "--yes")
    assert "used within the last hour: features. " in said.err


def test_json(call, filled):
    said = call("cache", "clear", "--yes", "--json", "--quiet")
    assert said.err == ""
    removed = json.loads(said.out)["removed"]
    assert removed == {"pixels": 1_200_000, "features": 1_200_000, "backbones": 0, "scans": 0}


def test_an_empty_cache_asks_nothing(call, tmp_path):
    said = call("cache", "clear")
    assert (said.code, said.out, said.err) == (0, "nothing to remove\n", "")
    assert not (tmp_path / "cache").exists()


def test_what_stays_is_told(call, filled, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "unlink", refuse)
    said = call("cache", "clear", "pixels", "--yes")
    assert said.code == PARTLY
    assert "removed      nothing" in said.out
    assert "still there  pixels 1.2 MB" in said.out


def test_unknown_kinds(call, filled):
    said = call("cache", "clear", "pixel", "scans")
    assert said.code == 2
    assert "'pixel' (did you mean 'pixels'?)" in said.err
    assert len(list(filled.rglob("*.bin"))) == 4
