from __future__ import annotations

import io
import json
import sys

import pytest

from sortograph.cli.quarantine import PARTLY
from sortograph.moving import Aside, make_plan, write_plan


@pytest.fixture
def plan(tmp_path, photos):
    wanted = [Aside("cat/0.png", "blank", "one colour"), Aside("개/1.png", "tiny", "20×16 pixels")]
    write_plan(make_plan(photos, wanted), tmp_path / "plan.json")
    return tmp_path / "plan.json"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def answer(monkeypatch):
    return lambda text: monkeypatch.setattr(sys, "stdin", Terminal(text))


@pytest.fixture(autouse=True)
def _nobody(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))


def test_apply_and_undo(call, plan, photos, tmp_path):
    said = call("quarantine", "apply", "plan.json", "--yes")
    assert said.code == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[:4] == [["check", "photos"], ["blank", "1"], ["tiny", "1"], ["total", "2"]]
    assert said.out.splitlines()[-1].endswith("sortograph quarantine undo plan.json")
    assert "moved    2 photos" in said.out
    assert not (photos / "cat" / "0.png").exists()
    assert (tmp_path / "photos-quarantine" / "cat" / "0.png").exists()
    said = call("quarantine", "undo", "plan.json")
    assert said.code == 0
    assert "moved back  2 photos" in said.out
    assert (photos / "cat" / "0.png").exists()
    assert not (tmp_path / "photos-quarantine").exists()
    said = call("quarantine", "undo", "plan.json")
    assert (said.code, said.out) == (0, "nothing to undo\n")


def test_without_a_terminal_it_is_refused(call, plan, photos):
    said = call("quarantine", "apply", "plan.json")
    assert said.code == 2
    assert "next: sortograph quarantine apply plan.json --yes" in said.err
    assert (photos / "cat" / "0.png").exists()


@pytest.mark.parametrize("text", ["", "n\n", "\n", "maybe\n"])
def test_any_answer_but_yes_moves_nothing(call, plan, photos, answer, text):
    answer(text)
    said = call("quarantine", "apply", "plan.json")
    assert said.code == 130
    assert "Move 2 photos to " in said.err
    assert "nothing was moved" in said.err
    assert (photos / "cat" / "0.png").exists()


@pytest.mark.parametrize("text", ["y\n", "YES\n"])
def test_it_asks_once(call, plan, photos, answer, text):
    answer(text)
    said = call("quarantine", "apply", "plan.json")
    assert said.code == 0
    assert said.err.count("[y/N]") == 1
    assert not (photos / "cat" / "0.png").exists()


def test_json(call, plan, photos):
    (photos / "cat" / "0.png").write_bytes(b"changed")
    said = call("quarantine", "apply", "plan.json", "--yes", "--json", "--quiet")
    assert said.code == PARTLY
    assert said.err == ""
    data = json.loads(said.out)
    assert data["moved"] == ["개/1.png"]
    assert data["skipped"] == [{"path": "cat/0.png", "reason": "its content has changed"}]
    assert data["to"].endswith("/photos-quarantine")
    assert data["journal"].endswith("/plan.json.journal.jsonl")
    undone = json.loads(call("quarantine", "undo", "plan.json", "--json").out)
    assert undone["moved"] == ["개/1.png"]


def test_a_dry_run_asks_nothing_and_moves_nothing(call, plan, photos, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    said = call("quarantine", "apply", "plan.json", "--dry-run")
    assert said.code == 0
    assert "would be moved  2 photos" in said.out
    assert sorted(tmp_path.rglob("*")) == before


def test_what_was_left_alone_is_listed(call, tmp_path, photos):
    names = [f"{label}/{number}.png" for label in ("cat", "개") for number in range(8)]
    write_plan(make_plan(photos, [Aside(name, "blank", "") for name in names]), tmp_path / "p.json")
    for name in names:
        (photos / name).unlink()
    said = call("quarantine", "apply", "p.json", "--yes")
    assert said.code == PARTLY
    assert "left alone: 16\n  cat/0.png: it is gone\n" in said.out
    assert "  and 6 more (--verbose lists all)" in said.out
    said = call("quarantine", "apply", "p.json", "--yes", "--verbose")
    assert said.out.count("it is gone") == 16


def test_what_cannot_be_used_is_refused(call, plan):
    assert call("quarantine", "apply", "none.json", "--yes").code == 3
    plan.write_text(plan.read_text("utf-8").replace('"sha256"', '"sha255"'), encoding="utf-8")
    said = call("quarantine", "apply", "plan.json", "--yes")
    assert said.code == 3
    assert "4 mistakes" in said.err
    assert "did you mean 'sha256'?" in said.err
    assert call("quarantine", "aply", "plan.json").code == 2
    assert call("quarantine").code == 2
