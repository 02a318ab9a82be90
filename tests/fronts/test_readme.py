"""What the documents tell to type can be typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from sortograph.errors import UsageError

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = "<!-- not run -->"  # in the line before a block
BLOCK = re.compile(
    r"(?:^(?P<mark><!-- .* -->)\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
SMALLER = """
import sortograph
_train = sortograph.train
def _small(*arguments, overrides=(), **options):
    return _train(*arguments, overrides=[*overrides, "pixels.size=16", "train.epochs=1"], **options)
sortograph.train = _small
"""


def blocks(document: Path, *kinds: str) -> list[str]:
    text = document.read_text("utf-8") if document.exists() else ""
    return [m["text"] for m in BLOCK.finditer(text) if m["kind"] in kinds and m["mark"] != NOT_RUN]


def commands(text: str) -> Iterator[list[str]]:
    """The words after `sortograph` of each command, whatever it is chained with."""
    for line in text.replace("\\\n", " ").splitlines():
        if "sortograph" not in line:
            continue
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words[:1] == ["sortograph"]:
                    yield words[1:]
                words = []
            else:
                words.append(word)


TYPED = [
    pytest.param(words, id=f"{document.name}: {shlex.join(words)}")
    for document in DOCUMENTS
    for text in blocks(document, "console", "bash", "sh", "shell")
    for words in commands(text)
]
PYTHON = [
    pytest.param(text, id=f"{document.name} {number}")
    for document in DOCUMENTS
    for number, text in enumerate(blocks(document, "python"), 1)
]


def test_there_is_a_readme_with_something_to_type():
    typed = [words for text in blocks(README, "console", "bash") for words in commands(text)]
    assert {words[0] for words in typed} >= {"index", "train", "evaluate", "predict", "recipes", "demo"}
    assert blocks(README, "python")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("$ sortograph demo", [["demo"]]),
        ("pip install x && sortograph demo # quick", [["demo"]]),
        ("A=1 sortograph predict m 'a b' | head -1 > x", [["predict", "m", "a b"]]),
        ("sortograph train a \\\n  --out b; sortograph recipes", [["train", "a", "--out", "b"], ["recipes"]]),
        ("import sortograph", []),
    ],
)
def test_commands_are_found(line, found):
    assert list(commands(line)) == found


@pytest.mark.parametrize(
    "words",
    [["trian", "x"], ["train"], ["train", "x", "--epochs", "3"], ["predict", "m"],
     ["predict", "m", "p", "--foo"], ["recipes", "lst"]],
)  # fmt: skip
def test_what_cannot_be_typed_is_noticed(parse, words):
    with pytest.raises(UsageError):
        parse(words)


@pytest.mark.parametrize("words", TYPED)
def test_commands_can_be_typed(parse, words):
    parse(words)


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code, tmp_path, make_photos):
    kinds = {"food": (200, 60, 40), "interior": (120, 120, 110), "exterior": (70, 120, 200)}
    for folder in ("restaurant", "more-restaurant-photos", "photos"):
        make_photos(tmp_path / folder, 10, kinds)
    make_photos(tmp_path / "new-photos", 1, kinds)
    for name in set(re.findall(r"[\w/-]+\.(?:jpe?g|png)", code)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), kinds["food"]).save(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", SMALLER + code], cwd=tmp_path, capture_output=True, timeout=120, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stdout
    assert "None" not in done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = document.read_text("utf-8")
    assert [link for link in LINK.findall(text) if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_was_left_to_be_filled_in(document):
    assert re.findall(r"^[A-Z]+_[A-Z_]+$|\bTODO\b|\bTBD\b", document.read_text("utf-8"), re.MULTILINE) == []
