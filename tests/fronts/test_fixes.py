"""What errors tell to type next can be typed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
import typer

import sortograph
from sortograph.cli import app, predict_options
from sortograph.errors import UsageError
from sortograph.recipe import Recipe

SOURCE = Path(sortograph.__file__).parent
GROUPS = ("cache", "quarantine", "recipes")  # verbs of which each has commands of its own
COMMAND = re.compile(r"(?:^|(?<! a)[\s`(])sortograph ((?:[a-z]+|--)[^`,;:()]*)")
SETTING = re.compile(r"--set ([a-z_]+\.[a-z_]+)=")
HERE = "X"  # in the place of what is known only when it runs


def text_of(node: ast.AST) -> str | None:
    """A string as it would be told."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or HERE for part in node.values)
    return None


def told(tree: ast.AST) -> Iterator[str]:
    """All strings but docstrings; the parts of an f-string are no strings of their own."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inside |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = None if id(node) in inside else text_of(node)
        if text is not None:
            yield text


STRINGS = sorted(
    {
        (text, str(file.relative_to(SOURCE)))
        for file in SOURCE.rglob("*.py")
        for text in told(ast.parse(file.read_text("utf-8")))
    }
)
COMMANDS = [(text, file) for text, file in STRINGS if COMMAND.search(text)]
SETTINGS = [(found, file) for text, file in STRINGS for found in SETTING.findall(text)]


def options_of(verb: str) -> set[str]:
    if verb == "predict":
        return {option for action in predict_options.parser()._actions for option in action.option_strings}
    command = typer.main.get_command(app.app()).commands[verb]
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def problems(text: str) -> list[str]:
    """What is wrong with the commands in a sentence: verbs and options that do not exist."""
    found = []
    for command in COMMAND.findall(text):
        verb, *rest = command.split()
        try:
            known = options_of(verb)
        except KeyError:
            found.append(f"no verb {verb}")
            continue
        if verb not in GROUPS:
            found += [f"no option {word}" for word in rest if word.startswith("--") and word not in known]
    return found


def test_there_are_such_strings():
    assert len(COMMANDS) > 12
    assert len(SETTINGS) >= 4
    assert "sortograph index X" in {text for text, _ in COMMANDS}  # an f-string


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("sortograph trian PHOTOS", 1),
        ("label them, or sortograph predict --foo for photos", 1),
        ("Try `sortograph nothing` or (sortograph train X --resume RUN)", 1),
        ("made with sortograph X", 0),
        ("a bug in sortograph (X)", 0),
    ],
)
def test_mistakes_are_seen(text, count):
    assert len(problems(text)) == count


@pytest.mark.parametrize(("text", "file"), COMMANDS, ids=lambda value: value[:60])
def test_verbs_and_options_exist(parse, text, file):
    assert problems(text) == [], file
    if text.startswith("sortograph "):
        words = COMMAND.search(text)[1].split()
        verb = 2 if words[0] in GROUPS else 1
        parse([*words[:verb], *takewhile(lambda word: not word.isalpha() or word.isupper(), words[verb:])])


@pytest.mark.parametrize(("key", "file"), SETTINGS)
def test_settings_exist(key, file):
    section, name = key.split(".")
    assert name in Recipe().to_dict()[section], file


def test_parsing_can_fail(parse):
    with pytest.raises(UsageError):
        parse(["train", "PHOTOS", "--epochs", "3"])
