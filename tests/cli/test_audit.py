from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture
def copied(photos):
    """A photo under two labels beside a copy and a broken file."""
    shutil.copy(photos / "cat" / "0.png", photos / "cat" / "copy.png")
    shutil.copy(photos / "cat" / "1.png", photos / "개" / "cat.png")
    return photos


def test_findings_are_told_with_what_to_do(call, copied):
    said = call("audit", copied)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "18 photos of 2 classes, 1 unreadable, 0 other files ignored"
    assert any(line.startswith("grave  conflicting-labels") for line in lines)
    assert "  the same photo has 2 labels: 'cat' (1×), '개' (1×): cat/1.png, 개/cat.png" in lines
    assert any(line.startswith("    → ") for line in lines)
    assert "not checked: label-errors" in said.out
    assert lines[-1] == f"next  sortograph audit {copied} --fix plan.json"


def test_a_page_is_written_beside_and_a_plan_where_asked(call, copied, tmp_path):
    said = call("audit", copied, "--fix", "plan.json")
    assert (tmp_path / "photos-audit.html").is_file()
    assert {line["path"] for line in json.loads((tmp_path / "plan.json").read_text())["photos"]} == {
        "cat/copy.png",
    }
    assert said.out.splitlines()[-1] == "next  sortograph quarantine apply plan.json"


def test_nothing_is_written_with_no_page(call, copied, tmp_path):
    said = call("audit", copied, "--no-page")
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "cache"}
    assert "page" not in said.out.splitlines()[-2]


def test_no_page_is_written_among_the_photos(call, copied, monkeypatch):
    monkeypatch.chdir(copied)
    said = call("audit", ".")
    assert said.code == 0
    assert "no page is written" in said.err
    assert not list(copied.rglob("*.html"))


def test_json(call, copied):
    found = json.loads(call("audit", copied, "--json", "--no-page", "--quiet").out)
    assert {"findings", "ran", "skipped", "page", "plan", "notes"} == set(found)
    assert {"check", "photos", "severity", "message", "remedy", "set_aside"} == set(found["findings"][0])
    severities = [finding["severity"] for finding in found["findings"]]
    assert severities == sorted(severities, reverse=True)
    assert "label-errors" in found["skipped"]


def test_verbose_names_every_photo(call, copied):
    short, long = call("audit", copied), call("audit", copied, "--verbose")
    assert "      cat/copy.png" in long.out.splitlines()
    assert len(long.out) > len(short.out)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--page", "a.html", "--no-page"], "together"),
        (["--page", "a.png"], "ends in .html"),
        (["--fix", "a.txt"], "ends in .json"),
        (["--group-from", "house"], "without a group"),
        (["--model", "runs/nowhere"], "nowhere"),
    ],
)
def test_mistakes(call, copied, tmp_path, given, message):
    said = call("audit", copied, *given)
    assert said.code in (2, 3)
    assert message in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "photos-audit.html").exists()
